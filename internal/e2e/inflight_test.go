package e2e

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// A partition's next batch waits until the one before it is answered, however
// many requests may be on a connection: with two on their way a retry could
// overtake.
func TestInflight_aPartitionHasOneBatchOnItsWayAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 2))
		r := newRig(t, m, cluster, producer.WithLinger(0), networkTimeouts(15*time.Second),
			producer.WithPartitioner(sarama.NewManualPartitioner))
		for p := range int32(2) {
			require.NoError(t, r.sendTo(bounded(t), topic, toPartition(p)))
		}
		require.NoError(t, r.p.Flush(bounded(t)))
		before := cluster.ProduceRequests()
		held := cluster.HoldResponses(kafkatest.OnKey(produceKey))
		sent := make(chan struct{}, 3)
		load := func(partition int32, each int) {
			r.run(bounded(t), load{senders: 1, each: each, window: each, edit: toPartition(partition)})
			sent <- struct{}{}
		}
		go load(0, 1)
		require.NoError(t, held.Wait(bounded(t), 1))
		go load(0, 30)
		require.Eventually(t, func() bool { return r.p.Stats().InFlight == 31 }, 10*time.Second, time.Millisecond)
		go load(1, 1)
		require.NoError(t, held.Wait(bounded(t), 2))
		require.Equal(t, before+2, cluster.ProduceRequests(), "one of each partition")
		held.Remove()
		for range cap(sent) {
			<-sent
		}
		r.finishWithoutFailures(held)
	})
}
