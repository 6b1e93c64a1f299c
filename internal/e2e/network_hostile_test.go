package e2e

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

// hostileAnswers are answers that make no sense. Everything is stored before
// they are sent. Those that tell nothing of a partition cost its messages: the
// broker was asked, and has said that it is done.
func hostileAnswers() map[string]struct {
	garble kafkatest.GarbleFunc
	costs  bool
} {
	type hostile = struct {
		garble kafkatest.GarbleFunc
		costs  bool
	}
	return map[string]hostile{
		"of a negative length":      {garble: kafkatest.WrongLength(-1)},
		"without a length":          {garble: kafkatest.WrongLength(0)},
		"of two gigabytes":          {garble: kafkatest.WrongLength(math.MaxInt32)},
		"to another request":        {garble: kafkatest.WrongCorrelationID()},
		"that are garbage":          {garble: kafkatest.RandomBytes(1)},
		"without partitions":        {garble: kafkatest.OmitPartitions(), costs: true},
		"without partition 0":       {garble: kafkatest.OmitPartitions(0), costs: true},
		"with each partition twice": {garble: kafkatest.RepeatPartitions()},
	}
}

func TestHostile_answersToProduceRequestsLoseNothingAndTheNextOnesCount(t *testing.T) {
	t.Parallel()
	for name, h := range hostileAnswers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 3))
				r := newRig(t, m, cluster)
				r.warm(10)
				fault := cluster.GarbleResponses(h.garble, kafkatest.Times(3), kafkatest.OnKey(produceKey), kafkatest.OnPartition(0))
				r.runUntil(load{senders: 2, each: 20}, func() bool { return fault.Hits() == 3 })
				failed := r.failures()
				for _, err := range failed {
					require.Equal(t, producer.PossiblyPersisted, judge.DeliveryError(err).Status, "%v", err)
				}
				r.run(bounded(t), load{senders: 2, each: 10})
				r.finish(fault)
				require.Len(t, r.failures(), len(failed), "it goes on")
				if h.costs {
					require.NotEmpty(t, failed)
				} else {
					require.Empty(t, failed)
				}
			})
		})
	}
}

// Each broker may be asked for metadata, and another one tells the truth.
func TestHostile_metadataFailsNothing(t *testing.T) {
	t.Parallel()
	for name, h := range hostileAnswers() {
		if name == "without partitions" || name == "without partition 0" || name == "with each partition twice" {
			continue // metadata has none of this form
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, kinds, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster)
				r.warm(10)
				fault := cluster.GarbleResponses(h.garble, kafkatest.Times(3), kafkatest.OnKey(metadataKey))
				// It is looked up again when the leaders have moved.
				r.runUntil(load{senders: 2, each: 20}, func() bool {
					require.NoError(t, cluster.ShuffleLeaders())
					return fault.Hits() == 3
				})
				r.finishWithoutFailures(fault)
			})
		})
	}
}
