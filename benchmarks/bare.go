package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/partition"
)

// bareConfig gives sarama the settings that the library gives it by default, as
// far as they take part: acks=all, idempotent, snappy, the same partitioner and
// the same channels. Only MaxOpenRequests differs: sarama insists on 1 for an
// idempotent producer, the library raises it on its own connections.
func bareConfig(linger time.Duration) *sarama.Config {
	c := sarama.NewConfig()
	c.ChannelBufferSize = 8192
	c.Net.MaxOpenRequests = 1
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Producer.Compression = sarama.CompressionSnappy
	c.Producer.Flush.Frequency = linger
	c.Producer.MaxMessageBytes = 1_000_000
	c.Producer.Partitioner = partition.New
	c.Producer.Retry.Max = 100
	c.Producer.Return.Successes = true
	c.Producer.Return.Errors = true
	return c
}

// bareAsync is a sarama.AsyncProducer with both of its channels drained.
type bareAsync struct {
	p sarama.AsyncProducer
	// expected is at how many successes a run is done.
	expected atomic.Int64
	done     chan struct{}
	failed   chan error
	drains   sync.WaitGroup
}

func newBareAsync(addrs []string) (side, error) { return openBareAsync(addrs, bareConfig(linger)) }

// newBareDefaults changes nothing but what is needed to learn of outcomes:
// acks=1, no compression, no linger.
func newBareDefaults(addrs []string) (side, error) {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	return openBareAsync(addrs, c)
}

func openBareAsync(addrs []string, c *sarama.Config) (side, error) {
	p, err := sarama.NewAsyncProducer(addrs, c)
	if err != nil {
		return nil, err
	}
	b := &bareAsync{p: p, done: make(chan struct{}), failed: make(chan error, 1)}
	b.drains.Go(func() {
		n := int64(0)
		for range p.Successes() {
			if n++; n == b.expected.Load() {
				b.done <- struct{}{}
			}
		}
	})
	b.drains.Go(func() {
		for err := range p.Errors() {
			select {
			case b.failed <- err:
			default:
			}
		}
	})
	return b, nil
}

func (b *bareAsync) run(l *load) error {
	b.expected.Add(int64(l.messages))
	input := b.p.Input()
	if err := l.each(func(msg *sarama.ProducerMessage) error { input <- msg; return nil }); err != nil {
		return err
	}
	select {
	case <-b.done:
		return nil
	case err := <-b.failed:
		return err
	}
}

func (b *bareAsync) close() error {
	b.p.AsyncClose()
	b.drains.Wait()
	return nil
}

// bareSync is a sarama.SyncProducer.
type bareSync struct{ p sarama.SyncProducer }

func newBareSync(addrs []string) (side, error) {
	p, err := sarama.NewSyncProducer(addrs, bareConfig(0))
	if err != nil {
		return nil, err
	}
	return &bareSync{p: p}, nil
}

func (b *bareSync) run(l *load) error {
	return l.each(func(msg *sarama.ProducerMessage) error {
		_, _, err := b.p.SendMessage(msg)
		return err
	})
}

func (b *bareSync) close() error { return b.p.Close() }
