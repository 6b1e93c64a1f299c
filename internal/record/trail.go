package record

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// Trail is what is noted of a record if there are hooks, beside what is noted of
// every record. It is the record's Ctx, and so takes no room in those of
// producers without hooks.
type Trail struct {
	context.Context // the values for callbacks: of Send's ctx, and of what hooks added
	// first is the ctx of the first of some messages of which each was sent by a
	// callback of the one before, and generation counts them.
	first      context.Context
	generation int

	Sent     time.Time // when Send was called
	Accepted time.Time
	// encoded is how long after Sent the record was first put into a batch, 0:
	// never.
	encoded atomic.Int64
	// Acknowledged and Decided are written by whoever completed the record, before
	// it is handed on.
	Acknowledged, Decided time.Time

	// late is what the transport said of the record. It is written before the
	// record is settled, and read by whoever comes second of the transport and the
	// callbacks, if the record was given up.
	late late
}

type late struct {
	came      time.Time // zero: nothing was said
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

// NewTrail returns the trail of a message that is sent now.
func NewTrail(ctx context.Context) *Trail {
	t := &Trail{Context: ctx, first: ctx, Sent: time.Now()}
	c, ok := ctx.(*callContext)
	if !ok {
		return t
	}
	t.Context, t.first = c.Ctx, c.Ctx
	before, ok := c.Ctx.(*Trail)
	if !ok {
		return t
	}
	t.Context, t.first, t.generation = before.Context, before.first, before.generation+1
	if t.generation == generations {
		t.Context, t.generation = t.first, 0
	}
	return t
}

// Extend is told the ctx that a hook returned.
func (t *Trail) Extend(ctx context.Context) {
	if ctx = bare(ctx); ctx != nil {
		t.Context = ctx
	}
}

// encode notes that the record is put into a batch.
func (t *Trail) encode() {
	if t.encoded.Load() == 0 {
		t.encoded.CompareAndSwap(0, int64(time.Since(t.Sent))+1) // not 0, if it is the same moment
	}
}

// Encoded is when the record was first put into a batch. Zero: never.
func (t *Trail) Encoded() time.Time {
	after := t.encoded.Load()
	if after == 0 {
		return time.Time{}
	}
	return t.Sent.Add(time.Duration(after - 1))
}

// Follow makes t the record's trail. It must be called before anybody else knows
// the record.
func (r *Record) Follow(t *Trail) { r.Ctx = t }

// Trail returns the record's, nil if there are no hooks.
func (r *Record) Trail() *Trail {
	t, _ := r.Ctx.(*Trail)
	return t
}

// CameBack notes what the transport says of a record that may have been given
// up. It is called before Settle. written says that err, if there is one, is
// none of before the record was stored.
func (t *Trail) CameBack(r *Record, at time.Time, err error, written bool) {
	if r.state.Load()&stateReturned != 0 {
		return // reported twice
	}
	m := &r.Msg
	t.late = late{came: at, partition: -1, offset: -1, timestamp: m.Timestamp, err: err, written: written}
	if err == nil || r.Placed {
		t.late.partition = m.Partition
	}
	if err == nil {
		t.late.offset = m.Offset
	}
}

// Late returns a record in which the hooks are told what came of r after it had
// been given up; nil if nothing did. To be called by whoever comes second of the
// transport, which has returned r, and r's callbacks, which have.
func (r *Record) Late() (l *Record, err error, written bool) { //nolint:revive // err is no failure of Late
	t := r.Trail()
	if t == nil || t.late.came.IsZero() || r.state.Load()&stateRefused == 0 {
		return nil, nil, false
	}
	l = &Record{Ctx: t, Home: r.Home, Lane: r.Lane, Accepted: r.Accepted, special: &special{report: &sarama.ProducerMessage{}}}
	*l.special.report = *r.Report() // the hooks may have kept r's
	m := l.special.report
	m.Partition, m.Offset, m.Timestamp = t.late.partition, t.late.offset, t.late.timestamp
	l.state.Store(uint64(r.Attempts())<<attemptShift | stateCompleted | stateReturned | stateLate)
	return l, t.late.err, t.late.written
}

// IsLate reports whether the record is one that Late made.
func (r *Record) IsLate() bool { return r.state.Load()&stateLate != 0 }

// Came is when the transport said what Late tells.
func (t *Trail) Came() time.Time { return t.late.came }
