package kafkatest_test

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/saramakit/producer/kafkatest"
)

// start makes a cluster with a topic of three partitions, partition p led by
// broker p.
func start(t *testing.T) *kafkatest.Cluster {
	t.Helper()
	return kafkatest.Start(t, kafkatest.WithTopic(topic, 3))
}

func TestFailProduce_answersTheCodeAndStoresNothing(t *testing.T) {
	t.Parallel()
	for _, version := range []sarama.KafkaVersion{sarama.V0_11_0_0, sarama.V2_8_0_0, sarama.MaxVersion} {
		for _, code := range []sarama.KError{
			sarama.ErrRequestTimedOut, sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend,
			sarama.ErrTopicAuthorizationFailed, sarama.ErrUnknown,
		} {
			t.Run(fmt.Sprintf("%v/%d", version, int16(code)), func(t *testing.T) {
				t.Parallel()
				cluster := start(t)
				cfg := once()
				cfg.Version = version
				producer := newProducer(t, cluster, cfg)
				fault := cluster.FailProduce(int16(code), kafkatest.Times(1))

				require.ErrorIs(t, send(producer, 0, "a"), code)
				require.Empty(t, values(t, cluster))
				require.Equal(t, 1, fault.Hits())

				require.NoError(t, send(producer, 0, "b"))
				require.Equal(t, []string{"b"}, values(t, cluster))
				require.Equal(t, 1, fault.Hits())
			})
		}
	}
}

func TestFailProduce_leavesOtherPartitionsOfTheRequestAlone(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 3))
	cfg := once()
	cfg.Producer.Flush.Messages = 3 // one request
	producer := newProducer(t, cluster, cfg)
	first := cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.OnPartition(0))
	second := cluster.FailProduce(int16(sarama.ErrTopicAuthorizationFailed), kafkatest.OnPartition(0, 2))

	err := producer.SendMessages([]*sarama.ProducerMessage{message(0, "a"), message(1, "b"), message(2, "c")})

	var failed sarama.ProducerErrors
	require.ErrorAs(t, err, &failed)
	codes := make(map[int32]error)
	for _, e := range failed {
		codes[e.Msg.Partition] = e.Err
	}
	require.Equal(t, map[int32]error{0: sarama.ErrNotEnoughReplicas, 2: sarama.ErrTopicAuthorizationFailed}, codes)
	require.Equal(t, []string{"b"}, values(t, cluster))
	require.Equal(t, 1, first.Hits())
	require.Equal(t, 1, second.Hits())
	require.Equal(t, 1, cluster.ProduceRequests())
}

func TestFailProduce_doesNotAdvanceTheSequenceOfAnIdempotentProducer(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, idempotent())
	require.NoError(t, send(producer, 0, "a"))
	fault := cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.Times(3))
	require.NoError(t, send(producer, 0, "b"))
	require.Equal(t, 3, fault.Hits())
	require.Equal(t, []string{"a", "b"}, values(t, cluster))
}

func TestFailProduce_withoutAcksLosesTheRecords(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	cfg := once()
	cfg.Producer.RequiredAcks = sarama.NoResponse
	producer := newProducer(t, cluster, cfg)
	fault := cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.Times(1))
	require.NoError(t, send(producer, 0, "a"))
	require.NoError(t, fault.Wait(testContext(t), 1))
	require.NoError(t, send(producer, 0, "b"))
	require.Eventually(t, func() bool { return len(values(t, cluster)) == 1 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, []string{"b"}, values(t, cluster))
}

func TestFailProduce_withCodeZeroAcknowledgesAndLosesTheRecords(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, once())
	cluster.FailProduce(0)
	require.NoError(t, send(producer, 0, "a"))
	require.Empty(t, values(t, cluster))
}

func TestFailProduce_appliesToAnotherClientToo(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	client := newOther(t, cluster)
	fault := cluster.FailProduce(int16(sarama.ErrTopicAuthorizationFailed), kafkatest.OnTopic(topic))
	require.ErrorContains(t, client.ProduceSync(testContext(t), kgo.StringRecord("a")).FirstErr(), "TOPIC_AUTHORIZATION_FAILED")
	require.Equal(t, 1, fault.Hits())
	fault.Remove()
	require.NoError(t, client.ProduceSync(testContext(t), kgo.StringRecord("b")).FirstErr())
	require.Equal(t, []string{"b"}, values(t, cluster))
}

func TestFailProduceAfterAppend_storesOnceForAnIdempotentProducerAndTwiceForAPlainOne(t *testing.T) {
	t.Parallel()
	for _, code := range []sarama.KError{sarama.ErrRequestTimedOut, sarama.ErrNotEnoughReplicasAfterAppend, sarama.ErrNotLeaderForPartition} {
		for name, want := range map[string][]string{"Plain": {"a", "b", "b"}, "Idempotent": {"a", "b"}} {
			t.Run(fmt.Sprintf("%s/%d", name, int16(code)), func(t *testing.T) {
				t.Parallel()
				cluster := start(t)
				cfg := steady()
				if name == "Idempotent" {
					cfg = idempotent()
				}
				producer := newProducer(t, cluster, cfg)
				require.NoError(t, send(producer, 0, "a"))
				fault := cluster.FailProduceAfterAppend(int16(code), kafkatest.Times(1))
				require.NoError(t, send(producer, 0, "b"))
				require.Equal(t, 1, fault.Hits())
				require.Equal(t, want, values(t, cluster))
			})
		}
	}
}

func TestFailProduceAfterAppend_leavesTheBrokersOwnErrorsAlone(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1, kafkatest.MaxMessageBytes(100)))
	producer := newProducer(t, cluster, once())
	fault := cluster.FailProduceAfterAppend(int16(sarama.ErrRequestTimedOut))
	require.ErrorIs(t, send(producer, 0, string(make([]byte, 200))), sarama.ErrMessageSizeTooLarge)
	require.Zero(t, fault.Hits())
	require.ErrorIs(t, send(producer, 0, "a"), sarama.ErrRequestTimedOut)
	require.Equal(t, 1, fault.Hits())
}

func TestLoseProduceResponse_storesOnceForAnIdempotentProducerAndTwiceForAPlainOne(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{"Plain": {"a", "b", "b", "c"}, "Idempotent": {"a", "b", "c"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t)
			cfg := steady()
			if name == "Idempotent" {
				cfg = idempotent()
			}
			producer := newProducer(t, cluster, cfg)
			require.NoError(t, send(producer, 0, "a"))
			fault := cluster.LoseProduceResponse(kafkatest.Times(1))
			require.NoError(t, send(producer, 0, "b"))
			require.NoError(t, send(producer, 0, "c"))
			require.Equal(t, 1, fault.Hits())
			require.Equal(t, want, values(t, cluster))
		})
	}
}

func TestLoseProduceResponse_hasStoredTheRecordsWhenWaitReturns(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, once())
	fault := cluster.LoseProduceResponse()
	sent := make(chan error, 1)
	go func() { sent <- send(producer, 0, "a") }()
	require.NoError(t, fault.Wait(testContext(t), 1))
	require.Equal(t, []string{"a"}, values(t, cluster))
	require.Error(t, <-sent)
}

func TestDropProduce_closesTheConnectionAndStoresNothing(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.DropProduce()
	require.ErrorIs(t, send(newProducer(t, cluster, once()), 0, "a"), io.EOF) // not a timeout
	require.Equal(t, 1, fault.Hits())
	require.Empty(t, values(t, cluster))
	fault.Remove()

	fault = cluster.DropProduce(kafkatest.Times(2))
	require.NoError(t, send(newProducer(t, cluster, steady()), 0, "b"))
	require.Equal(t, 2, fault.Hits())
	require.Equal(t, []string{"b"}, values(t, cluster))
}

func TestIgnoreProduce_letsTheClientTimeOut(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.IgnoreProduce(kafkatest.Times(1))
	cfg := impatient()
	cfg.Producer.Retry.Max = 0
	var timeout net.Error
	require.ErrorAs(t, send(newProducer(t, cluster, cfg), 0, "a"), &timeout)
	require.True(t, timeout.Timeout())
	require.Equal(t, 1, fault.Hits())
	require.Empty(t, values(t, cluster))

	fault = cluster.IgnoreProduce(kafkatest.Times(2))
	require.NoError(t, send(newProducer(t, cluster, impatient()), 0, "b"))
	require.Equal(t, 2, fault.Hits())
	require.Equal(t, []string{"b"}, values(t, cluster))
}

func TestFreeze_answersNothingUntilItIsRemoved(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, impatient())
	require.NoError(t, send(producer, 1, "a"))

	fault := cluster.Freeze()
	cfg := impatient()
	cfg.Metadata.Retry.Max = 0
	_, err := sarama.NewClient(cluster.Addrs(), cfg)
	require.Error(t, err)
	sent := make(chan error, 1)
	go func() { sent <- send(producer, 1, "b") }()
	require.NoError(t, fault.Wait(testContext(t), fault.Hits()+1))
	require.Equal(t, []string{"a"}, values(t, cluster))

	fault.Remove()
	require.NoError(t, <-sent)
	require.Equal(t, []string{"a", "b"}, values(t, cluster))
}

func TestFreeze_leavesOtherBrokersAlone(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, once())
	for p := range int32(3) {
		require.NoError(t, send(producer, p, "a")) // connect
	}
	fault := cluster.Freeze(1)
	require.NoError(t, send(producer, 0, "b"))
	require.NoError(t, send(producer, 2, "b"))
	require.Zero(t, fault.Hits())
	sent := make(chan error, 1)
	go func() { sent <- send(producer, 1, "b") }()
	require.NoError(t, fault.Wait(testContext(t), 1))
	require.Len(t, values(t, cluster), 5)
	require.NoError(t, cluster.StopBroker(1)) // ends the wait for the answer
	require.Error(t, <-sent)
}

func TestFailMetadata_failsLookups(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	require.NoError(t, cluster.CreateTopic("other", 1))
	client := newClient(t, cluster, steady())
	for _, code := range []sarama.KError{sarama.ErrTopicAuthorizationFailed, sarama.ErrLeaderNotAvailable} {
		fault := cluster.FailMetadata(topic, int16(code))
		require.ErrorIs(t, client.RefreshMetadata(topic), code)
		require.Positive(t, fault.Hits())
		require.NoError(t, client.RefreshMetadata("other"))
		fault.Remove()
		require.NoError(t, client.RefreshMetadata(topic))
	}
}

func TestFailMetadata_passesWhenItHasHappenedOften(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.FailMetadata(topic, int16(sarama.ErrLeaderNotAvailable), kafkatest.Times(2))
	require.NoError(t, send(newProducer(t, cluster, steady()), 2, "a"))
	require.Equal(t, 2, fault.Hits())
}

func TestHideTopic_makesTheTopicUnknownAndKeepsItsRecords(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	client := newClient(t, cluster, once())
	producer := newProducer(t, cluster, once())
	require.NoError(t, send(producer, 0, "a"))

	fault := cluster.HideTopic(topic)
	require.ErrorIs(t, client.RefreshMetadata(topic), sarama.ErrUnknownTopicOrPartition)
	require.ErrorIs(t, send(producer, 0, "b"), sarama.ErrUnknownTopicOrPartition)
	all, err := sarama.NewClient(cluster.Addrs(), once())
	require.NoError(t, err)
	topics, err := all.Topics()
	require.NoError(t, err)
	require.NotContains(t, topics, topic)
	require.NoError(t, all.Close())
	require.GreaterOrEqual(t, fault.Hits(), 3)

	fault.Remove()
	require.NoError(t, client.RefreshMetadata(topic))
	require.NoError(t, send(producer, 0, "c"))
	require.Equal(t, []string{"a", "c"}, values(t, cluster))
}
