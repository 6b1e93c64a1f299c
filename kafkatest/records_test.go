package kafkatest_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/saramakit/producer/kafkatest"
)

func TestRecords_returnsRecordsAsTheyWereSent(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
	at := time.UnixMilli(1_700_000_000_123)
	producer := newProducer(t, cluster, steady())
	for _, msg := range []*sarama.ProducerMessage{
		{Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"), Timestamp: at, Headers: []sarama.RecordHeader{
			{Key: []byte("a"), Value: []byte("1")},
			{Key: []byte("a"), Value: []byte{}},
			{Key: []byte("b"), Value: nil},
		}},
		{Key: sarama.ByteEncoder{}, Value: sarama.ByteEncoder{}, Timestamp: at},
		{Timestamp: at},
	} {
		msg.Topic = topic
		_, _, err := producer.SendMessage(msg)
		require.NoError(t, err)
	}

	records, err := cluster.Records(testContext(t), topic)
	require.NoError(t, err)
	require.Equal(t, []kafkatest.Record{
		{Topic: topic, Offset: 0, Timestamp: at, Key: []byte("k"), Value: []byte("v"), Headers: []kafkatest.Header{
			{Key: "a", Value: []byte("1")},
			{Key: "a", Value: []byte{}},
			{Key: "b", Value: nil},
		}},
		{Topic: topic, Offset: 1, Timestamp: at, Key: []byte{}, Value: []byte{}},
		{Topic: topic, Offset: 2, Timestamp: at},
	}, records)
}

func TestRecords_areOrderedByPartitionThenOffset(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 4))
	producer := newProducer(t, cluster, steady())
	for i := range 40 {
		require.NoError(t, send(producer, int32(i%3), strconv.Itoa(i))) // partition 3 stays empty
	}
	records, err := cluster.Records(testContext(t), topic)
	require.NoError(t, err)
	require.Len(t, records, 40)
	for i, r := range records[1:] {
		before := records[i]
		require.True(t, before.Partition < r.Partition || before.Partition == r.Partition && before.Offset+1 == r.Offset)
	}
}

func TestRecords_ofAnEmptyTopicIsEmpty(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 3))
	records, err := cluster.Records(testContext(t), topic)
	require.NoError(t, err)
	require.Empty(t, records)
}

func TestRecords_includesWhatATransactionHasNotCommitted(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
	ctx := testContext(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...), kgo.TransactionalID("tx"))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	for value, how := range map[string]kgo.TransactionEndTry{"aborted": kgo.TryAbort, "committed": kgo.TryCommit} {
		require.NoError(t, client.BeginTransaction())
		require.NoError(t, client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr())
		require.NoError(t, client.EndTransaction(ctx, how))
	}
	require.NoError(t, client.BeginTransaction())
	require.NoError(t, client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("open")}).FirstErr())

	require.ElementsMatch(t, []string{"aborted", "committed", "open"}, values(t, cluster))
	require.NoError(t, client.EndTransaction(ctx, kgo.TryAbort))
	// The last offset is now that of a marker.
	require.Len(t, values(t, cluster), 3)
}

func TestRecords_readsEveryCodec(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
	for i, codec := range codecs {
		cfg := steady()
		cfg.Producer.Compression = codec
		require.NoError(t, send(newProducer(t, cluster, cfg), 0, strconv.Itoa(i)))
	}
	require.Equal(t, numbered(len(codecs)), values(t, cluster))
}

func TestRecords_doesNotCareAboutFaultsAndOutages(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 3))
	producer := newProducer(t, cluster, steady())
	for i := range 3 {
		require.NoError(t, send(producer, int32(i), strconv.Itoa(i)))
	}
	cluster.Freeze()
	cluster.HideTopic(topic)
	cluster.FailMetadata(topic, 29)
	require.NoError(t, cluster.StopBroker(0))
	require.Equal(t, numbered(3), values(t, cluster))
	require.NoError(t, cluster.Outage())
	require.Equal(t, numbered(3), values(t, cluster))
}

func TestRecords_endsWithTheContext(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
	require.NoError(t, send(newProducer(t, cluster, steady()), 0, "a"))
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	_, err := cluster.Records(ctx, topic)
	require.ErrorIs(t, err, reason)
}

func TestRecords_holdsUpTensOfThousands(t *testing.T) {
	t.Parallel()
	const n = 30_000
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 3))
	cfg := idempotent()
	cfg.Net.ReadTimeout = 30 * time.Second
	producer, err := sarama.NewAsyncProducer(cluster.Addrs(), cfg)
	require.NoError(t, err)
	go func() {
		for i := range n {
			producer.Input() <- message(int32(i%3), strconv.Itoa(i))
		}
		producer.AsyncClose()
	}()
	failed := make(chan []error)
	go func() {
		var errs []error
		for err := range producer.Errors() {
			errs = append(errs, err)
		}
		failed <- errs
	}()
	acknowledged := 0
	for range producer.Successes() {
		acknowledged++
	}
	require.Empty(t, <-failed)
	require.Equal(t, n, acknowledged)
	require.Len(t, values(t, cluster), n)
}
