package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
)

const (
	waiting  = 20              // messages that are on their way when Close is called
	patience = 4 * time.Second // for Close
)

func silentBare(_ context.Context, cluster *demo.Cluster) (string, error) {
	config := sarama.NewConfig()
	// A thirtieth of the defaults.
	config.Net.DialTimeout, config.Net.ReadTimeout, config.Net.WriteTimeout = time.Second, time.Second, time.Second
	config.Producer.Return.Successes = true
	p, err := sarama.NewAsyncProducer(cluster.Addrs, config)
	if err != nil {
		return "", err
	}
	p.Input() <- message(cluster.Topic, "silent, bare")
	select {
	case <-p.Successes(): // it is connected
	case err := <-p.Errors():
		return "", errors.Join(err, p.Close())
	}
	silence := cluster.Embedded.Freeze()
	defer silence.Remove()
	for range waiting {
		p.Input() <- message(cluster.Topic, "silent, bare")
	}
	start, closed := time.Now(), make(chan error, 1)
	go func() { closed <- p.Close() }()
	select {
	case err := <-closed:
		return "", errors.Join(fmt.Errorf("it returned from Close after %v", time.Since(start)), err)
	case <-time.After(patience):
		return fmt.Sprintf("with network time-outs of 1 s, and %d messages waiting, Close had not returned after %v", waiting, patience), nil
	}
}

func silentProducer(ctx context.Context, cluster *demo.Cluster) (string, error) {
	connecting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	told := make(chan error, waiting)
	p, err := producer.NewAsync(connecting, cluster.Addrs, producer.WithTopics(cluster.Topic),
		producer.WithOnError(func(_ context.Context, _ *sarama.ProducerMessage, err error) { told <- err }))
	if err != nil {
		return "", err
	}
	silence := cluster.Embedded.Freeze()
	defer silence.Remove()
	for range waiting {
		if err := p.Send(ctx, message(cluster.Topic, "silent")); err != nil {
			return "", errors.Join(err, p.Close(ctx))
		}
	}
	closing, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	start := time.Now()
	err = p.Close(closing)
	took := time.Since(start)
	var cut *producer.CloseError
	if !errors.As(err, &cut) || cut.Undelivered != waiting || took > patience {
		return "", errors.Join(fmt.Errorf("it returned from Close after %v", took), err)
	}
	for i := range waiting {
		select {
		case err := <-told:
			if !errors.Is(err, producer.ErrAborted) {
				return "", err
			}
		case <-time.After(limit):
			return "", fmt.Errorf("OnError was told of %d of %d messages", i, waiting)
		}
	}
	return fmt.Sprintf("with a ctx of 1 s Close returned after %.1f s; OnError was told of each of the %d messages",
		took.Seconds(), waiting), nil
}
