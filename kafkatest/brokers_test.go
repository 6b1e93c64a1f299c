package kafkatest_test

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

func TestMoveLeader_movesThePartition(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, steady())
	require.NoError(t, send(producer, 0, "a"))
	require.NoError(t, cluster.MoveLeader(topic, 0, 2))
	leader, err := cluster.Leader(topic, 0)
	require.NoError(t, err)
	require.Equal(t, int32(2), leader)
	require.NoError(t, send(producer, 0, "b"))
	require.Equal(t, []string{"a", "b"}, values(t, cluster))

	require.NoError(t, send(newProducer(t, cluster, once()), 0, "c"))
	require.ErrorContains(t, cluster.MoveLeader(topic, 0, 3), "no broker 3: the ids are 0 to 2")
	require.ErrorContains(t, cluster.MoveLeader(topic, 3, 0), "partition 3")
	require.ErrorContains(t, cluster.MoveLeader("none", 0, 0), `"none"`)
}

func TestMoveLeader_isNoticedByAnError(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, once())
	require.NoError(t, send(producer, 0, "a"))
	require.NoError(t, cluster.MoveLeader(topic, 0, 2))
	require.ErrorIs(t, send(producer, 0, "b"), sarama.ErrNotLeaderForPartition)
}

func TestShuffleLeaders_movesEveryPartitionToAnotherBroker(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	require.NoError(t, cluster.StopBroker(2))
	leaders := func() []int32 {
		var ids []int32
		for p := range int32(3) {
			id, err := cluster.Leader(topic, p)
			require.NoError(t, err)
			ids = append(ids, id)
		}
		return ids
	}
	require.Equal(t, []int32{0, 1, 0}, leaders())
	require.NoError(t, cluster.ShuffleLeaders())
	require.Equal(t, []int32{1, 0, 1}, leaders())
	require.NoError(t, cluster.StopBroker(0))
	require.NoError(t, cluster.ShuffleLeaders())
	require.Equal(t, []int32{1, 1, 1}, leaders())
}

func TestStopBroker_takesTheBrokerAwayAndStartBrokerBringsItBack(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	addrs := cluster.Addrs()
	idle, err := net.Dial("tcp", addrs[0])
	require.NoError(t, err)
	defer func() { _ = idle.Close() }()

	require.NoError(t, cluster.StopBroker(0))
	_, err = idle.Read(make([]byte, 1))
	require.Error(t, err)
	_, err = net.Dial("tcp", addrs[0])
	require.Error(t, err)
	require.Equal(t, addrs, cluster.Addrs())
	client := newClient(t, cluster, steady())
	require.Len(t, client.Brokers(), 2)
	for p := range int32(3) {
		leader, err := client.Leader(topic, p)
		require.NoError(t, err)
		require.NotZero(t, leader.ID())
	}
	replicas, err := client.OfflineReplicas(topic, 0)
	require.NoError(t, err)
	require.Equal(t, []int32{0}, replicas)

	require.NoError(t, cluster.StartBroker(0))
	require.NoError(t, cluster.MoveLeader(topic, 0, 0))
	require.Len(t, newClient(t, cluster, steady()).Brokers(), 3)
	require.NoError(t, send(newProducer(t, cluster, once()), 0, "a"))
}

func TestStopBroker_keepsTheOtherLeaders(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	require.NoError(t, cluster.StopBroker(0))
	for p, want := range []int32{1, 1, 2} {
		leader, err := cluster.Leader(topic, int32(p))
		require.NoError(t, err)
		require.Equal(t, want, leader)
	}
	require.NoError(t, cluster.CreateTopic("later", 6))
	for p := range int32(6) {
		leader, err := cluster.Leader("later", p)
		require.NoError(t, err)
		require.NotZero(t, leader)
	}
}

func TestStopBroker_andStartBroker_refuseWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithBrokers(2), kafkatest.WithTopic(topic, 2))
	require.ErrorContains(t, cluster.StopBroker(2), "the ids are 0 to 1")
	require.ErrorContains(t, cluster.StartBroker(-1), "the ids are 0 to 1")
	require.ErrorContains(t, cluster.StartBroker(0), "running already")
	require.NoError(t, cluster.StopBroker(0))
	require.ErrorContains(t, cluster.StopBroker(0), "stopped already")
	require.ErrorContains(t, cluster.StopBroker(1), "use Outage")
	require.ErrorContains(t, cluster.MoveLeader(topic, 0, 0), "StartBroker")
	require.NoError(t, cluster.Outage())
	require.ErrorContains(t, cluster.StartBroker(0), "Return")
	require.ErrorContains(t, cluster.StopBroker(0), "Return")
}

func TestOutage_refusesConnectionsAndReturnBringsEverythingBack(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	require.NoError(t, cluster.StopBroker(2))
	producer := newProducer(t, cluster, steady())
	require.NoError(t, send(producer, 0, "a"))
	addrs := cluster.Addrs()

	require.ErrorContains(t, cluster.Return(), "not in an outage")
	require.NoError(t, cluster.Outage())
	require.ErrorContains(t, cluster.Outage(), "in an outage already")
	for _, addr := range addrs {
		_, err := net.Dial("tcp", addr)
		require.Error(t, err)
	}
	require.NoError(t, cluster.CreateTopic("meanwhile", 1))
	require.NoError(t, cluster.Return())

	require.Equal(t, addrs, cluster.Addrs())
	for _, addr := range addrs[:2] {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	_, err := net.Dial("tcp", addrs[2])
	require.Error(t, err) // stopped before the outage
	require.NoError(t, send(producer, 0, "b"))
	require.Equal(t, []string{"a", "b"}, values(t, cluster))
}

func TestOutage_keepsFaults(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.FailProduce(int16(sarama.ErrTopicAuthorizationFailed))
	require.NoError(t, cluster.Outage())
	require.NoError(t, cluster.Return())
	require.ErrorIs(t, send(newProducer(t, cluster, once()), 0, "a"), sarama.ErrTopicAuthorizationFailed)
	require.Equal(t, 1, fault.Hits())
}

func TestReturn_waitsForAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	require.NoError(t, cluster.Outage())
	squatter, err := net.Listen("tcp", cluster.Addrs()[1])
	require.NoError(t, err)
	time.AfterFunc(100*time.Millisecond, func() { _ = squatter.Close() })
	require.NoError(t, cluster.Return())
}

// An idempotent producer goes through everything that can happen to a cluster,
// and each message is stored once and in order.
func TestCluster_keepsIdempotentProducersExactThroughTrouble(t *testing.T) {
	t.Parallel()
	const n = 400
	cluster := start(t)
	producer := newProducer(t, cluster, idempotent())
	trouble := []func(){
		func() { cluster.LoseProduceResponse(kafkatest.Times(1)) },
		func() { require.NoError(t, cluster.MoveLeader(topic, 0, 1)) },
		func() { cluster.FailProduceAfterAppend(7, kafkatest.Times(2)) },
		func() { require.NoError(t, cluster.StopBroker(1)) },
		func() { cluster.DropProduce(kafkatest.Times(1)) },
		func() { require.NoError(t, cluster.StartBroker(1)) },
		func() { require.NoError(t, cluster.Outage()); require.NoError(t, cluster.Return()) },
		func() { require.NoError(t, cluster.ShuffleLeaders()) },
		func() { cluster.CutRequests(50, kafkatest.Times(1)) },
		func() { cluster.CutResponses(9, kafkatest.OnTopic(topic), kafkatest.Times(1), kafkatest.Reset()) },
		func() { cluster.HoldResponses(kafkatest.OnTopic(topic), kafkatest.Times(1)) },
		func() { cluster.DelayRequests(5*time.Millisecond, kafkatest.Times(20)) },
		func() {
			cluster.GarbleResponses(kafkatest.WrongLength(-1), kafkatest.OnTopic(topic), kafkatest.Times(1))
		},
		func() { cluster.TrickleResponses(9, time.Millisecond, kafkatest.Times(20)) },
		func() { cluster.ForgetIdle(time.Millisecond, kafkatest.Times(2)) },
	}
	for i := range n {
		if i%20 == 10 {
			trouble[i/20%len(trouble)]()
		}
		require.NoError(t, send(producer, 0, strconv.Itoa(i)))
	}
	require.Equal(t, numbered(n), values(t, cluster))
}

// What was acknowledged before Outage returns is stored, and nothing is stored
// after it has returned.
func TestOutage_isACleanCut(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	for range 5 {
		var acknowledged atomic.Int64
		var senders sync.WaitGroup
		underWay := make(chan struct{})
		before := len(values(t, cluster))
		for p := range int32(6) {
			producer := newProducer(t, cluster, once())
			senders.Go(func() {
				for send(producer, p%3, "a") == nil { // until the outage
					if acknowledged.Add(1) == 100 {
						close(underWay)
					}
				}
			})
		}
		select {
		case <-underWay:
		case <-testContext(t).Done():
			require.Fail(t, "the senders have given up")
		}
		require.NoError(t, cluster.Outage())
		stored := len(values(t, cluster))
		senders.Wait()
		require.Len(t, values(t, cluster), stored)
		require.GreaterOrEqual(t, int64(stored-before), acknowledged.Load())
		require.NoError(t, cluster.Return())
	}
}

// For the race detector: every verb at once, under traffic.
func TestCluster_isSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	var traffic, verbs sync.WaitGroup
	stop := make(chan struct{})
	for p := range int32(3) {
		producer := newProducer(t, cluster, impatient())
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = send(producer, p, "a")
				}
			}
		})
	}
	for _, verb := range []func(){
		func() { cluster.FailProduce(2, kafkatest.Times(1)).Hits() },
		func() { cluster.HideTopic(topic).Remove() },
		func() { cluster.Freeze(1).Remove() },
		func() { cluster.LoseProduceResponse(kafkatest.Times(1)).Remove() },
		func() { cluster.DelayRequests(time.Millisecond, kafkatest.Times(5)) },
		func() { cluster.DelayResponses(time.Hour).Remove() },
		func() { fault := cluster.HoldRequests(); fault.Release(); fault.Remove() },
		func() { cluster.HoldResponses(kafkatest.Times(1)).Remove() },
		func() { cluster.TrickleResponses(5, time.Microsecond, kafkatest.Times(5)) },
		func() { cluster.CutRequests(30, kafkatest.Times(1)) },
		func() { cluster.CutResponses(10, kafkatest.Times(1), kafkatest.Reset()) },
		func() { cluster.GarbleResponses(kafkatest.RandomBytes(1), kafkatest.Times(1)) },
		func() { cluster.CloseIdle(0, kafkatest.Times(1)).Hits() },
		func() { cluster.ForgetIdle(0, kafkatest.Times(1)).Remove() },
		func() { cluster.Unplug(0).Remove() },
		func() { cluster.ThrottleProduce(0); cluster.ChangeClusterID("a").Remove() },
		func() { _ = cluster.StopBroker(2) },
		func() { _ = cluster.StartBroker(2) },
		func() { _ = cluster.Outage() },
		func() { _ = cluster.Return() },
		func() { _ = cluster.ShuffleLeaders() },
		func() { _, _ = cluster.Leader(topic, 0); cluster.ProduceRequests(); cluster.Addrs() },
		func() { _ = cluster.CreateTopic("b", 1); _ = cluster.DeleteTopic("b") },
		func() {
			_, err := cluster.Records(testContext(t), topic)
			require.NoError(t, err)
		},
	} {
		verbs.Go(func() {
			for range 30 {
				verb()
			}
		})
	}
	verbs.Wait()
	_ = cluster.Return()
	close(stop)
	traffic.Wait()
	values(t, cluster)
}

func TestOutage_keepsTheAddressesFromOtherClustersOfTheProcess(t *testing.T) {
	t.Parallel()
	away := kafkatest.Start(t, kafkatest.WithBrokers(50))
	require.NoError(t, away.Outage())
	for range 100 {
		other, err := kafkatest.New(kafkatest.WithBrokers(3))
		require.NoError(t, err)
		for _, addr := range other.Addrs() {
			require.NotContains(t, away.Addrs(), addr)
		}
		require.NoError(t, other.Close())
	}
	require.NoError(t, away.Return())
}
