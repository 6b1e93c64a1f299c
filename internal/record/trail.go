package record

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// Start is the beginning of a message's trail, before there is a record.
type Start struct {
	context.Context // the values for callbacks: of Send's ctx, and of what hooks added
	// first is the ctx of the first of some messages of which each was sent by a
	// callback of the one before, and generation counts them.
	first      context.Context
	generation int32

	// Sent is when Send was called.
	Sent time.Time
}

// Trail is what is noted of a record if there are hooks, beside what is noted of
// every record. It is the record's Ctx, and lies behind the record: those of
// producers without hooks have no room for it.
type Trail struct {
	Start

	// The times after Sent are kept as what has passed since then, and a
	// nanosecond; 0: it has not come to that.
	accepted, decided time.Duration
	encoded           atomic.Int64
	answered          bool // a broker's answer decided it

	// Next is the function that is to be called next of those that are told of the
	// record, hooks first. It is moved before the call.
	Next atomic.Int32

	late *late // what came after the record was given up: see Answer
}

type late struct {
	at        time.Duration
	partition int32
	offset    int64
	timestamp time.Time
	err       error
	written   bool // err may have come after the record was stored
}

// generations is how many messages in a row that are sent by a callback of the
// one before have what hooks made of the ctx before. Then they start anew: the
// chain of contexts must not grow for ever.
const generations = 16

// Begin begins a message that is sent now. The chain of contexts of messages that
// callbacks send with their own ctx is cut here.
func (s *Start) Begin(ctx context.Context) {
	*s = Start{Context: ctx, first: ctx, Sent: time.Now()}
	c, ok := ctx.(*callContext)
	if !ok {
		return
	}
	s.Context, s.first = c.Ctx, c.Ctx
	before, ok := c.Ctx.(*Trail)
	if !ok {
		return
	}
	s.Context, s.first, s.generation = before.Context, before.first, before.generation+1
	if s.generation == generations {
		s.Context, s.generation = s.first, 0
	}
}

// Extend is told the ctx that a hook returned.
func (s *Start) Extend(ctx context.Context) {
	if ctx = bare(ctx); ctx != nil {
		s.Context = ctx
	}
}

// mark is a moment as Trail keeps it.
func (t *Trail) mark(at time.Time) time.Duration { return max(0, at.Sub(t.Sent)) + 1 }

// moment is what mark has kept.
func (t *Trail) moment(mark time.Duration) time.Time {
	switch mark {
	case 0:
		return time.Time{}
	case 1:
		return t.Sent // it was accepted at once, as most are
	default:
		return t.Sent.Add(mark - 1)
	}
}

// Accept notes when the record was accepted.
func (t *Trail) Accept(at time.Time) { t.accepted = t.mark(at) }

// Decide notes when the outcome was decided: by whoever completed the record,
// before it is handed on. answered says that a broker's answer is what decided it.
func (t *Trail) Decide(at time.Time, answered bool) {
	t.decided, t.answered = t.mark(at), answered
}

// Decided reports whether that was noted.
func (t *Trail) Decided() bool { return t.decided != 0 }

// encode notes that the record is put into a batch.
func (t *Trail) encode(at time.Time) {
	if t.encoded.Load() == 0 {
		t.encoded.CompareAndSwap(0, int64(t.mark(at)))
	}
}

// Times are those of the steps of a record; zero: it has not come to that.
type Times struct{ Accepted, Encoded, Acknowledged, Decided time.Time }

// Times returns those of the record, or of what came late.
func (t *Trail) Times(r *Record) Times {
	times := Times{
		Accepted: t.moment(t.accepted), Encoded: t.moment(time.Duration(t.encoded.Load())), Decided: t.moment(t.decided),
	}
	if t.answered {
		times.Acknowledged = times.Decided
	}
	if r.IsLate() {
		times.Acknowledged = t.moment(t.late.at)
		times.Decided = times.Acknowledged
	}
	return times
}

// Trail returns the record's, nil if there are no hooks.
func (r *Record) Trail() *Trail {
	t, _ := r.Ctx.(*Trail)
	return t
}

// Answer notes what a broker says of a record that was given up and that the
// transport has returned. It reports whether the callbacks have returned: then
// nobody else will look. written says that err, if there is one, is none of
// before the record was stored.
func (r *Record) Answer(at time.Time, err error, written bool) (finished bool) {
	t, m := r.Trail(), &r.Msg
	t.late = &late{at: t.mark(at), partition: -1, offset: -1, timestamp: m.Timestamp, err: err, written: written}
	if err == nil || r.Placed {
		t.late.partition = m.Partition
	}
	if err == nil {
		t.late.offset = m.Offset
	}
	return r.state.Or(stateAnswered)&stateFinished != 0
}

// Late returns a record in which the hooks are told what Answer has noted of r,
// of which the callbacks have returned.
func (r *Record) Late() (l *Record, err error, written bool) { //nolint:revive // err is no failure of Late
	t := r.Trail()
	l = &Record{Ctx: t, Home: r.Home, Lane: r.Lane, Accepted: r.Accepted, special: &special{report: &sarama.ProducerMessage{}}}
	*l.special.report = *r.Report() // the hooks may have kept r's
	m := l.special.report
	m.Partition, m.Offset, m.Timestamp = t.late.partition, t.late.offset, t.late.timestamp
	l.state.Store(uint64(r.Attempts())<<attemptShift | stateCompleted | stateReturned | stateLate)
	t.Next.Store(0)
	return l, t.late.err, t.late.written
}

// IsLate reports whether the record is one that Late made.
func (r *Record) IsLate() bool { return r.state.Load()&stateLate != 0 }
