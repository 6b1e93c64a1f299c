package record

import (
	"context"
	"time"
)

// callContext is the ctx of a record's callbacks. It has the values of the ctx
// that the message was sent with, no deadline, and a mark by which calls of the
// same producer know that they come from a callback. It is the record itself,
// seen as a context, and costs no allocation.
type callContext Record

var _ context.Context = (*callContext)(nil)

func (*callContext) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (*callContext) Done() <-chan struct{}                   { return nil }
func (*callContext) Err() error                              { return nil }

// Value answers the producer's own key while the callbacks run, and everything
// else from the ctx of Send.
func (c *callContext) Value(key any) any {
	if home, ok := key.(*Home); ok && home == c.Home {
		if c.state.Load()&stateCalling != 0 {
			return home
		}
		return nil
	}
	return c.Ctx.Value(key)
}

// String keeps whoever prints a context from printing the message.
func (*callContext) String() string { return "producer.callback" }

// BeginCalls returns the ctx for the record's callbacks, with the mark alive
// until EndCalls.
func (r *Record) BeginCalls() context.Context {
	r.state.Or(stateCalling)
	return (*callContext)(r)
}

// EndCalls ends the mark. Who kept the ctx can go on using its values.
func (r *Record) EndCalls() { r.state.And(^stateCalling) }

// InCall reports whether ctx comes from a callback of that producer which has
// not returned.
func InCall(ctx context.Context, home *Home) bool {
	return ctx != nil && ctx.Value(home) != nil
}

// bare takes the context of a callback off, so that what is sent again and again
// from callbacks with their own ctx neither grows a chain of contexts nor keeps
// old records alive. A ctx that a callback derives from its own cannot be taken
// apart: its chain is its author's, and keeps the record.
func bare(ctx context.Context) context.Context {
	if c, ok := ctx.(*callContext); ok {
		ctx = c.Ctx
	}
	if t, ok := ctx.(*Trail); ok {
		return t.Context
	}
	return ctx
}
