package record

import (
	"time"

	"github.com/IBM/sarama"
)

// gated is the Encoder of a record's value while the transport works on it.
// sarama asks it for the bytes when it puts the record into a batch, and only
// then, which makes it the one place where "never sent" can be decided.
//
// A tombstone has it too: an Encoder that returns nil bytes is stored as null.
type gated Record

// Encode notes an attempt and returns the bytes, or ErrRefused.
func (g *gated) Encode() ([]byte, error) { return (*Record)(g).attempt(time.Time{}) }

// attempt notes an attempt at that time, and returns the value. Zero: it is made now.
func (r *Record) attempt(at time.Time) ([]byte, error) {
	for {
		s := r.state.Load()
		if s&stateRefused != 0 {
			return nil, ErrRefused
		}
		// The partition and the retry mark are stored before the attempt is
		// published: who sees the attempt sees them too.
		r.partition.Store(r.Msg.Partition)
		r.encodedAt = r.Home.Retries.Load()
		if t := r.Trail(); t != nil {
			if at.IsZero() {
				at = time.Now()
			}
			t.encode(at)
		}
		if r.state.CompareAndSwap(s, s+1<<attemptShift) {
			return r.value, nil
		}
	}
}

// Length is the number of bytes that Encode returns.
func (g *gated) Length() int { return len(g.value) }

// Of finds the record of a message that the transport got back. It returns nil
// for a message that is not ours, or that was reported already.
func Of(msg *sarama.ProducerMessage) *Record {
	if msg == nil {
		return nil
	}
	g, ok := msg.Value.(*gated)
	if !ok {
		return nil
	}
	return (*Record)(g)
}

// Around shows a partitioner the plain value, so that one which looks at it
// does not count as an attempt.
type Around struct{}

// Before is called before a partitioner sees msg. What it returns is handed to
// After.
func (Around) Before(msg *sarama.ProducerMessage) (token any) {
	r := Of(msg)
	if r == nil {
		return nil
	}
	msg.Value = plain(&r.value)
	return r
}

// After is called when the partitioner has returned. placed says that it chose
// a partition. Whatever it did to the message's value is undone.
func (Around) After(msg *sarama.ProducerMessage, token any, placed bool) {
	r, ok := token.(*Record)
	if !ok {
		return
	}
	msg.Value = (*gated)(r)
	r.Placed = r.Placed || placed
}

// Encode returns the bytes for a batch that is made at that time, which counts as
// an attempt, or ErrRefused.
func (r *Record) Encode(at time.Time) (key, value []byte, err error) {
	value, err = r.attempt(at)
	return r.key, value, err
}

// Wire is how much the record takes of a batch at most.
func (r *Record) Wire() int {
	n := wireOverhead + len(r.key) + len(r.value)
	for i := range r.Msg.Headers {
		n += wireHeaderOverhead + len(r.Msg.Headers[i].Key) + len(r.Msg.Headers[i].Value)
	}
	return n
}
