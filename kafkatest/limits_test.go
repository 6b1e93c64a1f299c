package kafkatest_test

import (
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/saramakit/producer/kafkatest"
)

// A documented difference to Kafka, which keeps an epoch per partition. If this
// fails after an upgrade of kfake, the paragraph in doc.go can go.
func TestCluster_keepsOneEpochForAllPartitionsOfAProducerID(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 2))
	client := dialRaw(t, cluster, 0)
	client.send(requestFrame(0, kmsg.NewPtrInitProducerIDRequest()))
	granted := kmsg.NewPtrInitProducerIDResponse()
	require.NoError(t, granted.ReadFrom(client.answer()[8:]))

	code := func(partition int32, epoch int16, sequence int32) int16 {
		batch := newBatch("a")
		batch.ProducerID, batch.ProducerEpoch, batch.FirstSequence = granted.ProducerID, epoch, sequence
		client.send(requestFrame(1, produceRequest(partition, batch)))
		return produceAnswer(t, client.answer()).Topics[0].Partitions[0].ErrorCode
	}
	require.Zero(t, code(0, 0, 0))
	require.Zero(t, code(1, 0, 0))
	require.Zero(t, code(0, 1, 0)) // the producer raises the epoch after an error in partition 0
	require.Equal(t, int16(sarama.ErrInvalidProducerEpoch), code(1, 0, 1))
}
