// Command confluent is the benchmarks with confluent-kafka-go among the
// producers. It is a module of its own: that client is C, and a large download.
package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/saramakit/producer/benchmarks/bench"
)

func main() {
	_, version := kafka.LibraryVersion()
	bench.Main(append(bench.Producers(),
		bench.Producer{Name: "confluent", Version: version, Open: open},
		bench.Producer{Name: "confluent", Version: version, Sync: true, Open: openSync},
	))
}

// client is librdkafka's producer.
type client struct {
	bench.Outcomes
	p      *kafka.Producer
	events sync.WaitGroup
	sent   atomic.Int64
}

func config(s *bench.Settings) *kafka.ConfigMap {
	c := kafka.ConfigMap{"bootstrap.servers": strings.Join(s.Addrs, ","), "log_level": 0}
	if !s.Defaults {
		c["enable.idempotence"] = true
		c["compression.type"] = "snappy"
		c["linger.ms"] = int(s.Linger.Milliseconds())
		c["batch.size"] = bench.BatchBytes
		c["batch.num.messages"] = bench.Buffered
		c["queue.buffering.max.messages"] = bench.Buffered
		c["queue.buffering.max.kbytes"] = bench.BufferBytes >> 10
	}
	return &c
}

func newClient(s *bench.Settings) (*client, error) {
	p, err := kafka.NewProducer(config(s))
	if err != nil {
		return nil, err
	}
	c := &client{p: p}
	c.events.Go(func() {
		for event := range p.Events() {
			if m, ok := event.(*kafka.Message); ok {
				c.Done(m.Opaque.(*bench.Message), m.TopicPartition.Error)
			}
		}
	})
	return c, nil
}

func open(s bench.Settings) (bench.Client, error) { return newClient(&s) }

// Send waits while the queue is full, as a service has to.
func (c *client) Send(m *bench.Message) error {
	for {
		err := c.p.Produce(message(m), nil)
		if full, ok := errors.AsType[kafka.Error](err); !ok || full.Code() != kafka.ErrQueueFull {
			if err == nil {
				c.sent.Add(1)
			}
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func message(m *bench.Message) *kafka.Message {
	return &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &m.Topic, Partition: kafka.PartitionAny}, Value: m.Value, Opaque: m,
	}
}

// Flush waits until all is counted, too: nothing is left for confluent's once the last
// report has been taken from its channel.
func (c *client) Flush() error {
	if left := c.p.Flush(int(time.Minute.Milliseconds())); left > 0 {
		return fmt.Errorf("%d messages were left", left)
	}
	return c.Await(c.sent.Load())
}

func (c *client) Close() error {
	err := c.Flush()
	c.p.Close()
	c.events.Wait()
	return err
}

// syncClient waits for each outcome.
type syncClient struct{ *client }

func openSync(s bench.Settings) (bench.Client, error) {
	c, err := newClient(&s)
	return syncClient{c}, err
}

func (c syncClient) Send(m *bench.Message) error {
	delivery := make(chan kafka.Event, 1)
	if err := c.p.Produce(message(m), delivery); err != nil {
		return err
	}
	err := (<-delivery).(*kafka.Message).TopicPartition.Error
	c.Done(m, err)
	return err
}
