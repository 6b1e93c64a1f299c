package kafkatest_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/saramakit/producer/kafkatest"
)

const topic = "orders"

// testContext bounds whatever a test waits for.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// steady is a configuration that tries again soon and does not time out: a test
// that expects an answer gets it, however busy the machine is.
func steady() *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Producer.Return.Successes = true
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Partitioner = sarama.NewManualPartitioner
	cfg.Producer.Retry.Max = 100
	cfg.Producer.Retry.Backoff = 10 * time.Millisecond
	cfg.Metadata.Retry.Max = 3
	cfg.Metadata.Retry.Backoff = 10 * time.Millisecond
	cfg.Net.DialTimeout = 30 * time.Second
	cfg.Net.ReadTimeout = 30 * time.Second
	cfg.Net.WriteTimeout = 30 * time.Second
	return cfg
}

// once is steady without retries.
func once() *sarama.Config {
	cfg := steady()
	cfg.Producer.Retry.Max = 0
	return cfg
}

// impatient is steady for tests in which answers do not come.
func impatient() *sarama.Config {
	cfg := steady()
	cfg.Net.ReadTimeout = 300 * time.Millisecond
	return cfg
}

func idempotent() *sarama.Config {
	cfg := impatient()
	cfg.Producer.Idempotent = true
	cfg.Net.MaxOpenRequests = 1
	return cfg
}

func newProducer(t *testing.T, cluster *kafkatest.Cluster, cfg *sarama.Config) sarama.SyncProducer {
	t.Helper()
	producer, err := sarama.NewSyncProducer(cluster.Addrs(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, producer.Close()) })
	return producer
}

func newClient(t *testing.T, cluster *kafkatest.Cluster, cfg *sarama.Config) sarama.Client {
	t.Helper()
	client, err := sarama.NewClient(cluster.Addrs(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// newOther makes a client of another kind, idempotent and as impatient.
func newOther(t *testing.T, cluster *kafkatest.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(cluster.Addrs()...),
		kgo.DefaultProduceTopic(topic),
		kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func send(producer sarama.SyncProducer, partition int32, value string) error {
	_, _, err := producer.SendMessage(message(partition, value))
	return err
}

func message(partition int32, value string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.StringEncoder(value)}
}

// values returns what is stored in the topic, by partition and offset.
func values(t *testing.T, cluster *kafkatest.Cluster) []string {
	t.Helper()
	records, err := cluster.Records(testContext(t), topic)
	require.NoError(t, err)
	stored := []string{}
	for i := range records {
		stored = append(stored, string(records[i].Value))
	}
	return stored
}

func numbered(n int) []string {
	numbers := make([]string, 0, n)
	for i := range n {
		numbers = append(numbers, strconv.Itoa(i))
	}
	return numbers
}
