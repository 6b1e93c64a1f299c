package kafkatest_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/saramakit/producer/kafkatest"
)

func TestFaults_giveEachPartitionOfARequestItsOwnCode(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 5))
	cfg := once()
	cfg.Producer.Flush.Messages = 5 // one request
	producer := newProducer(t, cluster, cfg)
	faults := []*kafkatest.Fault{
		cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.OnPartition(0)),
		cluster.FailProduceAfterAppend(int16(sarama.ErrRequestTimedOut), kafkatest.OnPartition(1)),
		cluster.FailProduceAfterAppend(int16(sarama.ErrNotEnoughReplicasAfterAppend), kafkatest.OnPartition(1, 2)),
		cluster.FailProduce(int16(sarama.ErrTopicAuthorizationFailed), kafkatest.OnPartition(3)),
		cluster.ThrottleProduce(time.Millisecond),
	}
	var messages []*sarama.ProducerMessage
	for p, value := range numbered(5) {
		messages = append(messages, message(int32(p), value))
	}

	var failed sarama.ProducerErrors
	require.ErrorAs(t, producer.SendMessages(messages), &failed)
	codes := make(map[int32]error)
	for _, e := range failed {
		codes[e.Msg.Partition] = e.Err
	}
	require.Equal(t, map[int32]error{
		0: sarama.ErrNotEnoughReplicas,
		1: sarama.ErrRequestTimedOut,
		2: sarama.ErrNotEnoughReplicasAfterAppend,
		3: sarama.ErrTopicAuthorizationFailed,
	}, codes)
	require.Equal(t, []string{"1", "2", "4"}, values(t, cluster))
	for _, fault := range faults {
		require.Equal(t, 1, fault.Hits())
	}
	require.Equal(t, 1, cluster.ProduceRequests())
}

// throttled is a hook of the other client.
type throttled struct{ waits chan time.Duration }

func (h throttled) OnBrokerThrottle(_ kgo.BrokerMetadata, wait time.Duration, _ bool) {
	h.waits <- wait
}

func TestThrottleProduce_asksTheClientToWait(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
	hook := throttled{make(chan time.Duration, 10)}
	client := newOther(t, cluster, kgo.WithHooks(hook))
	fault := cluster.ThrottleProduce(50*time.Millisecond, kafkatest.OnTopic(topic), kafkatest.Times(1))
	other := cluster.ThrottleProduce(time.Hour, kafkatest.OnTopic("another"))
	require.NoError(t, client.ProduceSync(testContext(t), kgo.StringRecord("a")).FirstErr())
	select {
	case wait := <-hook.waits:
		require.Equal(t, 50*time.Millisecond, wait)
	case <-testContext(t).Done():
		require.Fail(t, "the client was not asked to wait")
	}
	require.NoError(t, client.ProduceSync(testContext(t), kgo.StringRecord("b")).FirstErr())
	require.Empty(t, hook.waits)
	require.Equal(t, []string{"a", "b"}, values(t, cluster))
	require.Equal(t, []int{1, 0}, []int{fault.Hits(), other.Hits()})
}

func TestChangeClusterID_answersAnotherIDInMetadata(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	client := newOther(t, cluster)
	id := func() string {
		resp, err := kmsg.NewPtrMetadataRequest().RequestWith(testContext(t), client)
		require.NoError(t, err)
		require.NotNil(t, resp.ClusterID)
		require.Len(t, resp.Brokers, 3)
		return *resp.ClusterID
	}
	truth := id()
	fault := cluster.ChangeClusterID("another")
	require.Equal(t, "another", id())
	require.Equal(t, 1, fault.Hits())
	raw := dialRaw(t, cluster, 0)
	old := metadataRequest()
	old.Version = 1 // has no cluster id
	raw.send(requestFrame(1, old))
	raw.answer()
	require.Equal(t, 1, fault.Hits())
	fault.Remove()
	require.Equal(t, truth, id())
}

func TestGarbleResponses_isToldWhatItReplaces(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	plain := client.answer()

	fault := cluster.GarbleResponses(func(key, version int16, answer []byte) []byte {
		if key != 0 || version != rawVersion || len(answer) != len(plain) {
			return []byte("unexpected")
		}
		return []byte("another answer")
	}, kafkatest.OnTopic(topic), kafkatest.Times(1))
	client.send(requestFrame(2, metadataRequest()))
	client.answer()
	client.send(produceFrame(3, 0, "b"))
	got := make([]byte, len("another answer"))
	_, err := io.ReadFull(client, got)
	require.NoError(t, err)
	require.Equal(t, "another answer", string(got))
	require.Equal(t, 1, fault.Hits())

	client.send(produceFrame(4, 0, "c"))
	client.acknowledged(4)
	require.Equal(t, []string{"a", "b", "c"}, values(t, cluster))
	fault = cluster.GarbleResponses(func(_, _ int16, _ []byte) []byte { return nil })
	client.send(produceFrame(5, 0, "d"))
	require.NoError(t, fault.Wait(testContext(t), 1))
	client.hearsNothing()
	require.Equal(t, []string{"a", "b", "c", "d"}, values(t, cluster))
}

func TestGarbleFuncs_changeOnlyWhatTheyName(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 3))
	client := dialRaw(t, cluster, 0)
	req := produceRequest(0, newBatch("a"))
	for _, p := range []int32{1, 2} {
		part := req.Topics[0].Partitions[0]
		part.Partition = p
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, part)
	}
	frame := requestFrame(1, req)
	client.send(frame)
	size := len(client.answer())
	garbled := func(fn kafkatest.GarbleFunc) []byte {
		fault := cluster.GarbleResponses(fn, kafkatest.Times(1))
		client.send(frame)
		require.NoError(t, fault.Wait(testContext(t), 1))
		require.NoError(t, client.SetReadDeadline(time.Now().Add(30*time.Second)))
		got := make([]byte, 2*size)
		n, err := client.Read(got)
		require.NoError(t, err)
		return got[:n]
	}
	partitions := func(fn kafkatest.GarbleFunc) []int32 {
		var numbers []int32
		for _, topic := range produceAnswer(t, garbled(fn)).Topics {
			for _, p := range topic.Partitions {
				require.Zero(t, p.ErrorCode)
				numbers = append(numbers, p.Partition)
			}
		}
		return numbers
	}

	require.Equal(t, []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1}, garbled(kafkatest.WrongLength(-1))[:8])
	require.Equal(t, []byte{0xff, 0xff, 0xff, 0xfe}, garbled(kafkatest.WrongCorrelationID())[4:8])
	random := garbled(kafkatest.RandomBytes(7))
	require.Len(t, random, size)
	require.Equal(t, []byte{0, 0, 0, byte(size - 4), 0, 0, 0, 1}, random[:8])
	require.Equal(t, random, garbled(kafkatest.RandomBytes(7)))
	require.NotEqual(t, random, garbled(kafkatest.RandomBytes(8)))
	require.Equal(t, []int32{0, 2}, partitions(kafkatest.OmitPartitions(1)))
	require.Empty(t, partitions(kafkatest.OmitPartitions()))
	require.Equal(t, []int32{0, 1, 2, 1}, partitions(kafkatest.RepeatPartitions(1)))
	require.Equal(t, []int32{0, 1, 2, 0, 1, 2}, partitions(kafkatest.RepeatPartitions()))
	require.Len(t, values(t, cluster), 3*10)
}

// What becomes of it is up to the client. None must take it for a success that
// it is not, and each must be able to go on.
func TestGarbleResponses_isNoticedByAClient(t *testing.T) {
	t.Parallel()
	for name, fn := range map[string]kafkatest.GarbleFunc{
		"NegativeLength":     kafkatest.WrongLength(-1),
		"TwoGiB":             kafkatest.WrongLength(1<<31 - 1),
		"WrongCorrelationID": kafkatest.WrongCorrelationID(),
		"RandomBytes":        kafkatest.RandomBytes(1),
		"NoPartition":        kafkatest.OmitPartitions(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t)
			producer := newProducer(t, cluster, once())
			fault := cluster.GarbleResponses(fn, kafkatest.OnTopic(topic), kafkatest.Times(1))
			err := send(producer, 0, "a")
			require.Error(t, err)
			var timeout net.Error
			require.NotErrorAs(t, err, &timeout)
			require.NoError(t, send(producer, 0, "b"))
			require.Equal(t, 1, fault.Hits())
			require.Equal(t, []string{"a", "b"}, values(t, cluster))
		})
	}
}
