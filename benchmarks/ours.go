package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// linger is the library's default for an Async.
const linger = 5 * time.Millisecond

// ourAsync is a producer.Async.
type ourAsync struct {
	p                 *producer.Async
	callbacks         bool
	delivered, failed atomic.Int64
}

func newOurAsync(addrs []string, callbacks bool) (side, error) {
	o := &ourAsync{callbacks: callbacks}
	opts := producer.Options{
		producer.WithLinger(linger),
		producer.WithTopics(topic),
		producer.WithOnError(func(context.Context, *sarama.ProducerMessage, error) { o.failed.Add(1) }),
	}
	if callbacks {
		opts = append(opts, producer.WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { o.delivered.Add(1) }))
	}
	var err error
	o.p, err = producer.NewAsync(context.Background(), addrs, opts)
	return o, err
}

func (o *ourAsync) run(l *load) error {
	ctx := context.Background()
	before := o.delivered.Load()
	err := l.each(func(msg *sarama.ProducerMessage) error { return o.p.Send(ctx, msg) })
	if err := errors.Join(err, o.p.Flush(ctx)); err != nil {
		return err
	}
	if n := o.failed.Load(); n > 0 {
		return fmt.Errorf("%d messages failed", n)
	}
	if n := o.delivered.Load() - before; o.callbacks && n != int64(l.messages) {
		return fmt.Errorf("OnSuccess was called for %d of %d messages", n, l.messages)
	}
	return nil
}

func (o *ourAsync) close() error { return o.p.Close(context.Background()) }

// newOurDefaults changes nothing: acks=all, idempotent, snappy, linger 5 ms.
func newOurDefaults(addrs []string) (side, error) {
	o := &ourAsync{}
	var err error
	o.p, err = producer.NewAsync(context.Background(), addrs,
		producer.WithOnError(func(context.Context, *sarama.ProducerMessage, error) { o.failed.Add(1) }))
	return o, err
}

// ourSync is a producer.Sync.
type ourSync struct{ p *producer.Sync }

func newOurSync(addrs []string) (side, error) {
	p, err := producer.NewSync(context.Background(), addrs, producer.WithTopics(topic))
	if err != nil {
		return nil, err
	}
	return &ourSync{p: p}, nil
}

func (o *ourSync) run(l *load) error {
	ctx := context.Background()
	return l.each(func(msg *sarama.ProducerMessage) error { return o.p.Send(ctx, msg) })
}

func (o *ourSync) close() error { return o.p.Close(context.Background()) }
