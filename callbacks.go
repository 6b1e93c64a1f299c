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

// isResult reports whether a step is SendFunc's function. It is the first, if
// there is one; the next is OnSuccess or OnError, or the log line in place of
// one. More there are not.
func isResult(r *record.Record, step int) bool { return r.OnResult != nil && step == 0 }

// steps is how many steps a record has.
func steps(r *record.Record) int {
	if r.OnResult != nil {
		return 2
	}
	return 1
}

// wanted reports whether anybody is to be told of the record's outcome.
func (h *calls) wanted(r *record.Record) bool {
	if r.OnResult != nil {
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
	if isResult(r, step) {
		r.OnResult(ctx, r.Report(), r.Cause())
		return true
	}
	if step >= steps(r) {
		return false
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
	(*core)(h).finish(r)
}

// Failed reports a callback that panicked or ended its goroutine.
func (h *calls) Failed(r *record.Record, step int, f dispatch.Failure) {
	h.counts.panics.Add(1)
	h.log.panicked(h.name(r, step), r.Lane.Topic(), f)
}

// Slow reports a callback that takes too long.
func (h *calls) Slow(r *record.Record, step int, running time.Duration) {
	h.counts.slow.Add(1)
	h.log.slow(h.name(r, step), running)
}

// name is the function of a step, as the runtime names it.
func (h *calls) name(r *record.Record, step int) string {
	var f any
	switch {
	case isResult(r, step):
		f = r.OnResult
	case r.Cause() == nil:
		f = h.cfg.onSuccess
	default:
		f = h.cfg.onError
	}
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Func || v.IsNil() {
		return "the logger"
	}
	if fn := runtime.FuncForPC(v.Pointer()); fn != nil {
		return fn.Name()
	}
	return "an unnamed function"
}
