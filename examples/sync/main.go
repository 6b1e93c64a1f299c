// Sync sends messages one by one and in a batch, and tells from each error what
// to do about it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
)

func main() {
	slog.SetLogLoggerLevel(slog.LevelError) // this program tells itself what happens
	brokers := flag.String("brokers", "", demo.Usage)
	flag.Parse()
	if err := run(context.Background(), *brokers); err != nil {
		fmt.Fprintln(os.Stderr, "sync:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, brokers string) (err error) {
	cluster, err := demo.Open(ctx, brokers, "orders", 3)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()

	p, err := producer.NewSync(ctx, cluster.Addrs,
		producer.WithTopics(cluster.Topic),              // fails here if it does not exist
		producer.WithUnknownTopicTimeout(1*time.Second)) // for the misspelt topic below
	if err != nil {
		return err
	}
	defer func() {
		// Not the ctx of the work: that one may have ended, and Close would give up what is on its way.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		err = errors.Join(err, p.Close(ctx))
	}()

	// One message. The deadline bounds how long this caller waits for it.
	msg := order(cluster.Topic, "two coffees")
	sending, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.Send(sending, msg); err != nil {
		return err
	}
	fmt.Printf("stored at %s/%d, offset %d\n", msg.Topic, msg.Partition, msg.Offset)

	// Errors say what became of the message, and so what to do.
	fmt.Println("misspelt topic:", advice(p.Send(ctx, order(cluster.Topic+"-misspelt", "tea"))))
	fmt.Println("huge message:", advice(p.Send(ctx, order(cluster.Topic, strings.Repeat("tea ", 300_000)))))
	if cluster.Embedded != nil {
		if err := sendInOutage(ctx, p, cluster); err != nil {
			return err
		}
	}

	// A batch waits for all its messages at once. Some may fail and others not.
	batch := []*sarama.ProducerMessage{
		order(cluster.Topic, "espresso"), order("", "nothing"), order(cluster.Topic, "water"),
	}
	err = p.SendAll(ctx, batch)
	var partial *producer.BatchError
	if err != nil && !errors.As(err, &partial) {
		return err
	}
	for i := range batch {
		if partial == nil || partial.Errs[i] == nil {
			fmt.Printf("message %d of the batch: stored at %s/%d, offset %d\n", i, batch[i].Topic, batch[i].Partition, batch[i].Offset)
		} else {
			fmt.Printf("message %d of the batch: %s\n", i, advice(partial.Errs[i]))
		}
	}
	return nil
}

// advice tells from the error of Send what to do. In this order the questions
// are complete.
func advice(err error) string {
	var delivery *producer.DeliveryError
	switch {
	case err == nil:
		return "stored"
	case producer.SafeToRetry(err):
		return fmt.Sprintf("not stored, send it again: %v", err)
	case producer.MayHaveBeenWritten(err):
		return fmt.Sprintf("perhaps stored, sending it again may duplicate it: %v", err)
	case errors.As(err, &delivery):
		return fmt.Sprintf("not stored after %v and not worth another try: %v", delivery.Elapsed.Round(time.Second), err)
	default:
		return fmt.Sprintf("not accepted: %v", err)
	}
}

// sendInOutage sends while no broker is there, for a caller who waits briefly.
func sendInOutage(ctx context.Context, p *producer.Sync, cluster *demo.Cluster) error {
	if err := cluster.Embedded.Outage(); err != nil {
		return err
	}
	sending, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	// If it is on its way already it stays so. Callbacks and Stats are told its outcome.
	fmt.Println("brokers away:", advice(p.Send(sending, order(cluster.Topic, "juice"))))
	return cluster.Embedded.Return()
}

func order(topic, what string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{
		Topic: topic,
		Key:   sarama.StringEncoder("table 7"), // one key, one partition: in order
		Value: sarama.StringEncoder(what),
	}
}
