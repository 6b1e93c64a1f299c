package producertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

const (
	// patience is how long the suite waits for what has no bound of its own.
	patience = 30 * time.Second
	// slack is how much later than its bound a call may return, and how late one
	// that is to return at once. See alarm for machines that are busy.
	slack = time.Second
	// closeGrace is how long after its ctx Close may return: about a second.
	closeGrace = 1500 * time.Millisecond
	// moment is how long something has the time to go wrong.
	moment = 50 * time.Millisecond
	// brief is the bound of calls that are to run into it.
	brief = 100 * time.Millisecond
)

// bench is where one check takes place.
type bench struct {
	tb    testing.TB
	h     Harness
	gates []*gate
}

// ctx ends long after everything should be done.
func (b *bench) ctx() context.Context { return b.within(patience) }

// within is a ctx that ends after d.
func (b *bench) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(b.tb.Context(), d)
	b.tb.Cleanup(cancel)
	return ctx
}

// ended is a ctx that has ended, for the reason given.
func (b *bench) ended(cause error) context.Context {
	ctx, cancel := context.WithCancelCause(b.tb.Context())
	cancel(cause)
	return ctx
}

// gate is what callbacks wait at. It opens once, at the latest when the check
// ends.
type gate struct {
	once sync.Once
	ch   chan struct{}
}

func (b *bench) gate() *gate {
	g := &gate{ch: make(chan struct{})}
	b.gates = append(b.gates, g)
	return g
}

func (g *gate) open() { g.once.Do(func() { close(g.ch) }) }
func (g *gate) wait() { <-g.ch }

// await ends the check if a gate does not open.
func (b *bench) await(what string, g *gate) {
	b.tb.Helper()
	end := newAlarm(patience)
	defer end.stop()
	select {
	case <-g.ch:
	case <-end.rung:
		b.tb.Fatalf("not within %v: %s", patience, what)
	}
}

// call is a call on a goroutine of its own, so that one which hangs can be told.
type call struct {
	tb   testing.TB
	what string
	done chan struct{}

	// Written before done is closed.
	err      error
	panicked any
}

// begin begins a call.
func (b *bench) begin(what string, f func() error) *call {
	c := &call{tb: b.tb, what: what, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer func() { c.panicked = recover() }()
		c.err = f()
	}()
	return c
}

// returned waits until the call has returned, for d at most.
func (c *call) returned(d time.Duration) bool {
	end := newAlarm(d)
	defer end.stop()
	select {
	case <-c.done:
	case <-end.rung:
	}
	select { // both may have come
	case <-c.done:
		return true
	default:
		return false
	}
}

// result is what the call returned. The check ends here if it does not return
// within limit.
func (c *call) result(limit time.Duration) error {
	c.tb.Helper()
	if !c.returned(limit) {
		c.tb.Fatalf("%s has not returned after %v", c.what, limit)
	}
	if c.panicked != nil {
		c.tb.Fatalf("%s panicked: %v", c.what, c.panicked)
	}
	return c.err
}

// waits ends the check if the call returns now.
func (c *call) waits() {
	c.tb.Helper()
	if c.returned(moment) {
		c.tb.Fatalf("%s did not wait: it returned %v", c.what, c.result(0))
	}
}

// do makes a call and returns its result.
func (b *bench) do(what string, limit time.Duration, f func() error) error {
	b.tb.Helper()
	return b.begin(what, f).result(limit)
}

// workers run f on n goroutines.
func (b *bench) workers(what string, n int, f func(i int)) *call {
	return b.begin(what, func() error {
		panics := make([]any, n)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				defer func() { panics[i] = recover() }()
				f(i)
			})
		}
		all.Wait()
		for _, p := range panics {
			if p != nil {
				return fmt.Errorf("panic: %v", p)
			}
		}
		return nil
	})
}
