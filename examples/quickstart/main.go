// Quickstart sends messages while leaders move and a broker restarts, and then
// checks with another client that they are stored, once and in order.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
)

const (
	partitions = 6
	sendFor    = 4 * time.Second
)

func main() {
	slog.SetLogLoggerLevel(slog.LevelError) // this program tells itself what happens
	brokers := flag.String("brokers", "", demo.Usage)
	flag.Parse()
	if err := run(*brokers, demo.NewScreen(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(brokers string, screen *demo.Screen) (err error) {
	// Ctrl-C ends the sending; what was accepted until then is still checked.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills

	cluster, err := demo.Open(ctx, brokers, "orders", partitions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	screen.Say("%s; topic %s has %d partitions", cluster, cluster.Topic, partitions)

	async := newFlow("Async", cluster.Topic, 8, 2000)
	async.producer, err = producer.NewAsync(ctx, cluster.Addrs, async.options())
	if err != nil {
		return err
	}
	sync := newFlow("Sync", cluster.Topic, 4, 300)
	sync.producer, err = producer.NewSync(ctx, cluster.Addrs, sync.options())
	if err != nil {
		return errors.Join(err, async.producer.Close(ctx))
	}

	screen.Say("sending %s; the orders of a customer must stay in order", async)
	screen.Say("sending %s; each waits until it is stored", sync)
	err = together(ctx, func() { screen.Progress("%s; %s", async.progress(), sync.progress()) },
		async.send, sync.send,
		func(ctx context.Context) error { return disturb(ctx, screen, cluster) })

	screen.Say("closing: Close returns when every accepted message has its outcome")
	// A fresh ctx: the one that the signal ended would give up what is on its way.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	err = errors.Join(err, async.close(closing), sync.close(closing))

	screen.Say("reading %s back with another client, franz-go", cluster.Topic)
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	records, readErr := cluster.Records(reading)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return errors.Join(err, judge(screen, records, async, sync))
}

// together runs tasks until all have ended; an error of one ends the others.
// Meanwhile it calls tick now and then.
func together(ctx context.Context, tick func(), tasks ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	for _, task := range tasks {
		go func() { ended <- task(ctx) }()
	}
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	var errs []error
	for len(errs) < len(tasks) {
		select {
		case err := <-ended:
			errs = append(errs, err)
			if err != nil {
				cancel()
			}
		case <-ticks.C:
			tick()
		}
	}
	return errors.Join(errs...)
}
