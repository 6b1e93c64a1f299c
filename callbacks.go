package producer

import (
	"reflect"
	"runtime"
	"time"

	"github.com/saramakit/producer/internal/dispatch"
	"github.com/saramakit/producer/internal/record"
)

// calls is the core as the dispatcher sees it: the user's functions. All
// methods run on the dispatcher's goroutines.
type calls core

var _ dispatch.Handler = (*calls)(nil)

// A record's steps are the hooks', in the order of the options; then SendFunc's
// function, if there is one; and last OnSuccess or OnError, or the log line in
// place of one. Of a record that tells what came late there are hooks only.

// user is the number of a step without those of hooks: 0 is the first of the
// message's own.
func (h *calls) user(step int) int { return step - len(h.cfg.hooks.onDone) }

// isResult reports whether a step is SendFunc's function.
func (h *calls) isResult(r *record.Record, step int) bool {
	return r.OnResult != nil && h.user(step) == 0
}

// steps is how many steps a record has.
func (h *calls) steps(r *record.Record) int {
	switch {
	case r.IsLate():
		return len(h.cfg.hooks.onLate)
	case r.OnResult != nil:
		return len(h.cfg.hooks.onDone) + 2
	default:
		return len(h.cfg.hooks.onDone) + 1
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

// Call runs one function.
func (h *calls) Call(r *record.Record, step int) (more bool) {
	ctx := r.BeginCalls()
	switch {
	case step >= h.steps(r):
		return false
	case r.IsLate():
		h.cfg.hooks.onLate[step](ctx, r.Report(), outcome(r))
		return true
	case h.user(step) < 0:
		h.cfg.hooks.onDone[step](ctx, r.Report(), outcome(r))
		return true
	case h.isResult(r, step):
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

// name is the function of a step, as the runtime names it.
func (h *calls) name(r *record.Record, step int) string {
	switch {
	case step >= h.steps(r):
		return functionName(nil)
	case r.IsLate():
		return functionName(h.cfg.hooks.onLate[step])
	case h.user(step) < 0:
		return functionName(h.cfg.hooks.onDone[step])
	case h.isResult(r, step):
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
