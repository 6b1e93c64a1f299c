package e2e

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

const metadataKey = 3

// Overloaded clusters, and very large ones, take seconds.
func TestMetadata_aClusterThatIsSlowToAnswerIsOfUse(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		slow := cluster.DelayResponses(3500*time.Millisecond, kafkatest.OnKey(metadataKey))
		r := newRig(t, m, cluster, networkTimeouts(long), producer.WithDeliveryTimeout(time.Minute))
		r.run(within(t, time.Minute), load{senders: 2, each: 5})
		r.finishWithoutFailures(slow)
	})
}

// A broker that is cut off from the controller answers promptly, with what it
// knew then.
func TestMetadata_aBrokerWithAnOldViewOfTheClusterIsNotBelievedForEver(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		var mu sync.Mutex
		var old []byte
		r := newRigOver(t, m, cluster, func(opts producer.Options) (underTest, error) {
			opts = append(opts, producer.WithPartitioner(sarama.NewManualPartitioner))
			if m.sync {
				return producer.NewSync(bounded(t), cluster.Addrs()[:1], opts)
			}
			return producer.NewAsync(bounded(t), cluster.Addrs()[:1], opts)
		})
		stale := cluster.GarbleResponses(func(_, _ int16, answer []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			if old == nil {
				old = slices.Clone(answer)
				return answer
			}
			again := slices.Clone(old)
			binary.BigEndian.PutUint32(again[4:], binary.BigEndian.Uint32(answer[4:])) // the correlation id
			return again
		}, kafkatest.OnBroker(0), kafkatest.OnKey(metadataKey))
		require.NoError(t, r.sendTo(bounded(t), topic, toPartition(1)))
		for id := range int32(3) {
			require.NoError(t, cluster.MoveLeader(topic, 1, (id+1)%3))
			require.NoError(t, r.sendTo(bounded(t), topic, toPartition(1)))
			require.NoError(t, r.p.Flush(bounded(t)))
		}
		r.finishWithoutFailures(stale)
	})
}

// Firewalls forget a connection that is idle, and say nothing to either side.
// There is one address, so nobody else can be asked.
func TestMetadata_aConnectionThatWasForgottenDoesNotHoldUpANewTopic(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithBrokers(1), kafkatest.WithTopic("payments", 1))
		r := newRig(t, m, cluster, networkTimeouts(long))
		r.warm(5)
		const forgotten = 2 * time.Second
		idle := cluster.ForgetIdle(forgotten)
		// The service is busy meanwhile: only questions are not asked.
		for end := time.Now().Add(forgotten * 3 / 2); time.Now().Before(end); {
			require.NoError(t, r.send(bounded(t)))
			<-time.After(forgotten / 100)
		}
		require.NoError(t, idle.Wait(bounded(t), 1))
		idle.Remove()
		before := r.delivered()
		elapsed := took(func() {
			require.NoError(t, r.sendTo(bounded(t), "payments", nil))
			require.NoError(t, r.waitDelivered(bounded(t), before+1))
		})
		require.Less(t, elapsed, fast)
		r.finishWithoutFailures(idle)
	})
}

// Addresses are used again: what answers there now may be another cluster.
func TestMetadata_ofAnotherClusterIsRefusedAndSaidSo(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithTopic("payments", 1))
		r := newRig(t, m, cluster)
		r.warm(5)
		other := cluster.ChangeClusterID("another")
		_ = r.sendTo(bounded(t), "payments", nil)
		require.NoError(t, r.p.Flush(bounded(t)))
		failures := r.failures()
		require.Len(t, failures, 1)
		require.ErrorIs(t, failures[0], producer.ErrOtherCluster)
		require.False(t, producer.IsRetriable(failures[0]))
		require.Equal(t, producer.NotPersisted, judge.DeliveryError(failures[0]).Status)
		r.finish(other)
	})
}
