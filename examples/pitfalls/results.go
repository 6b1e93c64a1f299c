package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
)

const (
	// nothing is how long nothing has to happen to be called a hang.
	nothing = 2 * time.Second
	// most is how many messages without a hang show that there is none.
	most = 100_000
)

func syncBare(_ context.Context, cluster *demo.Cluster) (string, error) {
	p, err := sarama.NewSyncProducer(cluster.Addrs, sarama.NewConfig())
	if err == nil {
		return "", errors.Join(errors.New("the constructor accepted sarama.NewConfig()"), p.Close())
	}
	if !strings.Contains(err.Error(), "Return.Successes must be true") {
		return "", err
	}
	return "the constructor refuses sarama.NewConfig(): " + err.Error(), nil
}

func syncProducer(ctx context.Context, cluster *demo.Cluster) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p, err := producer.NewSync(ctx, cluster.Addrs)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	msg := message(cluster.Topic, "sync")
	if err := p.Send(ctx, msg); err != nil {
		return "", err
	}
	return fmt.Sprintf("nothing to set; Send returned nil: stored in partition %d at offset %d", msg.Partition, msg.Offset), nil
}

func waitBare(ctx context.Context, cluster *demo.Cluster) (text string, err error) {
	const what = "wait, bare"
	p, err := sarama.NewAsyncProducer(cluster.Addrs, sarama.NewConfig())
	if err != nil {
		return "", err
	}
	p.Input() <- message(cluster.Topic, what)
	select {
	case <-p.Successes():
		return "", errors.Join(errors.New("there was a success"), p.Close())
	case err := <-p.Errors():
		return "", errors.Join(err, p.Close())
	case <-time.After(nothing):
	}
	// Close waits for the message, if it is on its way still.
	if err := p.Close(); err != nil {
		return "", err
	}
	n, err := stored(ctx, cluster, what)
	if err != nil {
		return "", err
	}
	if n != 1 {
		return "", fmt.Errorf("the message is stored %d times", n)
	}
	return fmt.Sprintf("the message was stored, but after %v still nothing came from Successes()", nothing), nil
}

func waitProducer(ctx context.Context, cluster *demo.Cluster) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	told := make(chan *sarama.ProducerMessage, 1)
	p, err := producer.NewAsync(ctx, cluster.Addrs,
		producer.WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) { told <- msg }))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	start := time.Now()
	if err := p.Send(ctx, message(cluster.Topic, "wait")); err != nil {
		return "", err
	}
	select {
	case msg := <-told:
		return fmt.Sprintf("nothing to set; OnSuccess was told of offset %d after %v",
			msg.Offset, time.Since(start).Round(time.Millisecond)), nil
	case <-ctx.Done():
		return "", fmt.Errorf("OnSuccess was not called: %w", ctx.Err())
	}
}

func unreadBare(_ context.Context, cluster *demo.Cluster) (string, error) {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	p, err := sarama.NewAsyncProducer(cluster.Addrs, config)
	if err != nil {
		return "", err
	}
	accepted := 0
	for hangs := false; !hangs && accepted < most; {
		select {
		case p.Input() <- message(cluster.Topic, "unread, bare"):
			accepted++
		case <-time.After(nothing):
			hangs = true
		}
	}
	// The proof of the reason: as soon as both channels are read, it goes on.
	p.AsyncClose()
	delivered, failed := 0, 0
	var reading sync.WaitGroup
	reading.Go(func() {
		for range p.Successes() {
			delivered++
		}
	})
	reading.Go(func() {
		for range p.Errors() {
			failed++
		}
	})
	closed := make(chan struct{})
	go func() { reading.Wait(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(limit):
		return "", fmt.Errorf("after %d messages reading did not end the hang", accepted)
	}
	if accepted == most || delivered != accepted {
		return "", fmt.Errorf("%d accepted, %d delivered, %d failed", accepted, delivered, failed)
	}
	return fmt.Sprintf("Input() took %s messages, then none for %v; when somebody read, all were delivered",
		demo.Count(accepted), nothing), nil
}

func unreadProducer(ctx context.Context, cluster *demo.Cluster) (text string, err error) {
	const sends = 20_000
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p, err := producer.NewAsync(ctx, cluster.Addrs)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	for range sends {
		if err := p.Send(ctx, message(cluster.Topic, "unread")); err != nil {
			return "", err
		}
	}
	if err := p.Flush(ctx); err != nil {
		return "", err
	}
	if s := p.Stats(); s.Accepted != sends || s.Delivered != sends {
		return "", fmt.Errorf("%d accepted, %d delivered", s.Accepted, s.Delivered)
	}
	return fmt.Sprintf("there is no channel to read: %s accepted, all delivered", demo.Count(sends)), nil
}
