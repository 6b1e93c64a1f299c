package chaos

import (
	"context"
	"log/slog"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
)

func options(s Settings) producer.Options {
	o := producer.Options{
		// Every outcome is counted, so nothing has to be logged.
		producer.WithLogger(slog.New(slog.DiscardHandler)),
		producer.WithOnError(func(context.Context, *sarama.ProducerMessage, error) {}),
	}
	if s.DeliveryTimeout > 0 {
		o = append(o, producer.WithDeliveryTimeout(s.DeliveryTimeout))
	}
	if s.Dialer != nil {
		o = append(o, producer.WithSaramaConfig(s.dialing))
	}
	return o
}

// dialing makes sarama connect as the settings say.
func (s Settings) dialing(c *sarama.Config) {
	c.Net.Proxy.Enable, c.Net.Proxy.Dialer = s.Dialer != nil, s.Dialer
}

func message(topic string, key, value []byte) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(value)}
}

// closer is what both kinds end with.
type closer struct{ producer.Producer }

func (c closer) Close(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return c.Producer.Close(ctx)
}

type async struct {
	closer
	p *producer.Async
}

func openAsync(addrs []string, s Settings) (Client, error) {
	p, err := producer.NewAsync(context.Background(), addrs, options(s))
	if err != nil {
		return nil, err
	}
	return &async{closer{p}, p}, nil
}

func (a *async) Send(topic string, key, value []byte, done Done) error {
	return a.p.SendFunc(context.Background(), message(topic, key, value),
		func(_ context.Context, msg *sarama.ProducerMessage, err error) { done(msg.Partition, msg.Offset, err) })
}

type syncProducer struct {
	closer
	p *producer.Sync
}

func openSync(addrs []string, s Settings) (Client, error) {
	p, err := producer.NewSync(context.Background(), addrs, options(s))
	if err != nil {
		return nil, err
	}
	return &syncProducer{closer{p}, p}, nil
}

func (p *syncProducer) Send(topic string, key, value []byte, done Done) error {
	msg := message(topic, key, value)
	err := p.p.Send(context.Background(), msg)
	if err != nil && judge.DeliveryError(err) == nil {
		return err
	}
	done(msg.Partition, msg.Offset, err)
	return nil
}
