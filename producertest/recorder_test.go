package producertest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// recorder is a testing.TB that takes down how a check ends, instead of failing
// the test.
type recorder struct {
	testing.TB                 // for what is not overridden, which includes an unexported method
	ctx        context.Context //nolint:containedctx // it is what Context returns
	cancel     context.CancelFunc

	mu       sync.Mutex
	cleanups []func()
	errors   []string
	skipped  bool
}

// record runs a check to its end, cleanups included.
func record(t *testing.T, c check, h Harness) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.end()
		c.try(r, h)
	}()
	<-done
	return r
}

// end cleans up, in the order of package testing, on the goroutine of the check.
func (r *recorder) end() {
	r.cancel()
	for {
		r.mu.Lock()
		last := len(r.cleanups) - 1
		if last < 0 {
			r.mu.Unlock()
			return
		}
		f := r.cleanups[last]
		r.cleanups = slices.Delete(r.cleanups, last, last+1)
		r.mu.Unlock()
		f()
	}
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Error(args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprint(args...))
}

func (r *recorder) Errorf(format string, args ...any) { r.Error(fmt.Sprintf(format, args...)) }

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

func (r *recorder) Skip(...any) {
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}
