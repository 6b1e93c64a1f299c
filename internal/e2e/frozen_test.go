package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

const (
	// long are network timeouts that no wait of a healthy partition may come near.
	long = 15 * time.Second
	// fast is what a look-up may take while one broker of three is frozen.
	fast = 4 * time.Second
)

// frozenRig is a producer that is connected to three brokers, of which broker 1
// froze when it was asked to store a message. Everything else is led by broker 2.
// That message stays without an answer.
func frozenRig(t *testing.T, m mode) (*rig, *kafkatest.Fault) {
	t.Helper()
	cluster := startCluster(t)
	for partition, broker := range []int32{2, 0, 1} {
		require.NoError(t, cluster.MoveLeader(topic, int32(partition), broker))
	}
	r := newRig(t, m, cluster, networkTimeouts(long), producer.WithDeliveryTimeout(time.Minute),
		producer.WithPartitioner(sarama.NewManualPartitioner))
	for partition := range int32(3) {
		require.NoError(t, r.sendTo(bounded(t), topic, toPartition(partition)))
	}
	require.NoError(t, r.p.Flush(bounded(t)))

	frozen := cluster.Freeze(1)
	var stuck sync.WaitGroup
	stuck.Go(func() { _ = r.sendTo(bounded(t), topic, toPartition(2)) })
	t.Cleanup(stuck.Wait)
	require.NoError(t, frozen.Wait(bounded(t), 1))
	return r, frozen
}

// sendFast sends a message that must be delivered in the time of a look-up.
func (r *rig) sendFast(topic string) {
	r.t.Helper()
	before := r.delivered()
	elapsed := took(func() {
		require.NoError(r.t, r.sendTo(bounded(r.t), topic, toPartition(0)))
		require.NoError(r.t, r.waitDelivered(bounded(r.t), before+1))
	})
	require.Less(r.t, elapsed, fast, topic)
}

// abandon closes the producer while the one message is stuck, and verifies.
func (r *rig) abandon(frozen *kafkatest.Fault) {
	r.t.Helper()
	require.Error(r.t, r.p.Close(within(r.t, 100*time.Millisecond)))
	r.verify(frozen)
	failures := r.failures()
	require.Len(r.t, failures, 1)
	require.ErrorIs(r.t, failures[0], producer.ErrAborted)
}

// A client that asks a frozen broker about a topic waits for its read timeout,
// and one that locks a broker while it asks makes everybody else wait too.
func TestFrozen_theFirstMessagesOfNewTopicsDoNotWaitForAFrozenBroker(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		r, frozen := frozenRig(t, m)
		for n := range 5 {
			name := fmt.Sprintf("new-%d", n)
			require.NoError(t, r.cluster.CreateTopic(name, 1))
			require.NoError(t, r.cluster.MoveLeader(name, 0, 2))
			r.sendFast(name)
		}
		r.abandon(frozen)
	})
}

func TestFrozen_retriesOnAHealthyPartitionDoNotWaitForAFrozenBroker(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		r, frozen := frozenRig(t, m)
		for range 5 {
			const notLeader = 6
			refused := r.cluster.FailProduce(notLeader, kafkatest.Times(1), kafkatest.OnPartition(0))
			r.sendFast(topic)
			require.Equal(t, 1, refused.Hits())
		}
		r.abandon(frozen)
	})
}
