package kafkatest_test

import (
	"context"
	"net"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

func TestNew_hasThreeBrokersOnLoopbackByDefault(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	require.Len(t, cluster.Addrs(), 3)
	for _, addr := range cluster.Addrs() {
		host, _, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		require.True(t, net.ParseIP(host).IsLoopback(), addr)
	}
	require.Len(t, newClient(t, cluster, steady()).Brokers(), 3)
}

func TestNew_reportsEverythingThatIsWrongWithTheOptions(t *testing.T) {
	t.Parallel()
	_, err := kafkatest.New(
		kafkatest.WithBrokers(0),
		kafkatest.WithTopic("", 1),
		kafkatest.WithTopic("a", 0),
		kafkatest.WithTopic("c d", 1),
		kafkatest.WithTopic("e", 1, kafkatest.MaxMessageBytes(0)),
		kafkatest.WithTopic("b", 1),
		kafkatest.WithTopic("b", 2),
		kafkatest.WithAutoCreateTopics(-1),
	)
	require.ErrorContains(t, err, "WithBrokers(0)")
	require.ErrorContains(t, err, `topic name ""`)
	require.ErrorContains(t, err, `topic "a" has 0 partitions`)
	require.ErrorContains(t, err, `topic name "c d"`)
	require.ErrorContains(t, err, "MaxMessageBytes(0)")
	require.ErrorContains(t, err, `WithTopic("b") given twice`)
	require.ErrorContains(t, err, "WithAutoCreateTopics(-1)")
}

func TestNew_reportsATopicThatTheBrokersRefuse(t *testing.T) {
	t.Parallel()
	// The names of their metrics would be the same.
	_, err := kafkatest.New(kafkatest.WithTopic("a.b", 1), kafkatest.WithTopic("a_b", 1))
	require.ErrorContains(t, err, `"a_b"`)
}

func TestCreateTopic_spreadsLeadersEvenly(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	require.NoError(t, cluster.CreateTopic(topic, 4))
	for partition, want := range []int32{0, 1, 2, 0} {
		leader, err := cluster.Leader(topic, int32(partition))
		require.NoError(t, err)
		require.Equal(t, want, leader)
	}
	require.ErrorContains(t, cluster.CreateTopic(topic, 4), "TOPIC_ALREADY_EXISTS")
}

func TestMaxMessageBytes_limitsTheSizeOfABatch(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1, kafkatest.MaxMessageBytes(1000)))
	producer := newProducer(t, cluster, once())
	require.NoError(t, send(producer, 0, "short"))
	require.ErrorIs(t, send(producer, 0, string(make([]byte, 2000))), sarama.ErrMessageSizeTooLarge)
	require.Equal(t, []string{"short"}, values(t, cluster))
}

func TestDeleteTopic_removesTheTopicAndItsRecords(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
	require.NoError(t, send(newProducer(t, cluster, once()), 0, "a"))
	require.NoError(t, cluster.DeleteTopic(topic))
	require.ErrorContains(t, cluster.DeleteTopic(topic), "UNKNOWN_TOPIC_OR_PARTITION")
	_, err := cluster.Records(testContext(t), topic)
	require.ErrorContains(t, err, `no topic "orders"`)
	require.NoError(t, cluster.CreateTopic(topic, 1))
	require.Empty(t, values(t, cluster))
}

func TestWithAutoCreateTopics_decidesWhetherUnknownTopicsAppear(t *testing.T) {
	t.Parallel()
	without := kafkatest.Start(t)
	require.ErrorIs(t, send(newProducer(t, without, once()), 0, "a"), sarama.ErrUnknownTopicOrPartition)

	with := kafkatest.Start(t, kafkatest.WithAutoCreateTopics(2))
	require.NoError(t, send(newProducer(t, with, once()), 1, "a"))
	require.Equal(t, []string{"a"}, values(t, with))
	_, err := with.Leader(topic, 1)
	require.NoError(t, err)
	_, err = with.Leader(topic, 2)
	require.ErrorContains(t, err, "no partition 2")
}

func TestProduceRequests_countsRequests(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
	require.Zero(t, cluster.ProduceRequests())
	producer := newProducer(t, cluster, once())
	require.NoError(t, send(producer, 0, "a"))
	require.NoError(t, send(producer, 0, "b"))
	cluster.FailProduce(2, kafkatest.Times(1))
	require.Error(t, send(producer, 0, "c"))
	require.Equal(t, 3, cluster.ProduceRequests())
}

func TestClose_endsEverythingAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	cluster, err := kafkatest.New(kafkatest.WithTopic(topic, 1))
	require.NoError(t, err)
	fault := cluster.FailProduce(2)
	waited := make(chan error, 1)
	go func() { waited <- fault.Wait(context.Background(), 1) }()

	idle, err := net.Dial("tcp", cluster.Addrs()[0])
	require.NoError(t, err)
	defer func() { _ = idle.Close() }()

	require.NoError(t, cluster.Close())
	require.NoError(t, cluster.Close())

	require.ErrorIs(t, <-waited, kafkatest.ErrClosed)
	_, err = idle.Read(make([]byte, 1))
	require.Error(t, err)
	for _, addr := range cluster.Addrs() {
		_, err := net.Dial("tcp", addr)
		require.Error(t, err)
	}
	_, err = cluster.Records(t.Context(), topic)
	require.ErrorIs(t, err, kafkatest.ErrClosed)
	_, err = cluster.Leader(topic, 0)
	require.ErrorIs(t, err, kafkatest.ErrClosed)
	require.ErrorIs(t, cluster.CreateTopic("b", 1), kafkatest.ErrClosed)
	require.ErrorIs(t, cluster.DeleteTopic(topic), kafkatest.ErrClosed)
	require.ErrorIs(t, cluster.MoveLeader(topic, 0, 1), kafkatest.ErrClosed)
	require.ErrorIs(t, cluster.ShuffleLeaders(), kafkatest.ErrClosed)
	require.ErrorIs(t, cluster.StopBroker(0), kafkatest.ErrClosed)
	require.ErrorIs(t, cluster.StartBroker(0), kafkatest.ErrClosed)
	require.ErrorIs(t, cluster.Outage(), kafkatest.ErrClosed)
	require.ErrorIs(t, cluster.Return(), kafkatest.ErrClosed)
}

func TestClose_endsAnOutageForGood(t *testing.T) {
	t.Parallel()
	cluster, err := kafkatest.New()
	require.NoError(t, err)
	require.NoError(t, cluster.Outage())
	require.NoError(t, cluster.Close())
	require.ErrorIs(t, cluster.Return(), kafkatest.ErrClosed)
}

func TestCluster_survivesBytesThatAreNotKafka(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
	cluster.FailProduce(2, kafkatest.OnTopic("another"))
	for _, garbage := range []string{
		"GET / HTTP/1.1\r\n\r\n",
		"\x00\x00\x00\x00",
		// produce version 9, then a body that is cut short
		"\x00\x00\x00\x0b\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x07",
		// metadata version 12, the same
		"\x00\x00\x00\x0b\x00\x03\x00\x0c\x00\x00\x00\x01\x00\x09\x07",
	} {
		conn, err := net.Dial("tcp", cluster.Addrs()[0])
		require.NoError(t, err)
		_, err = conn.Write([]byte(garbage))
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NoError(t, conn.Close())
	}
	require.NoError(t, send(newProducer(t, cluster, once()), 0, "a"))
}
