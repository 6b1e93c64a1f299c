package producer

import (
	"context"
	"log/slog"
	"time"

	"github.com/saramakit/producer/internal/registry"
)

// abortGrace is how long Close waits, after it cut the connections, for what
// that sets free to come back and for callbacks to return.
const abortGrace = 500 * time.Millisecond

// logGrace is how long Close waits after that for the log lines.
const logGrace = 100 * time.Millisecond

// close starts the shutdown, if no other call has, and waits for it. All calls
// wait for the same one; the first whose time runs out ends it for all.
func (c *core) close(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	inCallback := c.inCallback(ctx)
	c.closeOnce.Do(func() {
		c.counts.closing.Store(true)
		c.gate.Close()
		c.log.state(slog.LevelInfo, "producer: closing", slog.Int64("in_flight", c.registry.Counts().InFlight))
		go c.shutdown()
	})
	if inCallback {
		// The callback cannot wait for itself. Somebody has to, for the bound:
		// once, since later ones would have later bounds.
		c.boundOnce.Do(func() {
			go c.awaitClosed(context.Background()) //nolint:errcheck // kept for the other calls
		})
		return ErrInCallback
	}
	return c.awaitClosed(ctx)
}

func (c *core) awaitClosed(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.closeTimeout)
		defer cancel()
	}
	if !reached(c.closed, ctx.Done()) {
		c.abortOnce.Do(func() {
			c.abortErr = endError(ctx)
			close(c.aborting)
		})
		<-c.closed // prompt now
	}
	return c.closeErr
}

// shutdown ends the producer. Every wait in it ends with aborting, or is prompt.
func (c *core) shutdown() {
	defer close(c.closed)
	<-c.gate.Idle() // senders wait for room at most, and closing the gate ended that
	mark := c.registry.Mark()
	if reached(mark.Reached(), c.aborting) {
		// Nothing is in flight. What the transport still holds has timed out.
		c.lanes.Stop()
		if reached(c.transport.Close(), c.aborting) {
			c.end()
			return
		}
	}
	c.closeErr = c.abort(mark)
}

// end stops the goroutines of a producer in which nothing is in flight. Only a
// hook that is told what came late can still run, or a user's log handler.
func (c *core) end() {
	close(c.stop)
	c.clocks.Wait()
	if !reached(c.callbacks.Stop(), c.aborting) && c.callbacks.Running() > 0 {
		c.closeErr = c.cutShort()
	} else {
		c.closedLine()
	}
	reached(c.log.Stop(), c.aborting)
}

// closedLine logs that the producer has come to its end.
func (c *core) closedLine() {
	counts := c.registry.Counts()
	c.log.state(slog.LevelInfo, "producer: closed",
		slog.Int64("delivered", counts.Delivered), slog.Int64("failed", counts.Failed))
}

// abort ends what is left within abortGrace. It returns nil if that turns out
// to be nothing, else a *CloseError.
func (c *core) abort(mark *registry.Mark) error {
	defer func() { reached(c.log.Stop(), time.After(logGrace)) }()
	c.lanes.Stop()
	// Before the connections are cut, or what that brings back would count as
	// failed for reasons of its own.
	left, _ := c.registry.Undecided(time.Now())
	for _, r := range left {
		c.giveUp(r, ErrAborted)
	}
	c.transport.Abort()
	ended := c.transport.Close()
	close(c.stop)
	c.clocks.Wait()

	grace, cancel := context.WithTimeout(context.Background(), abortGrace)
	defer cancel()
	called := reached(mark.Reached(), grace.Done())
	reached(c.callbacks.Stop(), grace.Done())
	// If this does not come in time nothing is lost: all outcomes are known.
	// What sarama still does on a borrowed client ends with its network
	// timeouts.
	reached(ended, grace.Done())
	if called && c.counts.aborted.Load() == 0 {
		c.closedLine()
		return nil
	}
	return c.cutShort()
}

// cutShort is the error of a Close that ran out of time.
func (c *core) cutShort() *CloseError {
	cut := &CloseError{
		Delivered:        int(c.counts.delivered.Load()),
		Failed:           int(c.counts.failed.Load()),
		Undelivered:      int(c.counts.aborted.Load()),
		CallbacksRunning: c.callbacks.Running(),
		Err:              c.abortErr,
	}
	c.log.state(slog.LevelWarn, "producer: aborted; Close ran out of time",
		slog.Int("undelivered", cut.Undelivered), slog.Int("callbacks_running", cut.CallbacksRunning),
		slog.Any("err", cut.Err))
	return cut
}
