package e2e

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

// Closing sarama's producer is no flush: it fails the batches that are waiting to
// be sent again.
func TestRetries_closeWaitsForThem(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*kafkatest.Cluster) *kafkatest.Fault{
		"refused": func(c *kafkatest.Cluster) *kafkatest.Fault {
			return c.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.Times(12))
		},
		"cut": func(c *kafkatest.Cluster) *kafkatest.Fault { return c.LoseProduceResponse(kafkatest.Times(12)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster, producer.WithLinger(0))
				r.warm(10)
				fault := fail(cluster)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					r.run(bounded(t), load{senders: 4, each: 25, window: 25})
				}()
				require.NoError(t, fault.Wait(bounded(t), 3))
				require.NoError(t, r.p.Close(bounded(t)))
				<-sent
				r.verify(fault)
				require.Empty(t, r.failures())
				require.Positive(t, r.delivered()-10, "void")
			})
		})
	}
}

// What a Flush waits for may take many retries.
func TestRetries_flushWaitsForThem(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, producer.WithRetryBackoff(time.Millisecond, 5*time.Millisecond))
		fault := cluster.FailProduce(int16(sarama.ErrKafkaStorageError), kafkatest.Times(30), kafkatest.OnPartition(0))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(bounded(t), load{senders: 2, each: 30, window: 30})
		}()
		require.NoError(t, fault.Wait(bounded(t), 2))
		before := r.p.Stats().Accepted
		require.NoError(t, r.p.Flush(bounded(t)))
		require.GreaterOrEqual(t, r.p.Stats().Delivered, before)
		<-sent
		r.finishWithoutFailures(fault)
	})
}

// Sarama goes another way without retries: it leaves the broker's connection to
// the failed batch and takes a new one.
func TestRetries_withoutThemEachFailureIsToldTruthfullyAndItGoesOn(t *testing.T) {
	t.Parallel()
	inModes(t, modes[2:], func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, producer.WithLinger(0),
			producer.WithSaramaConfig(func(c *sarama.Config) { c.Producer.Retry.Max = 0 }))
		r.warm(10)
		faults := []*kafkatest.Fault{
			cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.Times(2), kafkatest.OnPartition(0)),
			cluster.FailProduceAfterAppend(int16(sarama.ErrRequestTimedOut), kafkatest.Times(2), kafkatest.OnPartition(1)),
			cluster.LoseProduceResponse(kafkatest.Times(2), kafkatest.OnPartition(2)),
		}
		r.run(bounded(t), load{senders: 4, each: 100})
		for _, f := range faults {
			require.NoError(t, f.Wait(bounded(t), 2))
		}
		require.NoError(t, r.p.Flush(bounded(t)))
		require.NotEmpty(t, r.failures())
		for _, err := range r.failures() {
			// It was sent once, or not at all.
			require.LessOrEqual(t, judge.DeliveryError(err).Attempts, 1)
		}
		before := len(r.failures())
		r.run(bounded(t), load{senders: 2, each: 20})
		r.finish(faults...)
		require.Len(t, r.failures(), before, "it goes on")
	})
}
