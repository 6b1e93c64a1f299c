package bench

import (
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/partition"
)

// saramaConfig has the settings that the library gives sarama by default, as far
// as they take part. Only MaxOpenRequests differs: sarama insists on 1 for an
// idempotent producer, the library raises it on its own connections.
func (s *Settings) saramaConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	if s.Defaults {
		return c
	}
	c.ChannelBufferSize = 8192
	c.Net.MaxOpenRequests = 1
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Producer.Compression = sarama.CompressionSnappy
	c.Producer.Flush.Frequency = s.Linger
	c.Producer.MaxMessageBytes = BatchBytes
	c.Producer.Partitioner = partition.New
	c.Producer.Retry.Max = 100
	return c
}

// saramaMessage makes a new message each time: sarama must have it so, and so
// would most code that uses the library.
func saramaMessage(m *Message) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: m.Topic, Value: sarama.ByteEncoder(m.Value), Metadata: m}
}

// saramaAsync is a sarama.AsyncProducer with both of its channels drained.
type saramaAsync struct {
	Outcomes
	p      sarama.AsyncProducer
	sent   atomic.Int64
	drains sync.WaitGroup
}

func openSaramaAsync(s Settings) (Client, error) {
	p, err := sarama.NewAsyncProducer(s.Addrs, s.saramaConfig())
	if err != nil {
		return nil, err
	}
	c := &saramaAsync{p: p}
	c.drains.Go(func() {
		for msg := range p.Successes() {
			c.Done(msg.Metadata.(*Message), nil) //nolint:errcheck,forcetypeassert // Send put it there
		}
	})
	c.drains.Go(func() {
		for err := range p.Errors() {
			c.Done(err.Msg.Metadata.(*Message), err) //nolint:errcheck,forcetypeassert // Send put it there
		}
	})
	return c, nil
}

func (c *saramaAsync) Send(m *Message) error {
	c.sent.Add(1)
	c.p.Input() <- saramaMessage(m)
	return nil
}

func (c *saramaAsync) Flush() error { return c.Await(c.sent.Load()) }

func (c *saramaAsync) Close() error {
	c.p.AsyncClose()
	c.drains.Wait()
	return c.Err()
}

// saramaSync is a sarama.SyncProducer.
type saramaSync struct {
	Outcomes
	p sarama.SyncProducer
}

func openSaramaSync(s Settings) (Client, error) {
	p, err := sarama.NewSyncProducer(s.Addrs, s.saramaConfig())
	if err != nil {
		return nil, err
	}
	return &saramaSync{p: p}, nil
}

func (c *saramaSync) Send(m *Message) error {
	_, _, err := c.p.SendMessage(saramaMessage(m))
	c.Done(m, err)
	return err
}

func (c *saramaSync) Flush() error { return c.Err() }
func (c *saramaSync) Close() error { return c.p.Close() }
