package e2e

import (
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

// placed sends keys and returns where they are stored.
func placed(t *testing.T, keys []string, opts ...producer.Option) map[string]int32 {
	t.Helper()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 12))
	p := newProducer(t, mode{idempotent: true}, cluster, opts...)
	for _, key := range keys {
		require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(key)}))
	}
	require.NoError(t, p.Flush(bounded(t)))
	records, err := cluster.Records(bounded(t), topic)
	require.NoError(t, err)
	require.Len(t, records, len(keys))
	got := map[string]int32{}
	for i := range records {
		got[string(records[i].Key)] = records[i].Partition
	}
	return got
}

func someKeys() (keys []string) {
	for i := range 100 {
		keys = append(keys, fmt.Sprint("customer-", i))
	}
	return append(keys, "", "ключ")
}

func TestPlacement_aKeyGoesWhereSaramaPutsIt(t *testing.T) {
	t.Parallel()
	require.Equal(t, wanted(t, sarama.NewHashPartitioner), placed(t, someKeys()))
}

func TestPlacement_withJavaPartitionerAKeyGoesWhereJavaPutsIt(t *testing.T) {
	t.Parallel()
	got := placed(t, someKeys(), producer.WithPartitioner(producer.JavaPartitioner))
	require.Equal(t, wanted(t, sarama.NewMurmur2Partitioner), got)
}

// wanted is where a partitioner puts the keys.
func wanted(t *testing.T, ctor sarama.PartitionerConstructor) map[string]int32 {
	t.Helper()
	want := map[string]int32{}
	partitioner := ctor(topic)
	for _, key := range someKeys() {
		p, err := partitioner.Partition(&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(key)}, 12)
		require.NoError(t, err)
		want[key] = p
	}
	return want
}

func TestPlacement_theManualPartitionerTakesThePartitionOfTheMessage(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		r := newRig(t, m, startCluster(t), producer.WithPartitioner(sarama.NewManualPartitioner))
		for i := range 30 {
			require.NoError(t, r.sendTo(bounded(t), topic, toPartition(int32(i%3))))
		}
		// A partition that does not exist is no plausible 0 in the error.
		if err := r.sendTo(bounded(t), topic, toPartition(7)); m.sync {
			require.ErrorIs(t, err, sarama.ErrInvalidPartition)
		}
		require.NoError(t, r.p.Flush(bounded(t)))
		for i, m := range r.snapshot() {
			require.Len(t, m.Outcomes, 1)
			if i < 30 {
				require.NoError(t, m.Outcomes[0].Err)
				require.EqualValues(t, i%3, m.Outcomes[0].Partition)
				continue
			}
			require.ErrorIs(t, m.Outcomes[0].Err, sarama.ErrInvalidPartition)
			require.EqualValues(t, -1, m.Outcomes[0].Partition)
			require.Equal(t, producer.NotPersisted, judge.DeliveryError(m.Outcomes[0].Err).Status)
		}
		r.finish()
	})
}

func TestPlacement_messagesWithoutAKeyShareBatchesAndStillReachEveryPartition(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 6))
	p := newProducer(t, mode{idempotent: true}, cluster)
	const n = 3000
	value := sarama.ByteEncoder(make([]byte, 100))
	for range n {
		require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Value: value}))
	}
	require.NoError(t, p.Flush(bounded(t)))
	require.Less(t, cluster.ProduceRequests(), n/20, "messages per request")
	records, err := cluster.Records(bounded(t), topic)
	require.NoError(t, err)
	require.Len(t, records, n)
	used := map[int32]bool{}
	for i := range records {
		used[records[i].Partition] = true
	}
	require.Greater(t, len(used), 3, "partitions used")
}
