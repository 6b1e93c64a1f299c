package e2e

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// keeps is the part of its rate that a healthy partition or topic keeps beside a
// broken one, as long as the messages of that one leave room.
const keeps = 0.9

// broken is something that makes no progress, beside the healthy partitions 0
// and 1 of the topic, which the brokers 2 and 0 lead.
type broken struct {
	topic     string
	partition int32
	spoil     func(c *kafkatest.Cluster) *kafkatest.Fault
}

func brokenThings() map[string]broken {
	return map[string]broken{
		"a partition whose leader is frozen": {topic, 2, func(c *kafkatest.Cluster) *kafkatest.Fault { return c.Freeze(1) }},
		"a partition that only answers NOT_ENOUGH_REPLICAS": {topic, 2, func(c *kafkatest.Cluster) *kafkatest.Fault {
			return c.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.OnTopic(topic), kafkatest.OnPartition(2))
		}},
		"a topic without a leader": {"dead", 0, func(c *kafkatest.Cluster) *kafkatest.Fault {
			return c.FailMetadata("dead", int16(sarama.ErrLeaderNotAvailable))
		}},
		"a misspelt topic": {"odrers", 0, func(c *kafkatest.Cluster) *kafkatest.Fault { return c.HideTopic("odrers") }},
	}
}

// isolated is a producer with a healthy load and something broken.
type isolated struct {
	*broken
	p       underTest
	healthy atomic.Int64 // messages of the healthy load that are delivered
	msg     sarama.ByteEncoder
}

func newIsolated(t *testing.T, m mode, b *broken) (*isolated, *kafkatest.Cluster) {
	t.Helper()
	cluster := startCluster(t, kafkatest.WithTopic("dead", 1))
	for partition, broker := range []int32{2, 0, 1} {
		require.NoError(t, cluster.MoveLeader(topic, int32(partition), broker))
	}
	i := &isolated{broken: b, msg: make([]byte, 100)}
	i.p = newProducer(t, m, cluster, networkTimeouts(long),
		producer.WithPartitioner(sarama.NewManualPartitioner),
		// Each attempt is work, so how often they come matters: the defaults.
		producer.WithRetryBackoff(100*time.Millisecond, time.Second),
		producer.WithDeliveryTimeout(time.Minute), producer.WithUnknownTopicTimeout(time.Minute),
		producer.WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) {
			if msg.Topic == topic && msg.Partition != 2 {
				i.healthy.Add(1)
			}
		}),
		producer.WithOnError(func(context.Context, *sarama.ProducerMessage, error) {}))
	for partition := range int32(3) {
		require.NoError(t, i.send(bounded(t), topic, partition))
	}
	require.NoError(t, i.p.Flush(bounded(t)))
	return i, cluster
}

func (i *isolated) send(ctx context.Context, topic string, partition int32) error {
	return i.p.Send(ctx, &sarama.ProducerMessage{Topic: topic, Partition: partition, Value: i.msg})
}

// clog sends what will not be delivered, until ctx ends, and never so much that
// no room is left.
func (i *isolated) clog(ctx context.Context) {
	const senders, each = 20, 200
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for n := 0; n < each && ctx.Err() == nil; n++ {
				_ = i.send(ctx, i.topic, i.partition)
			}
		})
	}
	all.Wait()
}

// beside measures a healthy load alone, then beside what is broken.
func (i *isolated) beside(t *testing.T, cluster *kafkatest.Cluster, measure func() float64) (alone, beside float64) {
	t.Helper()
	alone = measure()
	fault := i.spoil(cluster)
	ctx, cancel := context.WithCancel(bounded(t))
	clogged := make(chan struct{})
	go func() { defer close(clogged); i.clog(ctx) }()
	require.NoError(t, fault.Wait(ctx, 1))
	beside = measure()
	cancel()
	<-clogged
	_ = i.p.Close(within(t, 100*time.Millisecond))
	return alone, beside
}

// A load that the producer can carry easily: what is sent arrives in the same
// time.
//
//nolint:paralleltest // it measures
func TestIsolation_aHealthyPartitionDeliversAllThatItIsGivenBesideABrokenOne(t *testing.T) {
	for name, b := range brokenThings() {
		t.Run(name, func(t *testing.T) {
			oneByOne(t, kinds, func(t *testing.T, m mode) {
				i, cluster := newIsolated(t, m, &b)
				_, beside := i.beside(t, cluster, func() float64 { return i.part(t, 400, time.Second) })
				require.GreaterOrEqual(t, beside, keeps)
			})
		})
	}
}

// part sends so many messages a second, whatever becomes of them, and returns
// which part was delivered in that time.
func (i *isolated) part(t *testing.T, rate int, d time.Duration) float64 {
	t.Helper()
	ctx := bounded(t)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	before := i.healthy.Load()
	sent := 0
	var sends sync.WaitGroup
	for end := time.Now().Add(d); time.Now().Before(end); sent++ {
		<-tick.C
		partition := int32(sent % 2)
		sends.Go(func() {
			if err := i.send(ctx, topic, partition); err != nil {
				t.Error(err)
			}
		})
	}
	delivered := i.healthy.Load() - before
	sends.Wait()
	require.Greater(t, sent, rate*int(d/time.Second)/4, "void: nothing was measured")
	t.Logf("%d of %d were delivered", delivered, sent)
	return float64(delivered) / float64(sent)
}

// As fast as it goes, which says something only on a machine that does nothing
// else.
//
//nolint:paralleltest // it measures
func TestIsolation_aHealthyPartitionKeepsItsRateBesideABrokenOne(t *testing.T) {
	if !full() {
		return // the test above holds the property every day, this one has the figures
	}
	for name, b := range brokenThings() {
		t.Run(name, func(t *testing.T) {
			i, cluster := newIsolated(t, mode{idempotent: true}, &b)
			alone, beside := i.beside(t, cluster, func() float64 { return i.rate(t, 7, 500*time.Millisecond) })
			t.Logf("%.0f messages/s alone, %.0f beside: %.2f", alone, beside, beside/alone)
			require.GreaterOrEqual(t, beside/alone, keeps)
		})
	}
}

// rate sends as fast as it goes and returns the median of the rates of some
// windows.
func (i *isolated) rate(t *testing.T, windows int, window time.Duration) float64 {
	t.Helper()
	// As many on their way as leave room for what is broken.
	const most, patience = 10_000, 200 * time.Microsecond
	ctx, cancel := context.WithCancel(bounded(t))
	start := i.healthy.Load()
	var sent atomic.Int64
	var senders sync.WaitGroup
	for partition := range int32(2) {
		senders.Go(func() {
			for ctx.Err() == nil {
				if sent.Load()-(i.healthy.Load()-start) > most {
					<-time.After(patience)
					continue
				}
				if i.send(ctx, topic, partition) == nil {
					sent.Add(1)
				}
			}
		})
	}
	rates := make([]float64, windows)
	for n := range rates {
		before, began := i.healthy.Load(), time.Now()
		<-time.After(window)
		rates[n] = float64(i.healthy.Load()-before) / time.Since(began).Seconds()
	}
	cancel()
	senders.Wait()
	slices.Sort(rates)
	return rates[windows/2]
}
