package bench

import (
	"context"
	"log/slog"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// options are ours. What else is compared is our default.
func (s *Settings) options(more ...producer.Option) producer.Options {
	all := append(producer.Options{producer.WithLogger(slog.New(slog.DiscardHandler))}, more...)
	if !s.Defaults {
		all = append(all, producer.WithLinger(s.Linger), producer.WithTopics(s.Topics...))
	}
	return all
}

func (o *Outcomes) onError() producer.Option {
	return producer.WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, err error) {
		o.Done(msg.Metadata.(*Message), err) //nolint:errcheck,forcetypeassert // Send put it there
	})
}

func (o *Outcomes) onSuccess() producer.Option {
	return producer.WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) {
		o.Done(msg.Metadata.(*Message), nil) //nolint:errcheck,forcetypeassert // Send put it there
	})
}

// ourAsync is a producer.Async whose outcomes are told.
type ourAsync struct {
	Outcomes
	p *producer.Async
}

func openOurAsync(s Settings) (Client, error) { return openOurs()(s) }

// openOurs opens one with options that differ from those of the others.
func openOurs(changed ...producer.Option) func(Settings) (Client, error) {
	return func(s Settings) (Client, error) {
		c := &ourAsync{}
		var err error
		c.p, err = producer.NewAsync(context.Background(), s.Addrs, append(s.options(c.onError(), c.onSuccess()), changed...))
		return c, err
	}
}

// variants are an Async with our defaults that is told of each outcome, and some
// that differ in one thing.
func variants() []Producer {
	return []Producer{
		{Name: "defaults, OnSuccess", Ours: true, Open: openOurAsync},
		{Name: "failures only", Ours: true, Open: openOurAsyncSilent},
		{Name: "no idempotence", Ours: true, Open: openOurs(producer.WithIdempotence(false))},
		{Name: "acks=1, no idempotence", Ours: true, Open: openOurs(producer.WithIdempotence(false), producer.WithAcks(sarama.WaitForLocal))},
		{Name: "no compression", Ours: true, Open: openOurs(producer.WithCompression(sarama.CompressionNone))},
		{Name: "lz4", Ours: true, Open: openOurs(producer.WithCompression(sarama.CompressionLZ4))},
		{Name: "zstd", Ours: true, Open: openOurs(producer.WithCompression(sarama.CompressionZSTD))},
		{Name: "gzip", Ours: true, Open: openOurs(producer.WithCompression(sarama.CompressionGZIP))},
		{Name: "linger 0", Ours: true, Open: openOurs(producer.WithLinger(0))},
		{Name: "linger 50 ms", Ours: true, Open: openOurs(producer.WithLinger(50 * time.Millisecond))},
		{Name: "Java's partitioner", Ours: true, Open: openOurs(producer.WithPartitioner(producer.JavaPartitioner))},
	}
}

func (c *ourAsync) Send(m *Message) error { return c.p.Send(context.Background(), saramaMessage(m)) }

func (c *ourAsync) Flush() error {
	if err := c.p.Flush(context.Background()); err != nil {
		return err
	}
	return c.Err()
}

func (c *ourAsync) Close() error { return c.p.Close(context.Background()) }

// ourAsyncSilent is one that is told of failures only: what most services need.
type ourAsyncSilent struct{ ourAsync }

func openOurAsyncSilent(s Settings) (Client, error) {
	c := &ourAsyncSilent{}
	var err error
	c.p, err = producer.NewAsync(context.Background(), s.Addrs, s.options(c.onError()))
	return c, err
}

func (c *ourAsyncSilent) Delivered() int64 { return c.p.Stats().Delivered }

// ourSync is a producer.Sync.
type ourSync struct {
	Outcomes
	p *producer.Sync
}

func openOurSync(s Settings) (Client, error) {
	c := &ourSync{}
	var err error
	c.p, err = producer.NewSync(context.Background(), s.Addrs, s.options())
	return c, err
}

// openOurSyncTold is one that has callbacks besides.
func openOurSyncTold(s Settings) (Client, error) {
	c := &ourSync{}
	var err error
	c.p, err = producer.NewSync(context.Background(), s.Addrs, s.options(
		producer.WithOnError(func(context.Context, *sarama.ProducerMessage, error) {}),
		producer.WithOnSuccess(func(context.Context, *sarama.ProducerMessage) {}),
	))
	return c, err
}

func (c *ourSync) Send(m *Message) error {
	err := c.p.Send(context.Background(), saramaMessage(m))
	c.Done(m, err)
	return err
}

func (c *ourSync) Flush() error { return c.Err() }
func (c *ourSync) Close() error { return c.p.Close(context.Background()) }
