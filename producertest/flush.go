package producertest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/saramakit/producer"
)

// flushChecks are about Flush.
func flushChecks() []check {
	return []check{
		{name: "Flush waits for outcomes", run: flushOutcomes},
		{name: "Flush waits for callbacks", run: flushCallbacks},
		{name: "Flush does not wait for later sends", run: flushLaterSends},
		{name: "Flush of a drained producer returns nil, whatever its ctx", run: flushDrained},
		{name: "Flush ends with its ctx, and can go on", run: flushEnds},
	}
}

func flushOutcomes(b *bench) {
	x := b.open(Settings{}, nil)
	for range 3 {
		x.mustSend(50)
		x.flush()
		x.mu.Lock()
		if expected := x.expected(); x.finished != expected {
			b.tb.Errorf("Flush returned when %d of %d callbacks had returned", x.finished, expected)
		}
		x.mu.Unlock()
	}
	x.finish()
}

func flushCallbacks(b *bench) {
	held := b.gate()
	x := b.open(Settings{}, func(context.Context, *note) { held.wait() })
	x.mustSend(2)
	x.untilTold(1)
	ctx := b.ctx()
	flushing := b.begin("Flush", func() error { return x.Producer.Flush(ctx) })
	flushing.waits()
	held.open()
	if err := flushing.result(patience); err != nil {
		b.tb.Errorf("Flush returned %v", err)
	}
	x.finish()
}

// Each callback sends the next message, so that there is no moment at which none
// is in flight.
func flushLaterSends(b *bench) {
	var x *trial
	var stop atomic.Bool
	x = b.open(Settings{}, func(ctx context.Context, _ *note) {
		if stop.Load() {
			return
		}
		if err := x.post(ctx, x.message()); err != nil {
			x.problemf("Send in a callback returned %v", err)
		}
	})
	x.mustSend(1)
	ctx := b.ctx()
	flushing := b.begin("Flush", func() error { return x.Producer.Flush(ctx) })
	err := flushing.result(patience / 6)
	stop.Store(true)
	if err != nil {
		b.tb.Errorf("Flush returned %v", err)
	}
	x.finish()
}

func flushDrained(b *bench) {
	x := b.open(Settings{}, nil)
	drained := func(when string) {
		b.tb.Helper()
		ctx := b.ended(errors.New("the reason of the test"))
		if err := b.do("Flush", slack, func() error { return x.Producer.Flush(ctx) }); err != nil {
			b.tb.Errorf("Flush %s returned %v", when, err)
		}
	}
	drained("of a new producer")
	x.mustSend(3)
	x.flush()
	drained("of a drained producer")
	x.close()
	drained("after Close")
	x.judge()
}

func flushEnds(b *bench) {
	held := b.gate()
	x := b.open(Settings{}, func(context.Context, *note) { held.wait() })
	x.mustSend(2)
	cause := errors.New("the reason of the test")
	brieflyAlive, cancel := context.WithTimeoutCause(b.tb.Context(), brief, cause)
	defer cancel()
	for _, ctx := range []context.Context{b.ended(cause), brieflyAlive} {
		err := b.do("Flush", brief+slack, func() error { return x.Producer.Flush(ctx) })
		b.ranOut(ctx, "Flush whose ctx ends", err)
		ran, ok := errors.AsType[*producer.FlushError](err)
		if !ok || ran.Left != 2 {
			b.tb.Errorf("Flush of two messages that are not done returned %#v", err)
		}
	}
	held.open()
	x.finish()
}
