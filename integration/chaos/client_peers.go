package chaos

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

// bare is sarama's own AsyncProducer, with both of its channels read.
type bare struct {
	p      sarama.AsyncProducer
	drains sync.WaitGroup
}

// openSaramaDefaults changes only what is needed to learn of outcomes.
func openSaramaDefaults(addrs []string, s Settings) (Client, error) {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	s.dialing(c)
	return openSarama(addrs, c)
}

// openSaramaCareful is what the documentation leads to: idempotent, and patient.
func openSaramaCareful(addrs []string, s Settings) (Client, error) {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Net.MaxOpenRequests = 1
	c.Producer.Retry.Max = 30
	s.dialing(c)
	return openSarama(addrs, c)
}

func openSarama(addrs []string, c *sarama.Config) (Client, error) {
	p, err := sarama.NewAsyncProducer(addrs, c)
	if err != nil {
		return nil, err
	}
	b := &bare{p: p}
	b.drains.Go(func() {
		for msg := range p.Successes() {
			msg.Metadata.(Done)(msg.Partition, msg.Offset, nil) //nolint:errcheck,forcetypeassert // Send put it there
		}
	})
	b.drains.Go(func() {
		for e := range p.Errors() {
			e.Msg.Metadata.(Done)(-1, -1, e.Err) //nolint:errcheck,forcetypeassert // Send put it there
		}
	})
	return b, nil
}

func (b *bare) Send(topic string, key, value []byte, done Done) error {
	msg := message(topic, key, value)
	msg.Metadata = done
	b.p.Input() <- msg
	return nil
}

var errCloseHangs = errors.New("Close has not returned")

func (b *bare) Close(within time.Duration) error {
	b.p.AsyncClose()
	return ended(within, b.drains.Wait)
}

// ended waits for f, but not for ever.
func ended(within time.Duration, f func()) error {
	done := make(chan struct{})
	go func() { f(); close(done) }() // a Close that hangs is left behind: that is a finding, not a leak
	select {
	case <-done:
		return nil
	case <-time.After(within):
		return errCloseHangs
	}
}

// franz is a kgo.Client with its defaults.
type franz struct{ client *kgo.Client }

func openFranz(addrs []string, s Settings) (Client, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(addrs...)}
	if s.DeliveryTimeout > 0 {
		opts = append(opts, kgo.RecordDeliveryTimeout(s.DeliveryTimeout))
	}
	if s.Dialer != nil {
		opts = append(opts, kgo.Dialer(s.Dialer.DialContext))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	return &franz{client}, nil
}

func (f *franz) Send(topic string, key, value []byte, done Done) error {
	f.client.Produce(context.Background(), &kgo.Record{Topic: topic, Key: key, Value: value},
		func(r *kgo.Record, err error) { done(r.Partition, r.Offset, err) })
	return nil
}

func (f *franz) Close(within time.Duration) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return errors.Join(f.client.Flush(ctx), ended(max(time.Second, within-time.Since(began)), f.client.Close))
}
