package bench

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

// kafkaGo is a kafka.Writer of segmentio/kafka-go. It has no idempotence.
type kafkaGo struct {
	Outcomes
	w    *kafka.Writer
	sent atomic.Int64
}

// leastTimeout is what a Writer takes for "do not wait": 0 means a second.
const leastTimeout = time.Nanosecond

func openKafkaGo(s Settings) (Client, error) {
	c := &kafkaGo{}
	c.w = &kafka.Writer{
		Addr: kafka.TCP(s.Addrs...), Async: true, AllowAutoTopicCreation: true,
		Completion: func(messages []kafka.Message, err error) {
			for i := range messages {
				c.Done(messages[i].WriterData.(*Message), err) //nolint:errcheck,forcetypeassert // Send put it there
			}
		},
	}
	s.kafkaGo(c.w)
	return c, nil
}

func (s *Settings) kafkaGo(w *kafka.Writer) {
	if s.Defaults {
		return
	}
	w.RequiredAcks, w.Compression = kafka.RequireAll, kafka.Snappy
	// It makes room for this many messages in each batch, so not for as many as
	// may be buffered.
	const batchSize = 10_000
	w.BatchBytes, w.BatchSize, w.BatchTimeout = BatchBytes, batchSize, max(s.Linger, leastTimeout)
}

func (c *kafkaGo) Send(m *Message) error {
	c.sent.Add(1)
	return c.w.WriteMessages(context.Background(), kafka.Message{Topic: m.Topic, Value: m.Value, WriterData: m})
}

func (c *kafkaGo) Flush() error { return c.Await(c.sent.Load()) }
func (c *kafkaGo) Close() error { return c.w.Close() }

// kafkaGoSync waits for each outcome.
type kafkaGoSync struct {
	Outcomes
	w *kafka.Writer
}

func openKafkaGoSync(s Settings) (Client, error) {
	c := &kafkaGoSync{w: &kafka.Writer{Addr: kafka.TCP(s.Addrs...)}}
	s.kafkaGo(c.w)
	return c, nil
}

func (c *kafkaGoSync) Send(m *Message) error {
	err := c.w.WriteMessages(context.Background(), kafka.Message{Topic: m.Topic, Value: m.Value})
	c.Done(m, err)
	return err
}

func (c *kafkaGoSync) Flush() error { return c.Err() }
func (c *kafkaGoSync) Close() error { return c.w.Close() }
