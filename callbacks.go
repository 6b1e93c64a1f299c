package producer

import (
	"context"
	"reflect"
	"runtime"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/dispatch"
	"github.com/saramakit/producer/internal/record"
)

// calls is the core as the dispatcher sees it: the user's functions. All
// methods run on the dispatcher's goroutines.
type calls core

var _ dispatch.Handler = (*calls)(nil)

// Those who are told of a record are its hooks, in the order of the options; then
// SendFunc's function, if there is one; and last OnSuccess or OnError, or the log
// line in place of one. Of a record that tells what came late they are hooks
// only.

// hooksOf are those of a record. One without a trail has none.
func (h *calls) hooksOf(r *record.Record) []func(context.Context, *sarama.ProducerMessage, Outcome) {
	if r.IsLate() {
		return h.cfg.hooks.onLate
	}
	return h.cfg.hooks.onDone
}

// isResult reports whether a step of the message's own is SendFunc's function.
func isResult(r *record.Record, step int) bool { return r.OnResult != nil && step == 0 }

// ownSteps is how many steps a message has of its own.
func ownSteps(r *record.Record) int {
	switch {
	case r.IsLate():
		return 0
	case r.OnResult != nil:
		return 2
	default:
		return 1
	}
}

// wanted reports whether anybody is to be told of the record's outcome.
func (h *calls) wanted(r *record.Record) bool {
	if r.OnResult != nil || len(h.cfg.hooks.onDone) > 0 {
		return true
	}
	if r.Cause() == nil {
		return h.cfg.onSuccess != nil
	}
	return h.cfg.onError != nil || h.unseen(r)
}

// unseen reports whether a failure would pass in silence: no function is told,
// and no sync Send returns it.
func (h *calls) unseen(r *record.Record) bool {
	return h.cfg.onError == nil && r.OnResult == nil && (r.Wait == nil || r.Abandoned())
}

// Call runs one function of the message's own. With hooks it runs all that are
// left: for the dispatcher a step costs more than most of them.
func (h *calls) Call(r *record.Record, step int) (more bool) {
	ctx, t := r.BeginCalls(), r.Trail()
	if t == nil {
		return h.own(ctx, r, step)
	}
	hooks := h.hooksOf(r)
	for {
		next := int(t.Next.Add(1)) - 1
		if next < len(hooks) {
			hooks[next](ctx, r.Report(), outcome(r))
		} else if !h.own(ctx, r, next-len(hooks)) {
			return false
		}
	}
}

// own runs one function of the message's own.
func (h *calls) own(ctx context.Context, r *record.Record, step int) (more bool) {
	if step >= ownSteps(r) {
		return false
	}
	if isResult(r, step) {
		r.OnResult(ctx, r.Report(), r.Cause())
		return true
	}
	switch {
	case r.Cause() == nil:
		if h.cfg.onSuccess != nil {
			h.cfg.onSuccess(ctx, r.Report())
		}
	case h.cfg.onError != nil:
		h.cfg.onError(ctx, r.Report(), r.Cause())
	case h.unseen(r):
		h.log.failed(r.Cause())
	}
	return false
}

// Done lets the record go.
func (h *calls) Done(r *record.Record) {
	r.EndCalls()
	if !r.IsLate() {
		(*core)(h).finish(r)
	}
}

// Failed reports a callback that panicked or ended its goroutine.
func (h *calls) Failed(r *record.Record, step int, f dispatch.Failure) {
	h.counts.panics.Add(1)
	h.log.panicked(h.name(r, step), r.Lane.Topic(), f)
}

// Slow reports a callback that takes too long.
func (h *calls) Slow(r *record.Record, step int, running time.Duration) {
	name := h.name(r, step)
	h.counts.slow.Add(1)
	h.lastSlow.Store(&name)
	h.log.slow(name, running)
}

// name is the function that runs in a step, as the runtime names it.
func (h *calls) name(r *record.Record, step int) string {
	if t := r.Trail(); t != nil {
		hooks := h.hooksOf(r)
		step = int(t.Next.Load()) - 1 - len(hooks)
		if at := step + len(hooks); step < 0 && at >= 0 {
			return functionName(hooks[at])
		}
	}
	switch {
	case step >= ownSteps(r):
		return functionName(nil)
	case isResult(r, step):
		return functionName(r.OnResult)
	case r.Cause() == nil:
		return functionName(h.cfg.onSuccess)
	default:
		return functionName(h.cfg.onError)
	}
}

// functionName is the name of a user's function. Where there is none the logger
// runs in its place.
func functionName(f any) string {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Func || v.IsNil() {
		return "the logger"
	}
	if fn := runtime.FuncForPC(v.Pointer()); fn != nil {
		return fn.Name()
	}
	return "an unnamed function"
}
