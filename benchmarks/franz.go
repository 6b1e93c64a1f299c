package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is a kgo.Client: idempotent with acks=all, as it is by default.
type franz struct {
	client            *kgo.Client
	delivered, failed atomic.Int64
}

func openFranz(addrs []string, opts ...kgo.Opt) (*franz, error) {
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addrs...))...)
	return &franz{client: client}, err
}

// franzOptions are the settings that the others have: snappy, the same limits.
func franzOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.MaxBufferedRecords(100_000),
		kgo.MaxBufferedBytes(64 << 20),
	}
}

func newFranzAsync(addrs []string) (side, error) {
	return openFranz(addrs, append(franzOptions(), kgo.ProducerLinger(linger))...)
}

func newFranzDefaults(addrs []string) (side, error) { return openFranz(addrs) }

var errFailed = errors.New("messages have failed")

func (f *franz) run(l *load) error {
	ctx := context.Background()
	before := f.delivered.Load()
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			f.failed.Add(1)
			return
		}
		f.delivered.Add(1)
	}
	err := l.each(func(msg *sarama.ProducerMessage) error {
		f.client.Produce(ctx, franzRecord(msg), done)
		return nil
	})
	if err := errors.Join(err, f.client.Flush(ctx)); err != nil {
		return err
	}
	if f.failed.Load() > 0 || f.delivered.Load()-before != int64(l.messages) {
		return errFailed
	}
	return nil
}

// franzRecord is a message as franz-go has it.
func franzRecord(msg *sarama.ProducerMessage) *kgo.Record {
	return &kgo.Record{Topic: msg.Topic, Value: msg.Value.(sarama.ByteEncoder)} //nolint:errcheck,forcetypeassert // the load's values are
}

func (f *franz) close() error {
	f.client.Close()
	return nil
}

// franzSync waits for each outcome.
type franzSync struct{ *franz }

func newFranzSync(addrs []string) (side, error) {
	f, err := openFranz(addrs, append(franzOptions(), kgo.ProducerLinger(0))...)
	return franzSync{f}, err
}

func (f franzSync) run(l *load) error {
	ctx := context.Background()
	return l.each(func(msg *sarama.ProducerMessage) error {
		return f.client.ProduceSync(ctx, franzRecord(msg)).FirstErr()
	})
}
