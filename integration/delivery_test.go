package integration

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/integration/kafka"
	"github.com/saramakit/producer/internal/judge"
)

// run sends messages with several goroutines and closes the producer.
func run(t *testing.T, p producer.Producer, l *ledger, topic string, senders, each, size int) {
	t.Helper()
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for range each {
				if err := l.send(bounded(t), p, l.message(topic, sender, size)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, p.Close(bounded(t)))
}

func TestDelivery_everyCodecWithEveryGuaranteeIsReadBack(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	guarantees := []struct {
		idempotent bool
		acks       sarama.RequiredAcks
	}{
		{true, sarama.WaitForAll},
		{false, sarama.WaitForAll},
		{false, sarama.WaitForLocal},
		{false, sarama.NoResponse},
	}
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy,
		sarama.CompressionLZ4, sarama.CompressionZSTD,
	} {
		for _, g := range guarantees {
			t.Run(fmt.Sprintf("%v acks=%d idempotent=%t", codec, g.acks, g.idempotent), func(t *testing.T) {
				t.Parallel()
				topic := newTopic(t, cluster, 2, nil)
				l := newLedger()
				p := startAsync(t, cluster, l.options(),
					producer.WithCompression(codec), producer.WithIdempotence(g.idempotent), producer.WithAcks(g.acks))
				run(t, p, l, topic, 3, 100, 200)
				l.requireAllDelivered(t)
				if g.acks == sarama.NoResponse {
					// Delivered means written to the socket: the log follows.
					waitStored(t, cluster, topic, 300)
				}
				records := read(t, cluster, topic)
				require.Len(t, records, 300)
				l.requireStored(t, topic, records, judge.Rules{Stored: g.acks != sarama.NoResponse, Idempotent: true})
			})
		}
	}
}

// waitStored waits until a topic holds n records.
func waitStored(t *testing.T, cluster *kafka.Cluster, topic string, n int) {
	t.Helper()
	until(t, fmt.Sprint(n, " records are stored"), func() bool { return len(read(t, cluster, topic)) >= n })
}

func TestDelivery_everyProtocolVersionWorks(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	for _, version := range []sarama.KafkaVersion{
		sarama.V2_1_0_0, sarama.V2_8_0_0, sarama.V3_9_0_0, sarama.V4_0_0_0, sarama.MaxVersion,
	} {
		t.Run(version.String(), func(t *testing.T) {
			t.Parallel()
			topic := newTopic(t, cluster, 2, nil)
			l := newLedger()
			async := startAsync(t, cluster, l.options(), producer.WithKafkaVersion(version),
				producer.WithCompression(sarama.CompressionZSTD))
			run(t, async, l, topic, 2, 100, 100)
			l.requireAllDelivered(t)
			l.requireStored(t, topic, read(t, cluster, topic), asSaid())

			_, err := producer.NewSync(bounded(t), cluster.Addrs(),
				producer.WithKafkaVersion(version), producer.WithTopics(unusedTopic(t)))
			require.ErrorIs(t, err, producer.ErrUnknownTopic)
		})
	}
}

func TestDelivery_manyGoroutinesLoseNothing(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	topic := newTopic(t, cluster, 6, nil)
	l := newLedger()
	async := startAsync(t, cluster, l.options())
	syncs := startSync(t, cluster, l.options())
	const senders, each, one = 16, 1000, 60
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for range each {
				if err := l.send(bounded(t), async, l.message(topic, sender, 100)); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			for range one {
				if err := l.send(bounded(t), syncs, l.message(topic, senders+sender, 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, async.Close(bounded(t)))
	require.NoError(t, syncs.Close(bounded(t)))
	l.requireAllDelivered(t)

	records := read(t, cluster, topic)
	require.Len(t, records, senders*(each+one))
	// Two producers tell of the same partitions.
	l.requireStored(t, topic, records, judge.Rules{Stored: true, Idempotent: true, AnyOrder: true})
	requireConsoleAgrees(t, cluster, topic, records)
}

// The quota is everybody's, so no other test runs at the same time.
func TestQuota_throttlingLosesNothing(t *testing.T) { //nolint:paralleltest // see above
	cluster := shared(t)
	topic := newTopic(t, cluster, 3, nil)
	require.NoError(t, cluster.SetProduceQuota(bounded(t), 200_000))
	defer func() { require.NoError(t, cluster.SetProduceQuota(bounded(t), 0)) }()

	l := newLedger()
	var throttled func() int64
	p := startAsync(t, cluster, l.options(), producer.WithCompression(sarama.CompressionNone),
		producer.WithSaramaConfig(func(c *sarama.Config) {
			throttled = func() int64 { return longestThrottle(c) }
		}))
	// The quota takes a moment to reach the brokers: send until they throttle.
	seq := 0
	for end := time.Now().Add(time.Minute); throttled() == 0 && time.Now().Before(end); {
		for range 100 {
			require.NoError(t, l.send(bounded(t), p, l.message(topic, 0, 1000)))
			seq++
		}
		require.NoError(t, p.Flush(bounded(t)))
	}
	require.Positive(t, throttled(), "nothing was throttled")
	for range 300 {
		require.NoError(t, l.send(bounded(t), p, l.message(topic, 0, 1000)))
		seq++
	}
	require.NoError(t, p.Close(bounded(t)))
	l.requireAllDelivered(t)
	records := read(t, cluster, topic)
	require.Len(t, records, seq)
	l.requireStored(t, topic, records, asSaid())
}

// longestThrottle is the longest time, in milliseconds, that a broker told
// sarama to wait.
func longestThrottle(c *sarama.Config) int64 {
	var longest int64
	c.MetricRegistry.Each(func(name string, metric any) {
		if histogram, ok := metric.(interface{ Max() int64 }); ok && strings.HasPrefix(name, "throttle-time-in-ms") {
			longest = max(longest, histogram.Max())
		}
	})
	return longest
}
