package producertest

import (
	"context"
	"errors"

	"github.com/saramakit/producer"
)

// closeChecks are about a Close that has time enough.
func closeChecks() []check {
	return []check{
		{name: "Close delivers what was accepted", run: closeDelivers},
		{name: "Close waits for callbacks", run: closeWaits},
		{name: "Close may be called again and by many at once", run: closeOften},
		{name: "Close of a drained producer returns nil, whatever its ctx", run: closeDrained},
		{name: "Close refuses the sends that it races, or reports them", run: closeRaces},
		{name: "Close leaves no goroutine behind", run: closeLeavesNothing},
	}
}

func closeDelivers(b *bench) {
	x := b.open(Settings{}, nil)
	x.mustSend(100)
	x.close()
	x.judge()
	x.allDelivered()
}

func closeWaits(b *bench) {
	held := b.gate()
	x := b.open(Settings{}, func(context.Context, *note) { held.wait() })
	x.mustSend(3)
	ctx := b.ctx()
	closing := b.begin("Close", func() error { return x.Producer.Close(ctx) })
	closing.waits()
	x.refused("Send after Close has begun", x.send(b.ctx(), x.message()), producer.ErrClosed)
	held.open()
	if err := closing.result(patience); err != nil {
		b.tb.Errorf("Close returned %v", err)
	}
	x.close()
	x.judge()
}

func closeOften(b *bench) {
	x := b.open(Settings{}, nil)
	x.mustSend(20)
	ctx := b.ctx()
	errs := make([]error, 8)
	err := x.workers("Close", len(errs), func(i int) { errs[i] = x.Producer.Close(ctx) }).result(patience)
	ended := b.ended(nil)
	again := b.do("Close", slack, func() error { return x.Producer.Close(ended) })
	if err = errors.Join(err, again, errors.Join(errs...)); err != nil {
		b.tb.Errorf("Close returned %v", err)
	}
	x.close()
	x.judge()
}

func closeDrained(b *bench) {
	x := b.open(Settings{}, nil)
	x.mustSend(3)
	x.flush()
	ctx := b.ended(errors.New("the reason of the test"))
	if err := b.do("Close", closeGrace, func() error { return x.Producer.Close(ctx) }); err != nil {
		b.tb.Errorf("Close returned %v, although it has cut nothing short", err)
	}
	x.close()
	x.judge()
}

func closeRaces(b *bench) {
	for range 3 {
		var x *trial
		x = b.open(Settings{MaxBuffered: 64}, func(ctx context.Context, n *note) { // some wait for room
			if n.number%5 > 0 {
				return
			}
			err := x.post(ctx, x.message())
			if err != nil && !errors.Is(err, producer.ErrClosed) && !errors.Is(err, producer.ErrBufferFull) {
				x.problemf("Send in a callback that races Close returned %v", err)
			}
		})
		ctx := b.ctx()
		sending := x.workers("Send and Flush", 6, func(i int) {
			for {
				err := x.post(ctx, x.message())
				if errors.Is(err, producer.ErrClosed) {
					return
				}
				if i == 0 {
					err = errors.Join(err, x.Producer.Flush(ctx))
					x.stats()
				}
				if err != nil {
					x.problemf("Send or Flush that races Close returned %v", err)
					return
				}
			}
		})
		x.untilTold(20)
		if err := b.do("Close", patience+closeGrace, func() error { return x.Producer.Close(ctx) }); err != nil {
			b.tb.Errorf("Close returned %v", err)
		}
		if err := sending.result(slack); err != nil {
			b.tb.Errorf("Send that races Close: %v", err)
		}
		x.close()
		x.judge()
	}
}

func closeLeavesNothing(b *bench) {
	b.watch()
	x := b.open(Settings{}, nil)
	x.mustSend(20)
	x.finish()
}
