package producer

import (
	"context"
	"log/slog"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
	"github.com/saramakit/producer/internal/transport"
)

// instant is a transport that delivers each record while it is submitted.
type instant struct {
	c    *core
	one  [1]transport.Outcome
	done chan struct{}
}

func (i *instant) Submit(r *record.Record) {
	i.one[0] = transport.Outcome{Record: r}
	i.c.returned(i.one[:])
}
func (*instant) Ask(context.Context, string) error { return nil }
func (*instant) Ping(context.Context) error        { return nil }
func (*instant) Abort()                            {}
func (i *instant) Close() <-chan struct{}          { return i.done }

// newInstant returns an Async over a transport that costs nothing, with an open
// topic.
func newInstant(tb testing.TB, opts ...Option) *Async {
	tb.Helper()
	cfg := asyncDefaults()
	Options(opts).apply(cfg)
	cfg.logger = slog.New(slog.DiscardHandler)
	_, err := cfg.sarama(nil)
	require.NoError(tb, err)
	c, err := newCore(cfg, func(c *core) (seam, error) {
		done := make(chan struct{})
		close(done)
		return &instant{c: c, done: done}, nil
	})
	require.NoError(tb, err)
	c.lanes.Open("t")
	p := &Async{core: c}
	tb.Cleanup(func() { require.NoError(tb, p.Close(context.Background())) })
	return p
}

// A timer, a derived context, a goroutine or a channel would each be one more.
//
//nolint:paralleltest // allocations are counted for the whole process
func TestSend_onTheFastPathAllocatesTheRecordAndItsBytesOnly(t *testing.T) {
	p := newInstant(t)
	ctx := context.Background()
	msg := &sarama.ProducerMessage{Topic: "t", Key: sarama.StringEncoder("key"), Value: sarama.ByteEncoder("value")}
	allocations := testing.AllocsPerRun(1000, func() {
		if err := p.Send(ctx, msg); err != nil {
			panic(err)
		}
	})
	require.LessOrEqual(t, allocations, 2.0)
}

// What a hook gets in OnSend is used again, and the times are noted behind the record.
//
//nolint:paralleltest // allocations are counted for the whole process
func TestSend_withAHookAllocatesNothingMore(t *testing.T) {
	p := newInstant(t, WithHook(Hook{
		OnSend: func(ctx context.Context, _ *sarama.ProducerMessage) context.Context { return ctx },
		OnDone: func(context.Context, *sarama.ProducerMessage, Outcome) {},
	}))
	ctx := context.Background()
	msg := &sarama.ProducerMessage{Topic: "t", Key: sarama.StringEncoder("key"), Value: sarama.ByteEncoder("value")}
	allocations := testing.AllocsPerRun(1000, func() {
		if err := p.Send(ctx, msg); err != nil {
			panic(err)
		}
	})
	require.LessOrEqual(t, allocations, 2.0)
}

// BenchmarkSend is what the library does for a message beside sarama, and
// BenchmarkSendWithAHook with a hook that does nothing.
func BenchmarkSend(b *testing.B) { benchmarkSend(b, newInstant(b, WithOnSuccess(ignore))) }

func BenchmarkSendWithAHook(b *testing.B) {
	benchmarkSend(b, newInstant(b, WithOnSuccess(ignore), WithHook(Hook{
		OnSend: func(ctx context.Context, _ *sarama.ProducerMessage) context.Context { return ctx },
		OnDone: func(context.Context, *sarama.ProducerMessage, Outcome) {},
	})))
}

func ignore(context.Context, *sarama.ProducerMessage) {}

func benchmarkSend(b *testing.B, p *Async) {
	b.Helper()
	ctx := context.Background()
	msg := &sarama.ProducerMessage{Topic: "t", Value: sarama.ByteEncoder(make([]byte, 100))}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Send(ctx, msg); err != nil {
			b.Fatal(err)
		}
	}
}
