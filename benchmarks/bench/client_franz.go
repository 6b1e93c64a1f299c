package bench

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is a kgo.Client: idempotent with acks=all, as it is by default.
type franz struct {
	Outcomes
	client *kgo.Client
}

func (s *Settings) franz(more ...kgo.Opt) (*franz, error) {
	opts := append([]kgo.Opt{kgo.SeedBrokers(s.Addrs...)}, more...)
	if !s.Defaults {
		opts = append(opts,
			kgo.ProducerBatchCompression(kgo.SnappyCompression()),
			kgo.ProducerBatchMaxBytes(BatchBytes),
			kgo.MaxBufferedRecords(Buffered),
			kgo.MaxBufferedBytes(BufferBytes),
			kgo.ProducerLinger(s.Linger),
		)
	}
	client, err := kgo.NewClient(opts...)
	return &franz{client: client}, err
}

func openFranz(s Settings) (Client, error) { return s.franz() }

func (c *franz) Send(m *Message) error {
	c.client.Produce(context.Background(), &kgo.Record{Topic: m.Topic, Value: m.Value},
		func(_ *kgo.Record, err error) { c.Done(m, err) })
	return nil
}

func (c *franz) Flush() error { return errors.Join(c.client.Flush(context.Background()), c.Err()) }

// Close flushes, as a service has to: what is left would fail.
func (c *franz) Close() error {
	err := c.Flush()
	c.client.Close()
	return err
}

// franzSync waits for each outcome.
type franzSync struct{ *franz }

func openFranzSync(s Settings) (Client, error) {
	c, err := s.franz()
	return franzSync{c}, err
}

func (c franzSync) Send(m *Message) error {
	err := c.client.ProduceSync(context.Background(), &kgo.Record{Topic: m.Topic, Value: m.Value}).FirstErr()
	c.Done(m, err)
	return err
}
