package producertest

import (
	"context"
	"errors"
	"runtime"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// callbackChecks are about what callbacks get, and what they may do.
func callbackChecks() []check {
	return []check{
		{name: "callbacks get the values of Send's ctx, and no end of it", run: callbackCtx},
		{name: "callbacks may send", run: callbacksSend},
		{name: "callbacks get ErrInCallback from Flush", run: callbacksFlush},
		{name: "callbacks get ErrInCallback from Close, which begins", run: callbacksClose},
		{name: "callbacks may panic and end their goroutine", run: callbacksPanic},
		{name: "callbacks that block do not hold up Send of a Sync", suits: onlySync, run: callbacksBlockNoSync},
	}
}

// key is that of a value in a ctx.
type key struct{}

func callbackCtx(b *bench) {
	var x *trial
	held := b.gate()
	x = b.open(Settings{}, func(ctx context.Context, n *note) {
		held.wait() // until Send's ctx has ended
		if got := ctx.Value(key{}); got != n.number {
			x.problemf("the ctx of the callback of message %d has the value %v", n.number, got)
		}
		if _, ok := ctx.Deadline(); ok || ctx.Err() != nil {
			x.problemf("the ctx of the callback of message %d has a deadline, or has ended: %v", n.number, ctx.Err())
		}
	})
	for i := range 3 {
		ctx, cancel := context.WithTimeout(context.WithValue(b.tb.Context(), key{}, i), patience)
		err := x.send(ctx, x.message())
		cancel()
		if err != nil {
			b.tb.Fatalf("Send returned %v", err)
		}
	}
	held.open()
	x.finish()
}

func callbacksSend(b *bench) {
	const first = 5
	var x *trial
	x = b.open(Settings{}, func(ctx context.Context, n *note) {
		if n.number >= first {
			return
		}
		// With the callback's ctx, and with one that knows nothing of it.
		for _, ctx := range []context.Context{ctx, b.tb.Context()} {
			if err := x.post(ctx, x.message()); err != nil {
				x.problemf("Send in a callback returned %v", err)
			}
			if try, ok := x.Producer.(trySender); ok {
				msg := x.message()
				if err := x.answered(msg, try.TrySend(ctx, msg)); err != nil {
					x.problemf("TrySend in a callback returned %v", err)
				}
			}
			x.stats()
		}
	})
	var parents []*sarama.ProducerMessage
	for range first {
		parents = append(parents, x.message())
	}
	for _, msg := range parents {
		if err := x.send(b.ctx(), msg); err != nil {
			b.tb.Fatalf("Send returned %v", err)
		}
	}
	x.finish()
	x.allDelivered()
}

// inCallback calls the producer in the first callback, with the callback's ctx
// and with one that knows nothing of it, and checks what it says.
func inCallback(b *bench, what string, call func(p producer.Producer, ctx context.Context) error) *trial {
	var x *trial
	x = b.open(Settings{}, func(ctx context.Context, n *note) {
		if n.number > 0 {
			return
		}
		for _, ctx := range []context.Context{ctx, b.tb.Context()} {
			late := newAlarm(slack)
			if err := call(x.Producer, ctx); !errors.Is(err, producer.ErrInCallback) {
				x.problemf("%s in a callback returned %v", what, err)
			}
			if late.rang() {
				x.problemf("%s in a callback took longer than %v", what, slack)
			}
			late.stop()
		}
	})
	x.mustSend(1)
	x.until("the callback has returned", patience, func() bool { return x.finished > 0 })
	return x
}

func callbacksFlush(b *bench) {
	x := inCallback(b, "Flush", producer.Producer.Flush)
	x.mustSend(1)
	x.finish()
}

func callbacksClose(b *bench) {
	x := inCallback(b, "Close", producer.Producer.Close)
	x.refused("Send after Close in a callback", x.send(b.ctx(), x.message()), producer.ErrClosed)
	x.finish()
}

func callbacksPanic(b *bench) {
	x := b.open(Settings{}, func(_ context.Context, n *note) {
		switch n.number % 4 {
		case 0:
			panic("a callback that panics")
		case 1:
			runtime.Goexit()
		}
	})
	x.mustSend(12)
	x.finish()
	x.allDelivered()
}

func callbacksBlockNoSync(b *bench) {
	held := b.gate()
	x := b.open(Settings{}, func(context.Context, *note) { held.wait() })
	for range 3 {
		ctx := b.ctx()
		if err := b.do("Send", patience/2, func() error { return x.post(ctx, x.message()) }); err != nil {
			b.tb.Fatalf("Send returned %v", err)
		}
	}
	held.open()
	x.finish()
}
