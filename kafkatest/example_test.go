package kafkatest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/kafkatest"
)

// A demo starts a cluster of its own, writes to it with an ordinary client, and
// looks at what was stored.
func Example() {
	cluster, err := kafkatest.New(kafkatest.WithTopic("orders", 1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = cluster.Close() }()

	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer(cluster.Addrs(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = producer.Close() }()
	if _, _, err := producer.SendMessage(&sarama.ProducerMessage{
		Topic: "orders",
		Key:   sarama.StringEncoder("42"),
		Value: sarama.StringEncoder("two coffees"),
	}); err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	records, err := cluster.Records(ctx, "orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range records {
		r := &records[i]
		fmt.Printf("%s/%d@%d %s: %s\n", r.Topic, r.Partition, r.Offset, r.Key, r.Value)
	}
	// Output: orders/0@0 42: two coffees
}

// A plain producer does not know that a broker stored its records if the answer
// is lost, and writes them again.
func ExampleCluster_LoseProduceResponse() {
	cluster, err := kafkatest.New(kafkatest.WithTopic("orders", 1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = cluster.Close() }()
	fault := cluster.LoseProduceResponse(kafkatest.OnTopic("orders"), kafkatest.Times(1))

	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	producer, err := sarama.NewSyncProducer(cluster.Addrs(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = producer.Close() }()
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("two coffees")})

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	records, readErr := cluster.Records(ctx, "orders")
	if readErr != nil {
		fmt.Println(readErr)
		return
	}
	fmt.Println("send:", err)
	fmt.Println("answers lost:", fault.Hits())
	fmt.Println("stored:", len(records))
	// Output:
	// send: <nil>
	// answers lost: 1
	// stored: 2
}

// In a test the cluster ends with the test. Here the brokers go away while the
// service keeps working, and come back.
func ExampleStart() {
	testOrdersSurviveAnOutage := func(tb testing.TB) {
		tb.Helper()
		cluster := kafkatest.Start(tb, kafkatest.WithTopic("orders", 3))
		// Start the service under test with cluster.Addrs() here.
		if err := cluster.Outage(); err != nil {
			tb.Fatal(err)
		}
		// Have it accept an order here.
		if err := cluster.Return(); err != nil {
			tb.Fatal(err)
		}
		// The order must arrive: cluster.Records(tb.Context(), "orders").
	}
	_ = testOrdersSurviveAnOutage
}
