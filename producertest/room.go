package producertest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/saramakit/producer"
)

// roomChecks are about a buffer that is full. Callbacks that do not return fill
// it, since a message keeps its room until they do.
func roomChecks() []check {
	return []check{
		{name: "Send without room returns ErrBufferFull in time", run: roomInTime},
		{name: "Send without room ends with its ctx", run: roomUntilCtx},
		{name: "Send without room goes on when a callback returns", run: roomComesBack},
		{name: "Send without room is woken by Close", run: roomAndClose},
		{name: "Send in a callback does not wait for room that it keeps itself", run: roomInCallback},
		{name: "TrySend does not wait for room", run: roomTrySend},
	}
}

// room is how many messages fit in these checks.
const room = 4

// openFull opens a producer whose buffer is full until held opens.
func openFull(b *bench, s Settings) (x *trial, held *gate) {
	b.tb.Helper()
	held = b.gate()
	s.MaxBuffered = room
	x = b.open(s, func(context.Context, *note) { held.wait() })
	x.mustSend(room)
	return x, held
}

func roomInTime(b *bench) {
	x, held := openFull(b, Settings{MaxBlock: brief})
	start, ctx := time.Now(), b.ctx()
	err := b.do("Send", brief+slack, func() error { return x.post(ctx, x.message()) })
	x.refused("Send without room", err, producer.ErrBufferFull)
	if took := time.Since(start); took < brief {
		b.tb.Errorf("Send without room has waited for %v, with a MaxBlock of %v", took, brief)
	}
	held.open()
	x.finish()
}

func roomUntilCtx(b *bench) {
	x, held := openFull(b, Settings{MaxBlock: 2 * patience})
	ctx, cancel := context.WithTimeoutCause(b.tb.Context(), brief, errors.New("the reason of the test"))
	defer cancel()
	err := b.do("Send", brief+slack, func() error { return x.post(ctx, x.message()) })
	x.refused("Send whose ctx ends while there is no room", err, producer.ErrBufferFull)
	x.ranOut(ctx, "Send whose ctx ends while there is no room", err)
	held.open()
	x.finish()
}

func roomComesBack(b *bench) {
	x, held := openFull(b, Settings{MaxBlock: 2 * patience})
	ctx := b.ctx()
	sending := b.begin("Send", func() error { return x.post(ctx, x.message()) })
	sending.waits()
	held.open()
	if err := sending.result(patience); err != nil {
		b.tb.Fatalf("Send returned %v, although there is room again", err)
	}
	x.flush()
	x.mustSend(2 * room)
	x.finish()
}

func roomAndClose(b *bench) {
	x, held := openFull(b, Settings{MaxBlock: 2 * patience})
	ctx := b.ctx()
	sending := b.begin("Send", func() error { return x.post(ctx, x.message()) })
	sending.waits()
	closing := b.begin("Close", func() error { return x.Producer.Close(ctx) })
	x.refused("Send that waits for room when Close begins", sending.result(slack), producer.ErrClosed)
	held.open()
	if err := closing.result(patience + closeGrace); err != nil {
		b.tb.Errorf("Close returned %v", err)
	}
	x.finish()
}

func roomInCallback(b *bench) {
	full, held := b.gate(), b.gate()
	var x *trial
	var busy atomic.Bool
	x = b.open(Settings{MaxBuffered: room, MaxBlock: 2 * patience}, func(ctx context.Context, _ *note) {
		if busy.Swap(true) {
			held.wait()
			return
		}
		defer held.open() // nothing has room before
		full.wait()
		for _, ctx := range []context.Context{ctx, b.tb.Context()} {
			late := newAlarm(slack)
			// It may overdraw the buffer, or not.
			err := x.post(ctx, x.message())
			if late.rang() {
				x.problemf("Send in a callback has waited for longer than %v, and returned %v", slack, err)
			}
			late.stop()
			if err != nil && !errors.Is(err, producer.ErrBufferFull) {
				x.problemf("Send in a callback returned %v", err)
			}
		}
	})
	x.mustSend(room)
	full.open()
	x.finish()
}

func roomTrySend(b *bench) {
	x, held := openFull(b, Settings{MaxBlock: 2 * patience})
	try, ok := x.Producer.(trySender)
	if !ok {
		b.tb.Skip("it has no TrySend")
	}
	ctx, msg := b.ctx(), x.message()
	err := b.do("TrySend", slack, func() error { return x.answered(msg, try.TrySend(ctx, msg)) })
	x.refused("TrySend without room", err, producer.ErrBufferFull)
	held.open()
	x.flush()
	msg = x.message()
	if err := x.answered(msg, try.TrySend(ctx, msg)); err != nil {
		b.tb.Errorf("TrySend with room returned %v", err)
	}
	x.finish()
}
