package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

func TestDelivery_everyMessageIsStoredOnceWhereItsOutcomeSays(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		r := newRig(t, m, startCluster(t, kafkatest.WithTopic("other", 5)))
		r.run(bounded(t), load{senders: 4, each: 250, topics: []string{topic, "other"}})
		r.finishWithoutFailures()
		require.EqualValues(t, 1000, r.p.Stats().Delivered)
	})
}

func TestDelivery_withFewerAcknowledgementsEveryMessageArrivesToo(t *testing.T) {
	t.Parallel()
	for _, acks := range []sarama.RequiredAcks{sarama.NoResponse, sarama.WaitForLocal} {
		t.Run(fmt.Sprint("acks=", acks), func(t *testing.T) {
			t.Parallel()
			inModes(t, modes[2:], func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster, producer.WithAcks(acks))
				r.acks = acks
				r.run(bounded(t), load{senders: 2, each: 100})
				require.NoError(t, r.p.Flush(bounded(t)))
				for _, m := range r.snapshot() {
					require.Len(t, m.Outcomes, 1)
					if acks == sarama.NoResponse {
						require.EqualValues(t, -1, m.Outcomes[0].Offset, "the broker told no offset")
					}
				}
				r.finishWithoutFailures()
				// With acks=0 delivered means written to the socket: the log
				// follows.
				require.Eventually(t, func() bool {
					records, err := cluster.Records(bounded(t), topic)
					return err == nil && len(records) == 200
				}, 10*time.Second, 5*time.Millisecond)
			})
		})
	}
}

func TestDelivery_eachCodecIsReadBack(t *testing.T) {
	t.Parallel()
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy,
		sarama.CompressionLZ4, sarama.CompressionZSTD,
	} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mode{idempotent: true}, startCluster(t), producer.WithCompression(codec))
			r.run(bounded(t), load{senders: 2, each: 100})
			r.finishWithoutFailures()
		})
	}
}

func TestDelivery_oldAndNewProtocolVersionsWork(t *testing.T) {
	t.Parallel()
	for version, produce := range map[sarama.KafkaVersion]int64{ // of a produce request, by the protocol guide
		sarama.V1_0_0_0: 5, sarama.V2_0_0_0: 6, sarama.V2_1_0_0: 7, sarama.V2_8_0_0: 9, sarama.V3_7_0_0: 10, sarama.MaxVersion: 10,
	} {
		t.Run(version.String(), func(t *testing.T) {
			t.Parallel()
			var l line
			r := newRig(t, mode{idempotent: true}, startCluster(t), producer.WithKafkaVersion(version), l.option())
			r.run(bounded(t), load{senders: 2, each: 50})
			r.finishWithoutFailures()
			require.Equal(t, produce, l.version.Load())
		})
	}
}

func TestDelivery_whatIsReadBackIsWhatWasSent(t *testing.T) {
	t.Parallel()
	// Kafka keeps milliseconds.
	when := time.Date(2024, 2, 29, 12, 30, 0, 123_000_000, time.UTC)
	headers := []sarama.RecordHeader{
		{Key: []byte("twice"), Value: []byte("a")},
		{Key: []byte("twice"), Value: []byte("b")},
		{Key: []byte("empty"), Value: []byte{}},
		{Key: []byte("nil")},
	}
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
		{"binary", sarama.ByteEncoder{0, 255}, sarama.ByteEncoder{255, 0}, []byte{0, 255}, []byte{255, 0}, nil},
	}
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
		p := newProducer(t, m, cluster)
		for _, c := range cases {
			msg := &sarama.ProducerMessage{
				Topic: topic, Key: c.key, Value: c.value, Headers: c.headers, Timestamp: when,
			}
			require.NoError(t, p.Send(bounded(t), msg))
		}
		before := time.Now().Truncate(time.Millisecond)
		require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic}))
		after := time.Now()
		require.NoError(t, p.Flush(bounded(t)))
		records, err := cluster.Records(bounded(t), topic)
		require.NoError(t, err)
		require.Len(t, records, len(cases)+1)
		for i, c := range cases {
			require.Equal(t, c.wantKey, records[i].Key, c.name)
			require.Equal(t, c.wantValue, records[i].Value, c.name)
			require.True(t, when.Equal(records[i].Timestamp), "%s: %v", c.name, records[i].Timestamp)
			require.Len(t, records[i].Headers, len(c.headers), c.name)
			for j, h := range c.headers {
				require.Equal(t, string(h.Key), records[i].Headers[j].Key, c.name)
				require.Equal(t, h.Value, records[i].Headers[j].Value, c.name)
			}
		}
		stamped := records[len(cases)].Timestamp
		require.False(t, stamped.Before(before) || stamped.After(after), "a zero timestamp became %v", stamped)
	})
}

// newProducer is a producer without a history.
func newProducer(t *testing.T, m mode, cluster *kafkatest.Cluster, opts ...producer.Option) underTest {
	t.Helper()
	return newRigQuiet(t, m, cluster, opts...).p
}

// newRigQuiet is newRig without callbacks.
func newRigQuiet(t *testing.T, m mode, cluster *kafkatest.Cluster, opts ...producer.Option) *rig {
	t.Helper()
	return newRig(t, m, cluster, append([]producer.Option{
		producer.WithOnSuccess(func(context.Context, *sarama.ProducerMessage) {}),
		producer.WithOnError(func(context.Context, *sarama.ProducerMessage, error) {}),
	}, opts...)...)
}

func TestDelivery_aBufferCanBeUsedAgainAsSoonAsSendReturns(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
	p := newProducer(t, mode{idempotent: true}, cluster)
	buf := make([]byte, 8)
	msg := &sarama.ProducerMessage{
		Topic: topic, Key: sarama.ByteEncoder(buf), Value: sarama.ByteEncoder(buf),
		Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: buf}},
	}
	const n = 500
	for i := range n {
		binary.BigEndian.PutUint64(buf, uint64(i))
		require.NoError(t, p.Send(bounded(t), msg))
	}
	clear(buf)
	require.NoError(t, p.Flush(bounded(t)))
	records, err := cluster.Records(bounded(t), topic)
	require.NoError(t, err)
	require.Len(t, records, n)
	for i := range records {
		want := binary.BigEndian.AppendUint64(nil, uint64(i))
		require.Equal(t, want, records[i].Key)
		require.Equal(t, want, records[i].Value)
		require.Equal(t, want, records[i].Headers[0].Value)
	}
}

func TestDelivery_theCallersMessageIsWrittenToByASyncSuccessOnly(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		p := newProducer(t, m, cluster)
		fresh := func() *sarama.ProducerMessage {
			return &sarama.ProducerMessage{
				Topic: topic, Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"),
				Headers: make([]sarama.RecordHeader, 0, 4), Metadata: "mine", Offset: 77, Partition: 55,
			}
		}
		msg := fresh()
		require.NoError(t, p.Send(bounded(t), msg))
		require.NoError(t, p.Flush(bounded(t)))
		want := fresh()
		if m.sync {
			records, err := cluster.Records(bounded(t), topic)
			require.NoError(t, err)
			require.Len(t, records, 1)
			require.WithinDuration(t, records[0].Timestamp, msg.Timestamp, time.Millisecond)
			want.Partition, want.Offset, want.Timestamp = records[0].Partition, records[0].Offset, msg.Timestamp
		}
		require.Equal(t, want, msg)

		fault := cluster.FailProduce(int16(sarama.ErrTopicAuthorizationFailed))
		msg = fresh()
		if err := p.Send(bounded(t), msg); m.sync {
			require.ErrorIs(t, err, sarama.ErrTopicAuthorizationFailed)
		}
		require.NoError(t, p.Flush(bounded(t)))
		require.Equal(t, fresh(), msg, "after a failure")
		require.Positive(t, fault.Hits())
	})
}

func TestDelivery_oneMessageCanBeSentByManyGoroutinesAtOnce(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t)
	p := newProducer(t, mode{idempotent: true}, cluster)
	msg := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")}
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for range 50 {
				if err := p.Send(bounded(t), msg); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	require.NoError(t, p.Flush(bounded(t)))
	records, err := cluster.Records(bounded(t), topic)
	require.NoError(t, err)
	require.Len(t, records, 400)
}

func TestDelivery_anInterceptorRunsOnceForEachMessageAlsoIfItIsSentAgain(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		p := newProducer(t, m, cluster, producer.WithSaramaConfig(func(c *sarama.Config) {
			c.Producer.Interceptors = []sarama.ProducerInterceptor{headerAdder{}}
		}))
		fault := cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.Times(3))
		msg := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")}
		require.NoError(t, p.Send(bounded(t), msg))
		require.NoError(t, p.Flush(bounded(t)))
		require.Equal(t, 3, fault.Hits())
		records, err := cluster.Records(bounded(t), topic)
		require.NoError(t, err)
		require.Len(t, records, 1)
		require.Len(t, records[0].Headers, 1)
		require.Empty(t, msg.Headers, "the caller's message")
	})
}

type headerAdder struct{}

func (headerAdder) OnSend(msg *sarama.ProducerMessage) {
	msg.Headers = append(msg.Headers, sarama.RecordHeader{Key: []byte("by"), Value: []byte("interceptor")})
}
