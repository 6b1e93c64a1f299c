// Command confluent is the command chaos with confluent-kafka-go among the
// peers. It is a module of its own: that client is C, and a large download.
package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/saramakit/producer/integration/chaos"
	"github.com/saramakit/producer/integration/chaos/command"
)

func main() {
	command.Main(append(chaos.Subjects(), chaos.Subject{
		Name: "confluent", Goroutines: 4, NoDialer: true, Open: open,
	}))
}

// client is librdkafka's producer, idempotent and else with its defaults.
type client struct {
	p      *kafka.Producer
	events sync.WaitGroup
}

func open(addrs []string, s chaos.Settings) (chaos.Client, error) {
	config := kafka.ConfigMap{"bootstrap.servers": strings.Join(addrs, ","), "enable.idempotence": true}
	if s.DeliveryTimeout > 0 {
		config["delivery.timeout.ms"] = int(s.DeliveryTimeout.Milliseconds())
	}
	p, err := kafka.NewProducer(&config)
	if err != nil {
		return nil, err
	}
	c := &client{p: p}
	c.events.Go(func() {
		for event := range p.Events() {
			if m, ok := event.(*kafka.Message); ok {
				offset := int64(max(m.TopicPartition.Offset, -1)) // there are several negative ones for "not known"
				m.Opaque.(chaos.Done)(m.TopicPartition.Partition, offset, m.TopicPartition.Error)
			}
		}
	})
	return c, nil
}

// Send waits while the queue is full, as a service has to.
func (c *client) Send(topic string, key, value []byte, done chaos.Done) error {
	for {
		err := c.p.Produce(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny},
			Key:            key, Value: value, Opaque: done,
		}, nil)
		if full, ok := errors.AsType[kafka.Error](err); !ok || full.Code() != kafka.ErrQueueFull {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// Close flushes, and fails what is left then: without that it would have no
// outcome.
func (c *client) Close(within time.Duration) (err error) {
	if left := c.p.Flush(int(within.Milliseconds())); left > 0 {
		err = errors.Join(fmt.Errorf("%d messages were left", left), c.p.Purge(kafka.PurgeInFlight|kafka.PurgeQueue))
		c.p.Flush(int(time.Second.Milliseconds()))
	}
	c.p.Close()
	c.events.Wait()
	return err
}
