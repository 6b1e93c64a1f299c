package e2e

import (
	"context"
	"errors"
	"time"

	"github.com/saramakit/producer"
)

// open are the accepted messages that are not done.
func (r *run) open() (open []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.settled < len(r.entries) && r.entries[r.settled].is(entryRejected|entryDone) {
		r.settled++
	}
	for _, e := range r.entries[r.settled:] {
		if e.is(entryAccepted) && !e.is(entryDone) {
			open = append(open, e)
		}
	}
	return open
}

// flush flushes and returns a word for what came of it.
func (c *caller) flush(how ending, within time.Duration) string {
	ctx, end, bound := c.context(how, within, -1)
	defer end()
	before := c.open()
	calls := c.callbackTime.Load()
	began := time.Now()
	err := c.subject.Flush(ctx)
	if c.callback != nil {
		c.onTime("flush in a callback", began, 0)
		if !errors.Is(err, producer.ErrInCallback) {
			c.violated(contradict, "Flush in a callback said %v", err)
		}
		c.see("Flush in a callback", 1)
		return "in callback"
	}
	if bound < 0 {
		// What was accepted has its outcome by then, and then its callbacks,
		// which take what they take.
		bound = c.config.delivery + time.Duration(c.callbackTime.Load()-calls)
	}
	c.onTime("flush", began, bound)
	if err == nil {
		for _, e := range before {
			if !e.is(entryDone) {
				c.violated(outcomes, "Flush returned nil and the callbacks of message %d have not returned", e.ID)
				break
			}
		}
		if len(before) > 0 {
			c.see("Flush waited", 1)
		}
		return "ok"
	}
	left, ok := errors.AsType[*producer.FlushError](err)
	if !ok || left.Left <= 0 || ctx == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()) || !errors.Is(err, context.Cause(ctx)) {
		c.violated(contradict, "Flush said %v, its ctx %v", err, ctx)
		return "wrong"
	}
	c.see("FlushError", 1)
	return "left"
}

// close closes and returns a word for what came of it.
func (c *caller) close(how ending, within time.Duration) string {
	ctx, end, bound := c.context(how, within, -1)
	defer end()
	if bound < 0 && how != later {
		bound = c.config.closing
	}
	return c.closeWith(ctx, bound)
}

// abortGrace is what an abort may take: it makes the promised second, with the
// leeway that every call has.
const abortGrace = afterCtx - leeway

// closeWith closes. The ctx ends after bound, unless that is negative.
func (c *caller) closeWith(ctx context.Context, bound time.Duration) string {
	if len(c.open()) > 0 {
		c.see("Close under load", 1)
	}
	if c.closing.Swap(true) {
		c.see("another Close", 1)
	}
	began := time.Now()
	err := c.subject.Close(ctx)
	c.closeBack.Store(true)
	if c.callback != nil {
		c.onTime("close in a callback", began, 0)
		if !errors.Is(err, producer.ErrInCallback) {
			c.violated(contradict, "Close in a callback said %v", err)
		}
		c.mu.Lock()
		if c.abandon.IsZero() {
			c.abandon = began.Add(c.config.closing)
		}
		c.mu.Unlock()
		c.see("Close in a callback", 1)
		return "in callback"
	}
	if bound >= 0 {
		c.onTime("close", began, bound+abortGrace)
	}
	c.mu.Lock()
	first, abandon := !c.closed, c.abandon
	if first {
		c.closed, c.result = true, err
	}
	same := c.result == err //nolint:errorlint // the very same
	c.mu.Unlock()
	if !abandon.IsZero() {
		if abandon = abandon.Add(abortGrace); abandon.Before(began) {
			abandon = began
		}
		c.onTime("close begun by a callback", abandon, 0)
	}
	if !same {
		c.violated(contradict, "one Close said %v, another %v", c.result, err)
	}
	if err == nil {
		return c.closedCleanly()
	}
	failure, ok := errors.AsType[*producer.CloseError](err)
	if !ok || failure.Err == nil {
		c.violated(contradict, "Close said %v", err)
		return "wrong"
	}
	c.see("CloseError", 1)
	if failure.CallbacksRunning > 0 {
		c.see("Close left a callback behind", 1)
	}
	if failure.Undelivered > 0 {
		c.see("Close gave messages up", 1)
	}
	return "cut short"
}

// closedCleanly checks what holds when Close has returned nil.
func (c *caller) closedCleanly() string {
	c.cleanEnd.Store(true)
	if n := c.running.Load(); n != 0 {
		c.violated(outcomes, "Close returned nil and %d callbacks run", n)
	}
	if open := c.open(); len(open) > 0 {
		c.violated(outcomes, "Close returned nil and %d messages are not done, message %d first", len(open), open[0].ID)
	}
	if s := c.subject.Stats(); s.InFlight != 0 {
		c.violated(outcomes, "Close returned nil and %d messages are in flight", s.InFlight)
	}
	c.see("clean Close", 1)
	return "ok"
}

// watch takes samples of the producer's figures.
func (r *run) watch(stop <-chan struct{}) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	c := r.caller(-2, dice{})
	idle := time.Time{} // since when sends wait although the buffer is empty
	for {
		if s := c.stats(); s.Waiting == 0 || s.Buffered > 0 {
			idle = time.Time{}
		} else if idle.IsZero() {
			idle = time.Now()
		} else {
			r.onTime("room for a send that waits", idle, 0)
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// kindBooks is a violation of the books that Stats shows.
const kindBooks = "O4 books"

// stats checks the producer's figures of one moment.
func (c *caller) stats() producer.Stats {
	accepted, rejected, reentered := c.accepted.Load(), c.rejected.Load(), c.reentered.Load()
	began := time.Now()
	s := c.subject.Stats()
	c.onTime("stats", began, 0)
	begun, calls := c.begun.Load(), c.callsBegun.Load()
	check := func(ok bool, what string) {
		if !ok {
			c.violated(kindBooks, "%s: %+v; %d to %d messages, %d accepted", what, s, rejected, begun, accepted)
		}
	}
	check(s.Accepted == s.Delivered+s.Failed+s.InFlight, "the equation does not hold")
	check(s.Accepted >= accepted && s.Accepted <= begun-rejected, "Accepted is not what the sends said")
	check(s.Rejected >= rejected && s.Rejected <= begun-accepted, "Rejected is not what the sends said")
	check(s.InFlight >= 0 && s.Delivered >= 0 && s.Failed >= 0 && s.Held >= 0 && s.Buffered >= 0 && s.BufferedBytes >= 0 && s.Waiting >= 0,
		"a figure is negative")
	check(s.CallbacksRunning <= int64(c.config.workers), "more callbacks run than there are workers")
	if c.config.callbacks == toldAll {
		check(s.Delivered+s.Failed <= calls, "messages are done without their callbacks")
	}
	factor := int64(1)
	if reentered > 0 || c.reentered.Load() > 0 {
		factor = 2 // what sends in callbacks may overdraw
	}
	check(s.Buffered <= factor*int64(c.config.maxBuffered) && s.BufferedBytes <= factor*c.config.maxBytes, "the budget is overdrawn")
	for state, n := range map[string]bool{
		"Stats: Waiting": s.Waiting > 0, "Stats: Held": s.Held > 0, "Stats: Late": s.Late > 0,
		"Stats: SlowCallbacks": s.SlowCallbacks > 0, "Stats: full": s.Buffered >= int64(c.config.maxBuffered),
		"Stats: overdrawn": s.Buffered > int64(c.config.maxBuffered) || s.BufferedBytes > c.config.maxBytes,
	} {
		if n {
			c.see(state, 1)
		}
	}
	return s
}
