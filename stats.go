package producer

import "time"

// Stats are a producer's figures at one moment. Accepted == Delivered + Failed
// + InFlight holds in each. A message is in flight from its acceptance until its
// callbacks have returned.
type Stats struct {
	Accepted  int64 // messages that a send took over
	Delivered int64 // of them: delivered
	Failed    int64 // of them: failed
	InFlight  int64 // of them: neither, or with callbacks that have not returned

	Rejected int64 // sends that returned an error and accepted nothing
	// Late counts deliveries that were confirmed after the message had been
	// reported as failed: it had timed out, or Close had aborted it.
	Late int64
	// Held counts messages whose outcome is known but which sarama has not let
	// go of. They keep their room in the buffer.
	Held int64

	Buffered      int64 // messages that take room in the buffer
	BufferedBytes int64 // bytes of the buffer that are taken, see MessageOverhead
	Waiting       int64 // sends that wait for room

	OldestInFlight time.Duration // how long the oldest message is in flight; 0: none is

	CallbackPanics   int64 // callbacks that panicked or ended their goroutine
	SlowCallbacks    int64 // callbacks that ran for longer than WithSlowCallback
	CallbacksRunning int64 // callbacks that run now

	// Stalls counts how often the producer has stalled, and Stalled says whether
	// it is now: see WithStallTimeout.
	Stalls  int64
	Stalled bool
}

func (c *core) stats() Stats {
	counts := c.registry.Counts()
	s := Stats{
		Accepted: counts.Accepted, Delivered: counts.Delivered,
		Failed: counts.Failed, InFlight: counts.InFlight,
		Rejected: c.counts.rejected.Load(), Late: c.counts.late.Load(), Held: max(0, c.counts.held.Load()),
		Buffered: c.budget.Messages(), BufferedBytes: c.budget.Bytes(), Waiting: c.counts.waiting.Load(),
		CallbackPanics: c.counts.panics.Load(), SlowCallbacks: c.counts.slow.Load(),
		CallbacksRunning: int64(c.callbacks.Running()),
		Stalls:           c.counts.stalls.Load(), Stalled: c.counts.stalled.Load(),
	}
	if oldest, ok := c.registry.Oldest(); ok {
		s.OldestInFlight = time.Since(oldest)
	}
	return s
}
