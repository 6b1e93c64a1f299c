package producertest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// abortChecks are about a Close that runs out of time. A callback that does not
// return is the way to get there without breaking the cluster.
func abortChecks() []check {
	return []check{
		{name: "Close with a ctx that has ended aborts at once, and every message has its outcome", run: abortAtOnce},
		{name: "Close ends in time although a callback blocks", run: abortInTime},
		{name: "Close without a deadline ends after CloseTimeout", run: abortCloseTimeout},
		{name: "Close from a callback ends after CloseTimeout", run: abortFromACallback},
		{name: "Close ends for all with the first ctx that does", run: abortForAll},
		{name: "Close returns the first result when it is called again", run: abortAgain},
	}
}

func abortAtOnce(b *bench) {
	x := b.open(Settings{}, nil)
	sending := x.sendSome()
	cause := errors.New("the reason of the test")
	ctx := b.ended(cause)
	err := b.do("Close", closeGrace, func() error { return x.Producer.Close(ctx) })
	if err != nil { // else there was nothing to cut short
		x.ranOutOfTime(ctx, err)
	}
	if err := sending.result(slack); err != nil {
		b.tb.Errorf("Send that Close aborts: %v", err)
	}
	x.settle()
}

// ranOutOfTime checks the error of a Close whose ctx has ended, and ends the check
// if it is of another kind.
func (x *trial) ranOutOfTime(ctx context.Context, err error) {
	x.tb.Helper()
	if closeError(err) == nil {
		x.tb.Fatalf("Close that ran out of time returned %v, which wraps no *CloseError", err)
	}
	x.ranOut(ctx, "Close that ran out of time", err)
}

// openBlocked opens a producer of whose callbacks the first blocks.
func openBlocked(b *bench, s Settings) (x *trial, held *gate) {
	b.tb.Helper()
	held = b.gate()
	var busy atomic.Bool
	x = b.open(s, func(context.Context, *note) {
		if !busy.Swap(true) {
			held.wait()
		}
	})
	x.mustSend(5)
	x.untilTold(1)
	return x, held
}

func abortInTime(b *bench) {
	x, held := openBlocked(b, Settings{})
	ctx := b.within(brief)
	err := b.do("Close", brief+closeGrace, func() error { return x.Producer.Close(ctx) })
	x.ranOutOfTime(ctx, err)
	if running := closeError(err).CallbacksRunning; running < 1 {
		b.tb.Errorf("Close says that %d callbacks run, and one does", running)
	}
	held.open()
	x.settle()
}

func abortCloseTimeout(b *bench) {
	x, held := openBlocked(b, Settings{CloseTimeout: brief})
	start := time.Now()
	err := b.do("Close", brief+closeGrace, func() error { return x.Producer.Close(b.tb.Context()) })
	if took := time.Since(start); took < brief {
		b.tb.Errorf("Close has not waited for CloseTimeout, only for %v", took)
	}
	if closeError(err) == nil || !errors.Is(err, context.DeadlineExceeded) {
		b.tb.Errorf("Close that ran out of time returned %v", err)
	}
	held.open()
	x.settle()
}

func abortFromACallback(b *bench) {
	begun, held := b.gate(), b.gate()
	var x *trial
	x = b.open(Settings{CloseTimeout: brief}, func(ctx context.Context, _ *note) {
		_ = x.Producer.Close(ctx)
		begun.open()
		held.wait()
	})
	x.mustSend(1)
	b.await("Close in a callback returns", begun)
	// It would wait longer itself.
	ctx := b.ctx()
	err := b.do("Close", brief+closeGrace, func() error { return x.Producer.Close(ctx) })
	if closeError(err) == nil {
		b.tb.Errorf("Close that ran out of time returned %v", err)
	}
	held.open()
	x.settle()
}

func abortForAll(b *bench) {
	x, held := openBlocked(b, Settings{})
	ctx := b.ctx()
	patient := b.begin("Close with time", func() error { return x.Producer.Close(ctx) })
	patient.waits()
	hurried := b.within(brief)
	err := b.do("Close", brief+closeGrace, func() error { return x.Producer.Close(hurried) })
	x.ranOutOfTime(hurried, err)
	x.ranOutOfTime(hurried, patient.result(slack))
	held.open()
	x.settle()
}

func abortAgain(b *bench) {
	x, held := openBlocked(b, Settings{})
	ended, alive := b.ended(nil), b.ctx()
	first := b.do("Close", closeGrace, func() error { return x.Producer.Close(ended) })
	if first == nil {
		b.tb.Fatal("Close returned nil while a callback ran")
	}
	held.open()
	x.until("the callbacks have returned", patience, func() bool { return x.finished == x.expected() })
	again := b.do("Close", slack, func() error { return x.Producer.Close(alive) })
	if again == nil || again.Error() != first.Error() {
		b.tb.Errorf("Close returned %v first, and then %v", first, again)
	}
	x.settle()
}
