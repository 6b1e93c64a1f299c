package integration

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/integration/kafka"
)

func TestRecords_whatIsReadBackIsWhatWasSent(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	topic := newTopic(t, cluster, 1, nil)
	// Kafka keeps milliseconds.
	when := time.Date(2024, 2, 29, 12, 30, 0, 123_000_000, time.UTC)
	headers := []sarama.RecordHeader{
		{Key: []byte("twice"), Value: []byte("a")},
		{Key: []byte("twice"), Value: []byte("b")},
		{Key: []byte("empty"), Value: []byte{}},
		{Key: []byte("nil")},
	}
	stored := []kafka.Header{{Key: "twice", Value: []byte("a")}, {Key: "twice", Value: []byte("b")}, {Key: "empty", Value: []byte{}}, {Key: "nil"}}
	cases := []struct {
		name       string
		key, value sarama.Encoder
		wantKey    []byte
		wantValue  []byte
		headers    []sarama.RecordHeader
	}{
		{"both", sarama.StringEncoder("k"), sarama.StringEncoder("v"), []byte("k"), []byte("v"), headers},
		{"no key", nil, sarama.StringEncoder("v"), nil, []byte("v"), nil},
		{"empty key", sarama.StringEncoder(""), sarama.StringEncoder("v"), []byte{}, []byte("v"), nil},
		{"tombstone", sarama.StringEncoder("k"), nil, []byte("k"), nil, headers},
		{"tombstone of an Encoder", sarama.StringEncoder("k"), sarama.ByteEncoder(nil), []byte("k"), nil, nil},
		{"empty value", sarama.StringEncoder("k"), sarama.ByteEncoder{}, []byte("k"), []byte{}, nil},
		{"nothing at all", nil, nil, nil, nil, nil},
		{"binary", sarama.ByteEncoder{0, 255, '\\', '\t'}, sarama.ByteEncoder{255, 0, '\n'}, []byte{0, 255, '\\', '\t'}, []byte{255, 0, '\n'}, nil},
	}
	p := startSync(t, cluster)
	before := time.Now().Truncate(time.Millisecond)
	for _, c := range cases {
		msg := &sarama.ProducerMessage{Topic: topic, Key: c.key, Value: c.value, Headers: c.headers, Timestamp: when}
		require.NoError(t, p.Send(bounded(t), msg), c.name)
		require.True(t, msg.Timestamp.Equal(when), c.name)
	}
	require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic}))
	after := time.Now()

	records := read(t, cluster, topic)
	require.Len(t, records, len(cases)+1)
	requireConsoleAgrees(t, cluster, topic, records)
	for i, c := range cases {
		r := &records[i]
		require.Equal(t, c.wantKey, r.Key, c.name)
		require.Equal(t, c.wantValue, r.Value, c.name)
		require.Equal(t, kafka.CreateTime, r.TimestampType, c.name)
		require.True(t, when.Equal(r.Timestamp), "%s: %v", c.name, r.Timestamp)
		if c.headers == nil {
			require.Empty(t, r.Headers, c.name)
		} else {
			require.Equal(t, stored, r.Headers, c.name)
		}
	}
	stamped := records[len(cases)].Timestamp
	require.False(t, stamped.Before(before) || stamped.After(after), "a zero timestamp became %v", stamped)
}

func TestRecords_aTopicWithItsOwnTimeStampsAndSaysSo(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	topic := newTopic(t, cluster, 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	p := startSync(t, cluster)
	before := time.Now().Truncate(time.Millisecond)
	msg := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v"), Timestamp: time.UnixMilli(1)}
	require.NoError(t, p.Send(bounded(t), msg))
	after := time.Now()
	records := read(t, cluster, topic)
	require.Len(t, records, 1)
	require.Equal(t, kafka.LogAppendTime, records[0].TimestampType)
	stamped := records[0].Timestamp
	require.False(t, stamped.Before(before) || stamped.After(after), "stored as of %v", stamped)
	require.True(t, msg.Timestamp.Equal(stamped), "told %v, stored as of %v", msg.Timestamp, stamped)
}

func TestRecords_oneThatIsTooLargeForTheTopicIsProvedNotToBeStored(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	topic := newTopic(t, cluster, 1, map[string]string{"max.message.bytes": "10000"})
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionSnappy} {
		p := startSync(t, cluster, producer.WithCompression(codec))
		large := make([]byte, 20_000)
		_, _ = rand.Read(large) // nothing that shrinks; never fails
		err := p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(large)})
		require.ErrorIs(t, err, sarama.ErrMessageSizeTooLarge)
		require.False(t, producer.MayHaveBeenWritten(err))
		require.False(t, producer.IsRetriable(err))
		require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("small")}))
	}
	records := read(t, cluster, topic)
	require.Len(t, records, 2)
	for i := range records {
		require.Equal(t, "small", string(records[i].Value))
	}
}
