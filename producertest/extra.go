package producertest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// extraChecks are about methods that not every implementation has.
func extraChecks() []check {
	return []check{
		{name: "Stats are balanced at every moment", run: extraStats},
		{name: "TrySend refuses what Send refuses", run: extraTrySend},
		{name: "SendFunc tells its function first, and once", run: extraSendFunc},
		{name: "SendAll returns what became of each message", run: extraSendAll},
	}
}

func extraStats(b *bench) {
	x := b.open(Settings{MaxBuffered: 32}, nil)
	if _, ok := x.stats(); !ok {
		b.tb.Skip("it has no Stats")
	}
	ctx := b.ctx()
	var refused atomic.Int64
	sending := x.workers("Send", 4, func(int) {
		for i := range x.many() {
			msg := x.message()
			if i%10 == 0 {
				msg.Topic = ""
				refused.Add(1)
			}
			_ = x.post(ctx, msg)
		}
	})
	end := newAlarm(patience)
	defer end.stop()
	for last := int64(0); !sending.returned(200*time.Microsecond) && !end.rang(); {
		s, _ := x.stats()
		if s.Accepted != s.Delivered+s.Failed+s.InFlight || s.InFlight < 0 || s.Accepted < last {
			b.tb.Fatalf("Stats are not balanced, or went back from %d accepted ones: %+v", last, s)
		}
		last = s.Accepted
	}
	if err := sending.result(slack); err != nil {
		b.tb.Fatalf("Send: %v", err)
	}
	x.finish()
	if s, _ := x.stats(); s.Rejected != refused.Load() {
		b.tb.Errorf("%d sends were refused; Stats has %d", refused.Load(), s.Rejected)
	}
}

func extraTrySend(b *bench) {
	x := b.open(Settings{}, nil)
	try, ok := x.Producer.(trySender)
	if !ok {
		b.tb.Skip("it has no TrySend")
	}
	send := func(ctx context.Context, msg *sarama.ProducerMessage) error {
		return b.do("TrySend", slack, func() error { return x.answered(msg, try.TrySend(ctx, msg)) })
	}
	ended := b.ended(errors.New("the reason of the test"))
	x.refused("TrySend with a ctx that has ended", send(ended, x.message()), ended.Err(), context.Cause(ended))
	x.refused("TrySend of a nil message", send(b.ctx(), nil), producer.ErrInvalidMessage)
	if err := send(b.ctx(), x.message()); err != nil {
		b.tb.Errorf("TrySend returned %v", err)
	}
	x.flush()
	x.close()
	x.refused("TrySend after Close", send(b.ctx(), x.message()), producer.ErrClosed)
	x.judge()
}

func extraSendFunc(b *bench) {
	type told struct {
		calls  int
		before int // outcomes that OnSuccess and OnError had been told of
		msg    *sarama.ProducerMessage
		err    error
	}
	x := b.open(Settings{}, nil)
	fun, ok := x.Producer.(funcSender)
	if !ok {
		b.tb.Skip("it has no SendFunc")
	}
	results := make([]told, 10) // guarded by x.mu
	ctx := b.ctx()
	var notes []*note
	send := func(i int) error {
		msg := x.message()
		n := noteOf(msg)
		notes = append(notes, n)
		return b.do("SendFunc", slack, func() error {
			return x.answered(msg, fun.SendFunc(ctx, msg, func(_ context.Context, msg *sarama.ProducerMessage, err error) {
				x.mu.Lock()
				defer x.mu.Unlock()
				results[i] = told{results[i].calls + 1, len(n.outcomes), msg, err}
			}))
		})
	}
	for i := range len(results) - 1 {
		if err := send(i); err != nil {
			b.tb.Fatalf("SendFunc returned %v", err)
		}
	}
	x.finish()
	last := len(results) - 1
	x.refused("SendFunc after Close", send(last), producer.ErrClosed)
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, r := range results[:last] {
		if r.calls != 1 || r.before != 0 {
			b.tb.Errorf("the function of SendFunc was called %d times, last after %d other callbacks", r.calls, r.before)
			continue
		}
		if o := notes[i].outcomes; len(o) != 1 || r.err != nil || r.msg == nil || r.msg.Offset != o[0].msg.Offset || r.msg.Partition != o[0].msg.Partition {
			b.tb.Errorf("the function of SendFunc was told %+v, %v; the callback something else", r.msg, r.err)
		}
	}
	if results[last].calls != 0 {
		b.tb.Error("the function of a SendFunc that was refused was called")
	}
}

// allSender is what a Sync can do.
type allSender interface {
	SendAll(ctx context.Context, msgs []*sarama.ProducerMessage) error
}

func extraSendAll(b *bench) {
	x := b.open(Settings{}, nil)
	all, ok := x.Producer.(allSender)
	if !ok {
		b.tb.Skip("it has no SendAll")
	}
	ctx := b.ctx()
	send := func(msgs ...*sarama.ProducerMessage) error {
		return b.do("SendAll", patience, func() error { return all.SendAll(ctx, msgs) })
	}
	good := []*sarama.ProducerMessage{x.message(), x.message(), x.message()}
	for what, err := range map[string]error{"of nothing": send(), "of good messages": send(good...)} {
		if err != nil {
			b.tb.Errorf("SendAll %s returned %v", what, err)
		}
	}
	for _, msg := range good {
		_ = x.answered(msg, nil)
	}
	mixed := []*sarama.ProducerMessage{x.message(), nil, x.message()}
	err := send(mixed...)
	batch, ok := errors.AsType[*producer.BatchError](err)
	if !ok || len(batch.Errs) != len(mixed) {
		b.tb.Fatalf("SendAll with a bad message returned %v", err)
	}
	x.refused("a nil message of a batch", batch.Errs[1], producer.ErrInvalidMessage)
	for i, msg := range mixed {
		if i != 1 && x.answered(msg, batch.Errs[i]) != nil {
			b.tb.Errorf("SendAll returned %v for a good message of a batch with a bad one", batch.Errs[i])
		}
	}
	x.finish()
	batch, ok = errors.AsType[*producer.BatchError](send(x.message()))
	if !ok || len(batch.Errs) != 1 || !errors.Is(batch.Errs[0], producer.ErrClosed) {
		b.tb.Errorf("SendAll after Close returned %v", batch)
	}
}
