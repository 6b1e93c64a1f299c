package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
)

// customersEach is how many customers a goroutine sends the orders of, in turn.
const customersEach = 10

// order is what a message says.
type order struct {
	Via      string // the name of the flow
	Customer int
	Number   int // of the customer's orders, from 1
}

// flow is a producer, what is sent through it, and what it says about that.
type flow struct {
	producer         producer.Producer
	name, topic      string
	goroutines, each int
	start            time.Time
	took             time.Duration

	mu                          sync.Mutex
	accepted, delivered, failed int
	acknowledged                map[order]bool
	cause                       error // of the first failure
}

func newFlow(name, topic string, goroutines, each int) *flow {
	return &flow{
		name: name, topic: topic, goroutines: goroutines, each: each,
		start: time.Now(), acknowledged: make(map[order]bool),
	}
}

// options has the callbacks: each accepted message comes back to one of them.
func (f *flow) options() producer.Options {
	return producer.Options{
		producer.WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.delivered++
			if o, ok := msg.Metadata.(order); ok { // as it was given to Send
				f.acknowledged[o] = true
			}
		}),
		producer.WithOnError(func(_ context.Context, _ *sarama.ProducerMessage, err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.failed++
			if f.cause == nil {
				f.cause = err
			}
		}),
	}
}

// send sends from all goroutines, evenly over sendFor.
func (f *flow) send(ctx context.Context) error {
	errs := make([]error, f.goroutines)
	var senders sync.WaitGroup
	for g := range f.goroutines {
		senders.Go(func() { errs[g] = f.sendFrom(ctx, g) })
	}
	senders.Wait()
	return errors.Join(errs...)
}

func (f *flow) sendFrom(ctx context.Context, goroutine int) error {
	start := time.Now()
	for i := range f.each {
		due := start.Add(sendFor * time.Duration(i) / time.Duration(f.each))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return nil
		}
		o := order{Via: f.name, Customer: goroutine*customersEach + i%customersEach, Number: i/customersEach + 1}
		value, err := json.Marshal(o)
		if err != nil {
			return err
		}
		err = f.producer.Send(ctx, &sarama.ProducerMessage{
			Topic:    f.topic,
			Key:      sarama.StringEncoder(fmt.Sprint(o.Via, o.Customer)), // one customer, one partition
			Value:    sarama.ByteEncoder(value),
			Metadata: o,
		})
		var delivery *producer.DeliveryError
		if err == nil || errors.As(err, &delivery) { // else nothing was accepted
			f.accept()
		} else if ctx.Err() == nil {
			return fmt.Errorf("send through %s: %w", f.name, err)
		}
	}
	return nil
}

func (f *flow) accept() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accepted++
}

func (f *flow) close(ctx context.Context) error {
	err := f.producer.Close(ctx)
	f.took = time.Since(f.start)
	return err
}

// String says what is sent.
func (f *flow) String() string {
	return fmt.Sprintf("%s messages from %d goroutines through %s", demo.Count(f.goroutines*f.each), f.goroutines, f.name)
}

func (f *flow) progress() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%s: %s delivered, %s on their way",
		f.name, demo.Count(f.delivered), demo.Count(max(0, f.accepted-f.delivered-f.failed)))
}
