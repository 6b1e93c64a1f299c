// Package record holds what the library knows of one accepted message: a
// private copy of it, and a small state machine that decides its outcome once
// and tells whether its bytes can have left the process.
package record

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// ErrRefused is what a record's Encoder returns once the record's outcome is
// decided: its bytes will never be put into a batch again.
var ErrRefused = errors.New("producer: the message was given up before it was put into a batch")

// The state of a record is one atomic word, so that "was it ever put into a
// batch" and "has it been given up" are decided against each other: whichever
// comes first, the other sees it.
const (
	stateCompleted uint64 = 1 << iota // the outcome is decided; set exactly once
	stateRefused                      // the Encoder refuses from now on
	stateReturned                     // the transport has let go of the record, or never had it
	stateFinished                     // the callbacks have returned
	stateCalling                      // its callbacks are running: the mark in their ctx is alive
	stateAbandoned                    // the sync Send that waited has returned without the outcome
	stateAnswered                     // a broker has said what became of it after it was given up, see Answer
	stateLate                         // it tells hooks of that

	attemptShift = 32 // the upper half counts how often the bytes went into a batch
)

// Home is what all records of one producer share. Its address is the mark by
// which a callback's context names the producer it belongs to.
type Home struct {
	// Retries counts the waits before a re-send. sarama sends a batch of an
	// idempotent producer again without asking the Encoder, so a record is at
	// its first attempt only if this has not moved since it was encoded.
	Retries atomic.Uint32
	// Most is the largest message allowed, as Copy.Wire measures it; 0: any.
	Most int

	rooms rooms
}

// Lane is the queue of the record's topic, as far as a record's owner needs it.
type Lane interface {
	// Topic is its name.
	Topic() string
	// Withdraw takes the record out of the queue. True means that the
	// transport never saw it and never will.
	Withdraw(r *Record) bool
	// Returned gives the record's place in the transport back. completed says
	// that its outcome was decided before.
	Returned(completed bool)
	// Completed says that the outcome of a record that the transport still
	// holds was decided without it.
	Completed()
	// Recalled takes Completed back: the record left the queue unhanded.
	Recalled()
	// Free gives the record's room in the budget of the topic back.
	Free(size int64)
	// Delivered counts records that were delivered and whose callbacks have
	// returned, and Failed one that failed.
	Delivered(n int64)
	Failed(kind string)
}

// Result is the outcome as the sender of a message sees it.
type Result struct {
	Partition int32
	Offset    int64
	Timestamp time.Time
	Err       error // nil: delivered
}

// Waiter is a sync Send that waits for one record.
type Waiter struct {
	Result Result        // written before Done is signalled, read after it
	Done   chan struct{} // holds one signal, so that signalling never waits
}

// NewWaiter returns a Waiter for one record.
func NewWaiter() *Waiter { return &Waiter{Done: make(chan struct{}, 1)} }

// ResultFunc is told the outcome of one record.
type ResultFunc = func(ctx context.Context, msg *sarama.ProducerMessage, err error)

// Record is one message between Send and the return of its callbacks.
//
// There may be a hundred thousand of them, and the garbage collector looks at
// each of their bytes: that is a good part of what a message costs. So what can
// be had from elsewhere is not in it, and what is rare is behind a pointer.
type Record struct {
	// Msg is the private copy that the transport works on. Until the record
	// is returned only the transport may write to it or read what sarama
	// writes (Partition, Offset, Timestamp).
	Msg sarama.ProducerMessage

	// key and value are the encoded bytes; nil means absent. They are never
	// written to before Release. Callbacks get pointers to them and not to the
	// record, so that whoever prints a message reads nothing else.
	key, value sarama.ByteEncoder
	size       int32 // what it takes of the byte budget
	// created is the timestamp that Send gave the message. Msg.Timestamp may
	// be overwritten by sarama with the broker's.
	created  time.Time
	Ctx      context.Context // the values of Send's ctx, for the callbacks; a Trail if there are hooks
	Home     *Home
	Wait     *Waiter    // the sync Send that waits, or nil
	OnResult ResultFunc // SendFunc's function, or nil

	state atomic.Uint64
	Lane  Lane
	// special is what is not as usual with the outcome. Written by whoever
	// completed the record, before it is handed on.
	special *special
	// Accepted is when it was accepted, in the registry's time.
	Accepted time.Duration
	blocks   [kinds]*block // where the record is in queues, with at

	partition atomic.Int32 // where it was last put into a batch, -1 before
	// encodedAt is Home.Retries as it was when the record was last put into a
	// batch. Written by the transport's goroutine, read once it has returned
	// the record.
	encodedAt uint32
	// Placed says that the partitioner has chosen Msg.Partition. Same owner.
	Placed bool
	at     [kinds]uint8
	Shard  uint8 // of the registry
}

// special is the outcome of a record that failed, or whose Msg is not what the
// callbacks get.
type special struct {
	report *sarama.ProducerMessage
	cause  error
}

// Refuse decides the outcome without the transport: the Encoder refuses from
// now on. It reports false, and does nothing, if the outcome was decided
// before. attempts is how often the bytes went into a batch until then; with 0
// they never will have.
func (r *Record) Refuse() (attempts int, ok bool) {
	return r.refuse(true)
}

// RefuseUnbatched is Refuse for a record that was never put into a batch; a
// record that was is left alone.
func (r *Record) RefuseUnbatched() bool {
	_, ok := r.refuse(false)
	return ok
}

func (r *Record) refuse(batched bool) (attempts int, ok bool) {
	for {
		s := r.state.Load()
		attempts = int(s >> attemptShift)
		if s&stateCompleted != 0 || (attempts > 0 && !batched) {
			return attempts, false
		}
		if r.state.CompareAndSwap(s, s|stateCompleted|stateRefused) {
			return attempts, true
		}
	}
}

// Settle notes that the transport has returned the record. first is false for
// a second return of the same record. completed says that the outcome had been
// decided before, finished that its callbacks had returned before.
func (r *Record) Settle() (first, completed, finished bool) {
	s := r.state.Or(stateCompleted | stateReturned)
	return s&stateReturned == 0, s&stateCompleted != 0, s&stateFinished != 0
}

// Unhanded notes that the transport never had the record. It reports whether
// the callbacks had returned before.
func (r *Record) Unhanded() (finished bool) {
	return r.state.Or(stateReturned)&stateFinished != 0
}

// Finish notes that the callbacks have returned. It reports whether the
// transport has returned the record too: then nobody holds it any more. answered
// says that there was an Answer.
func (r *Record) Finish() (returned, answered bool) {
	s := r.state.Or(stateFinished)
	return s&stateReturned != 0, s&stateAnswered != 0
}

// Completed reports whether the outcome is decided.
func (r *Record) Completed() bool { return r.state.Load()&stateCompleted != 0 }

// Attempts is how often the bytes of the record were put into a batch.
func (r *Record) Attempts() int { return int(r.state.Load() >> attemptShift) }

// Abandon notes that nobody waits for the outcome any more.
func (r *Record) Abandon() { r.state.Or(stateAbandoned) }

// Abandoned reports whether the sync Send that waited has gone.
func (r *Record) Abandoned() bool { return r.state.Load()&stateAbandoned != 0 }

// FirstAttempt reports whether the record is at its first and only attempt: it
// went into one batch, and that batch was sent once. To be asked by the
// transport when it returns the record.
func (r *Record) FirstAttempt() bool {
	return r.Attempts() == 1 && r.Home.Retries.Load() == r.encodedAt
}

// Size is what the record takes of the byte budget.
func (r *Record) Size() int64 { return int64(r.size) }

// Partition is where the record went last, -1 if that is not known. It may be
// asked at any time.
func (r *Record) Partition() int32 { return r.partition.Load() }

// ReportOwn makes Msg itself the message of the callbacks. Only for a record
// that the transport has returned. offset is -1 where it is not known.
func (r *Record) ReportOwn(partition int32, offset int64) {
	m := &r.Msg
	m.Key, m.Value = plain(&r.key), plain(&r.value)
	m.Partition, m.Offset = partition, offset
}

// ReportCopy makes a new message for the callbacks, for a record that the
// transport still holds: sarama goes on writing to Msg. The headers are copied
// because sarama's own records point into them; the bytes are shared, so
// callbacks must not change them.
func (r *Record) ReportCopy() {
	r.special = &special{report: &sarama.ProducerMessage{
		Topic:     r.Msg.Topic,
		Key:       plain(&r.key),
		Value:     plain(&r.value),
		Headers:   append([]sarama.RecordHeader(nil), r.Msg.Headers...),
		Metadata:  r.Msg.Metadata,
		Partition: r.partition.Load(),
		Offset:    -1,
		Timestamp: r.created,
	}}
}

// Fail notes why the record failed. It was reported before.
func (r *Record) Fail(cause error) {
	if r.special == nil {
		r.special = &special{report: &r.Msg}
	}
	r.special.cause = cause
}

// Report is the message of the callbacks.
func (r *Record) Report() *sarama.ProducerMessage {
	if r.special != nil {
		return r.special.report
	}
	return &r.Msg
}

// Cause is why the record failed, nil if it was delivered.
func (r *Record) Cause() error {
	if r.special != nil {
		return r.special.cause
	}
	return nil
}

// plain is the Encoder that callbacks see: it gives the bytes whatever the
// state of the record. A pointer, because that needs no allocation.
func plain(b *sarama.ByteEncoder) sarama.Encoder {
	if *b == nil {
		return nil
	}
	return b
}
