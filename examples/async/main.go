// Async sends events until it is interrupted, or for the time of -for. It shows
// callbacks, what to do when the buffer is full, and how to end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
)

func main() {
	slog.SetLogLoggerLevel(slog.LevelError) // this program tells itself what happens
	brokers := flag.String("brokers", "", demo.Usage)
	duration := flag.Duration("for", 3*time.Second, "how long to send")
	flag.Parse()
	if err := run(*brokers, *duration); err != nil {
		fmt.Fprintln(os.Stderr, "async:", err)
		os.Exit(1)
	}
}

func run(brokers string, duration time.Duration) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills
	cluster, err := demo.Open(ctx, brokers, "events", 3)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()

	var delivered, failed atomic.Int64
	p, err := producer.NewAsync(ctx, cluster.Addrs,
		producer.WithMaxBuffered(500), // small, to be seen full
		producer.WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { delivered.Add(1) }),
		producer.WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, err error) {
			failed.Add(1) // here a service logs, or writes msg to a dead letter topic
			fmt.Printf("%s: %v\n", msg.Topic, err)
		}))
	if err != nil {
		return err
	}
	defer func() {
		// A fresh ctx: the signal has ended ours, and with it Close would give up what is on its way.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		if closeErr := p.Close(closing); closeErr != nil { // a *producer.CloseError counts what was cut short
			err = errors.Join(err, closeErr)
			return
		}
		fmt.Printf("closed: %d delivered, %d failed, nothing in flight: %t\n",
			delivered.Load(), failed.Load(), p.Stats().InFlight == 0)
	}()

	// One message with a function of its own. It runs on a goroutine of the producer.
	err = p.SendFunc(ctx, event(cluster.Topic, "started"),
		func(_ context.Context, msg *sarama.ProducerMessage, err error) {
			if err == nil {
				fmt.Printf("the first event is stored at %s/%d, offset %d\n", msg.Topic, msg.Partition, msg.Offset)
			}
		})
	if err != nil {
		return err
	}
	// Flush waits for the outcomes, and their callbacks, of what was sent before.
	flushing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.Flush(flushing); err != nil {
		return err
	}

	sending, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	return work(sending, p, cluster.Topic)
}

// work sends bursts of events, more than the buffer has room for.
func work(ctx context.Context, p *producer.Async, topic string) error {
	bursts := time.NewTicker(250 * time.Millisecond)
	defer bursts.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Println("ending:", context.Cause(ctx))
			return nil
		case <-bursts.C:
		}
		dropped := 0
		for range 1000 {
			// What may be lost under load is not waited for.
			err := p.TrySend(ctx, event(topic, "a click"))
			switch {
			case errors.Is(err, producer.ErrBufferFull):
				dropped++
			case ctx.Err() != nil: // sees the end above
			case err != nil:
				return err
			}
		}
		// What must not be lost waits for room: the caller slows down to what the brokers take.
		for range 1000 {
			if err := p.Send(ctx, event(topic, "a payment")); err != nil && ctx.Err() == nil {
				return err
			}
		}
		s := p.Stats()
		fmt.Printf("%d accepted, %d in flight, the oldest for %v; of 1000 clicks %d had no room\n",
			s.Accepted, s.InFlight, s.OldestInFlight.Round(time.Millisecond), dropped)
	}
}

func event(topic, what string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(what)}
}
