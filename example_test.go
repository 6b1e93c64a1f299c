package producer_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// Send many messages, and be told of those that fail.
func Example() {
	ctx := context.Background()
	p, err := producer.NewAsync(ctx, []string{"kafka:9092"},
		producer.WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, err error) {
			log.Printf("%s was not delivered: %v", msg.Topic, err)
		}))
	if err != nil {
		log.Print(err)
		return
	}
	if err := p.Send(ctx, &sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("hello")}); err != nil {
		log.Print(err)
	}
	closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.Close(closing); err != nil {
		log.Print(err)
	}
}

// Close with a ctx of its own: the one that the signal ended would abort what
// is on its way.
func Example_shutdown() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := producer.NewAsync(ctx, []string{"kafka:9092"})
	if err != nil {
		log.Print(err)
		return
	}
	<-ctx.Done() // serve until the signal

	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if cut, ok := errors.AsType[*producer.CloseError](p.Close(closing)); ok {
		log.Printf("%d messages were given up", cut.Undelivered)
	}
}

// Wait until the message is stored.
func ExampleNewSync() {
	ctx := context.Background()
	p, err := producer.NewSync(ctx, []string{"kafka:9092"}, producer.WithTopics("orders"))
	if err != nil {
		log.Print(err)
		return
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := p.Close(closing); err != nil {
			log.Print(err)
		}
	}()
	msg := &sarama.ProducerMessage{Topic: "orders", Key: sarama.StringEncoder("customer-7"), Value: sarama.StringEncoder("hello")}
	if err := p.Send(ctx, msg); err != nil {
		log.Print(err)
		return
	}
	log.Printf("stored in partition %d at offset %d", msg.Partition, msg.Offset)
}

// Be told of every message.
func ExampleNewAsync() {
	p, err := producer.NewAsync(context.Background(), []string{"kafka:9092"},
		producer.WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) {
			log.Printf("%s/%d@%d", msg.Topic, msg.Partition, msg.Offset)
		}),
		producer.WithOnError(func(_ context.Context, _ *sarama.ProducerMessage, err error) {
			log.Print(err)
		}))
	if err != nil {
		log.Print(err)
		return
	}
	_ = p
}

// Use a client that the program has anyway. It stays the program's to close.
func ExampleNewAsyncFromClient() {
	client, err := sarama.NewClient([]string{"kafka:9092"}, sarama.NewConfig())
	if err != nil {
		log.Print(err)
		return
	}
	defer func() { _ = client.Close() }()
	p, err := producer.NewAsyncFromClient(client)
	if err != nil {
		log.Print(err)
		return
	}
	if err := p.Close(context.Background()); err != nil {
		log.Print(err)
	}
}

// Use a client that the program has anyway. It stays the program's to close.
func ExampleNewSyncFromClient() {
	client, err := sarama.NewClient([]string{"kafka:9092"}, sarama.NewConfig())
	if err != nil {
		log.Print(err)
		return
	}
	defer func() { _ = client.Close() }()
	p, err := producer.NewSyncFromClient(client)
	if err != nil {
		log.Print(err)
		return
	}
	if err := p.Close(context.Background()); err != nil {
		log.Print(err)
	}
}

// Know which messages of a batch failed.
func ExampleSync_SendAll() {
	var p *producer.Sync // from NewSync
	msgs := []*sarama.ProducerMessage{
		{Topic: "orders", Value: sarama.StringEncoder("one")},
		{Topic: "orders", Value: sarama.StringEncoder("two")},
	}
	err := p.SendAll(context.Background(), msgs)
	if batch, ok := errors.AsType[*producer.BatchError](err); ok {
		for i, err := range batch.Errs {
			if err != nil {
				fmt.Println(i, err)
			}
		}
	}
	// Output:
	// 0 producer: closed
	// 1 producer: closed
}

// Be told the outcome of one message.
func ExampleAsync_SendFunc() {
	var p *producer.Async // from NewAsync
	err := p.SendFunc(context.Background(),
		&sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("hello")},
		func(_ context.Context, _ *sarama.ProducerMessage, err error) {
			if err != nil {
				log.Print(err)
			}
		})
	fmt.Println(err)
	// Output: producer: closed
}

// Shed load instead of waiting.
func ExampleAsync_TrySend() {
	var p *producer.Async // from NewAsync
	err := p.TrySend(context.Background(), &sarama.ProducerMessage{Topic: "metrics", Value: sarama.StringEncoder("1")})
	switch {
	case errors.Is(err, producer.ErrBufferFull):
		fmt.Println("dropped")
	case err != nil:
		fmt.Println(err)
	}
	// Output: producer: closed
}

// Decide what to do with a message that failed.
func ExampleSafeToRetry() {
	for _, err := range []error{
		nil,
		producer.ErrBufferFull,
		&producer.DeliveryError{Status: producer.NotPersisted, Err: producer.ErrDeliveryTimeout},
		&producer.DeliveryError{Status: producer.PossiblyPersisted, Err: sarama.ErrRequestTimedOut},
		&producer.DeliveryError{Status: producer.NotPersisted, Err: sarama.ErrTopicAuthorizationFailed},
	} {
		switch {
		case err == nil:
			fmt.Println("done")
		case producer.SafeToRetry(err):
			fmt.Println("send again")
		case producer.MayHaveBeenWritten(err):
			fmt.Println("look before sending again")
		default:
			fmt.Println("dead letter")
		}
	}
	// Output:
	// done
	// send again
	// send again
	// look before sending again
	// dead letter
}

// TLS, SASL and the network are set in sarama's own configuration.
func ExampleWithSaramaConfig() {
	_, err := producer.NewSync(context.Background(), []string{"kafka:9093"},
		producer.WithSaramaConfig(func(c *sarama.Config) {
			c.Net.TLS.Enable = true
			c.Net.TLS.Config = &tls.Config{MinVersion: tls.VersionTLS12}
			c.Net.SASL.Enable = true
			c.Net.SASL.User, c.Net.SASL.Password = "service", os.Getenv("KAFKA_PASSWORD")
		}))
	if err != nil {
		log.Print(err)
	}
}

// Put keys where the Java client puts them.
func ExampleJavaPartitioner() {
	key := &sarama.ProducerMessage{Key: sarama.StringEncoder("foobar")}
	partition, err := producer.JavaPartitioner("orders").Partition(key, 12)
	fmt.Println(partition, err)
	// Output: 6 <nil>
}

// Keep options that belong together in one value.
func ExampleOptions() {
	durable := producer.Options{
		producer.WithAcks(sarama.WaitForAll),
		producer.WithDeliveryTimeout(5 * time.Minute),
	}
	_, err := producer.NewAsync(context.Background(), nil, durable, producer.WithMaxBuffered(-1))
	fmt.Println(err)
	// Output:
	// producer: invalid configuration: WithMaxBuffered(-1): must be positive; leave it out for the default
	// producer: invalid configuration: brokers: is empty; give at least one address, "host:port"
}
