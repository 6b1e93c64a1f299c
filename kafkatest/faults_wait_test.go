package kafkatest_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/saramakit/producer/kafkatest"
)

func TestDelayRequests_storesNothingUntilTheDelayIsOver(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, once())
	fault := cluster.DelayRequests(time.Hour, kafkatest.OnTopic(topic))
	sent := make(chan error, 1)
	go func() { sent <- send(producer, 0, "a") }()
	require.NoError(t, fault.Wait(testContext(t), 1))
	require.Empty(t, values(t, cluster))
	require.Zero(t, cluster.ProduceRequests())

	fault.Remove()
	require.NoError(t, <-sent)
	require.Equal(t, []string{"a"}, values(t, cluster))

	const d = 100 * time.Millisecond
	fault = cluster.DelayRequests(d, kafkatest.OnTopic(topic), kafkatest.Times(1))
	before := time.Now()
	require.NoError(t, send(producer, 0, "b"))
	require.GreaterOrEqual(t, time.Since(before), d)
	require.Equal(t, 1, fault.Hits())
	require.Equal(t, []string{"a", "b"}, values(t, cluster))
}

func TestDelayResponses_storesBeforeTheDelay(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, once())
	fault := cluster.DelayResponses(time.Hour, kafkatest.OnTopic(topic))
	sent := make(chan error, 1)
	go func() { sent <- send(producer, 0, "a") }()
	require.NoError(t, fault.Wait(testContext(t), 1))
	require.Equal(t, []string{"a"}, values(t, cluster))
	require.Empty(t, sent)
	fault.Remove()
	require.NoError(t, <-sent)

	const d = 100 * time.Millisecond
	fault = cluster.DelayResponses(d, kafkatest.OnTopic(topic), kafkatest.Times(1))
	before := time.Now()
	require.NoError(t, send(producer, 0, "b"))
	require.GreaterOrEqual(t, time.Since(before), d)
	require.Equal(t, 1, fault.Hits())
}

// Ten requests one behind the other would take ten times as long if each one
// began its delay when the one before it had arrived.
func TestDelays_ofAConnectionRunSideBySideAndKeepItsOrder(t *testing.T) {
	t.Parallel()
	const n, d = 10, 300 * time.Millisecond
	for name, delay := range map[string]func(*kafkatest.Cluster, time.Duration, ...kafkatest.FaultOption) *kafkatest.Fault{
		"Requests":  (*kafkatest.Cluster).DelayRequests,
		"Responses": (*kafkatest.Cluster).DelayResponses,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t)
			fault := delay(cluster, d)
			client := dialRaw(t, cluster, 0)
			before := time.Now()
			for i, value := range numbered(n) {
				client.send(produceFrame(int32(i), 0, value))
			}
			for i := range n {
				client.acknowledged(int32(i))
			}
			took := time.Since(before)
			require.GreaterOrEqual(t, took, d)
			require.Less(t, took, n*d)
			require.Equal(t, n, fault.Hits())
			require.Equal(t, numbered(n), values(t, cluster))
		})
	}
}

func TestDelays_theLongestOfSeveralCounts(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	long := cluster.DelayResponses(time.Hour)
	short := cluster.DelayResponses(time.Millisecond)
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	require.NoError(t, short.Wait(testContext(t), 1))
	client.hearsNothing()
	long.Remove()
	client.acknowledged(1)
	require.Equal(t, 1, long.Hits())
}

func TestHoldRequests_deliversInOrderOnReleaseAndHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.HoldRequests(kafkatest.OnPartition(0))
	client := dialRaw(t, cluster, 0)
	for i, value := range numbered(5) {
		client.send(produceFrame(int32(i), 0, value))
	}
	require.NoError(t, fault.Wait(testContext(t), 5))
	client.hearsNothing()
	require.Empty(t, values(t, cluster))

	other := dialRaw(t, cluster, 0)
	other.send(requestFrame(7, metadataRequest()))
	other.answer()
	require.NoError(t, send(newProducer(t, cluster, once()), 1, "other"))
	require.Equal(t, []string{"other"}, values(t, cluster))

	fault.Release()
	for i := range int32(5) {
		client.acknowledged(i)
	}
	require.Equal(t, append(numbered(5), "other"), values(t, cluster))
	client.send(produceFrame(5, 0, "5"))
	require.NoError(t, fault.Wait(testContext(t), 6)) // it is still there
	require.Len(t, values(t, cluster), 6)
	fault.Remove()
	client.acknowledged(5)
	require.Equal(t, append(numbered(6), "other"), values(t, cluster))
}

func TestHoldRequests_deliversAStrayRequestOfAClientThatHasGone(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.HoldRequests(kafkatest.OnTopic(topic), kafkatest.Times(1))
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "stray"))
	require.NoError(t, fault.Wait(testContext(t), 1))
	require.NoError(t, client.Close())
	require.NoError(t, send(newProducer(t, cluster, once()), 0, "later"))
	require.Equal(t, []string{"later"}, values(t, cluster))

	fault.Release()
	require.Eventually(t, func() bool { return len(values(t, cluster)) == 2 }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"later", "stray"}, values(t, cluster))
	require.Equal(t, 1, fault.Hits())
}

func TestHoldRequests_areLostWithTheirBroker(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.HoldRequests()
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	require.NoError(t, fault.Wait(testContext(t), 1))
	require.NoError(t, cluster.Outage())
	require.NoError(t, cluster.Return())
	fault.Remove()
	require.NoError(t, send(newProducer(t, cluster, once()), 0, "b"))
	require.Equal(t, []string{"b"}, values(t, cluster))
}

// Faults of the broker apply when the broker gets the request.
func TestHoldRequests_comesBeforeTheFaultsOfTheBroker(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	held := cluster.HoldRequests()
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	require.NoError(t, held.Wait(testContext(t), 1))
	failed := cluster.FailProduce(29)
	held.Remove()
	require.Equal(t, int16(29), produceAnswer(t, client.answer()).Topics[0].Partitions[0].ErrorCode)
	require.Equal(t, 1, failed.Hits())
	require.Equal(t, 1, cluster.ProduceRequests())
}

func TestHoldRequests_leavesWhatIsTooMuchInTheNetwork(t *testing.T) {
	t.Parallel()
	const n = 200
	cluster := start(t)
	fault := cluster.HoldRequests()
	client := dialRaw(t, cluster, 0)
	for i, value := range numbered(n) {
		client.send(produceFrame(int32(i), 0, value))
	}
	require.NoError(t, fault.Wait(testContext(t), 64))
	fault.Remove()
	for i := range int32(n) {
		client.acknowledged(i)
	}
	require.Less(t, fault.Hits(), n)
	require.Equal(t, numbered(n), values(t, cluster))
}

func TestHoldResponses_hasStoredTheRecordsAndAnswersInOrderOnRelease(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.HoldResponses(kafkatest.OnBroker(0), kafkatest.Times(2))
	client := dialRaw(t, cluster, 0)
	for i, value := range numbered(4) {
		client.send(produceFrame(int32(i), 0, value))
	}
	require.Eventually(t, func() bool { return len(values(t, cluster)) == 4 }, 10*time.Second, time.Millisecond)
	client.hearsNothing()
	require.Equal(t, 2, fault.Hits())

	fault.Release()
	for i := range int32(4) {
		client.acknowledged(i)
	}
	client.send(produceFrame(4, 0, "4"))
	client.acknowledged(4)
}

// A client whose answer is held back gives up and writes a second time.
func TestHoldResponses_makesAPlainClientWriteADuplicate(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.HoldResponses(kafkatest.OnTopic(topic), kafkatest.Times(1))
	require.NoError(t, send(newProducer(t, cluster, impatient()), 0, "a"))
	require.Equal(t, 1, fault.Hits())
	require.Equal(t, []string{"a", "a"}, values(t, cluster))
	fault.Release() // nobody is there any more
}

func TestOnKey_limitsAFaultToRequestsOfAKind(t *testing.T) {
	t.Parallel()
	const initProducerID = 22
	cluster := start(t)
	client := newOther(t, cluster)
	fault := cluster.HoldRequests(kafkatest.OnKey(initProducerID))
	sent := make(chan error, 1)
	go func() { sent <- client.ProduceSync(testContext(t), kgo.StringRecord("a")).FirstErr() }()
	require.NoError(t, fault.Wait(testContext(t), 1))
	require.Zero(t, cluster.ProduceRequests())
	fault.Remove()
	require.NoError(t, <-sent)
	require.Equal(t, []string{"a"}, values(t, cluster))
	require.Equal(t, 1, fault.Hits())
}

func TestTrickleResponses_sendsSliceAfterSlice(t *testing.T) {
	t.Parallel()
	const slice, d = 7, 20 * time.Millisecond
	cluster := start(t)
	fault := cluster.TrickleResponses(slice, d, kafkatest.OnTopic(topic))
	client := dialRaw(t, cluster, 0)
	before := time.Now()
	client.send(produceFrame(1, 0, "a"))
	size := len(client.answer())
	require.GreaterOrEqual(t, time.Since(before), time.Duration((size-1)/slice)*d)
	require.Equal(t, 1, fault.Hits())
	require.Equal(t, []string{"a"}, values(t, cluster))
	fault.Remove()

	fault = cluster.TrickleResponses(slice, time.Hour)
	client.send(produceFrame(2, 0, "b"))
	client.send(produceFrame(3, 0, "c"))
	_, err := io.ReadFull(client, make([]byte, slice))
	require.NoError(t, err)
	client.hearsNothing()
	require.NoError(t, fault.Wait(testContext(t), 2))
	require.Equal(t, []string{"a", "b", "c"}, values(t, cluster))
	fault.Remove()
	_, err = io.ReadFull(client, make([]byte, size-slice))
	require.NoError(t, err)
	client.acknowledged(3)
}

func TestClose_endsWhateverIsDelayedOrHeld(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]func(*kafkatest.Cluster) *kafkatest.Fault{
		"DelayRequests":  func(c *kafkatest.Cluster) *kafkatest.Fault { return c.DelayRequests(time.Hour) },
		"DelayResponses": func(c *kafkatest.Cluster) *kafkatest.Fault { return c.DelayResponses(time.Hour) },
		"HoldRequests":   func(c *kafkatest.Cluster) *kafkatest.Fault { return c.HoldRequests() },
		"HoldResponses":  func(c *kafkatest.Cluster) *kafkatest.Fault { return c.HoldResponses() },
		"Trickle":        func(c *kafkatest.Cluster) *kafkatest.Fault { return c.TrickleResponses(1, time.Hour) },
		"Unplug":         func(c *kafkatest.Cluster) *kafkatest.Fault { return c.Unplug() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t)
			fault := install(cluster)
			client := dialRaw(t, cluster, 0)
			client.send(produceFrame(1, 0, "a"))
			client.send(produceFrame(2, 0, "b"))
			require.NoError(t, fault.Wait(testContext(t), 1))
			closed := make(chan error, 1)
			go func() { closed <- cluster.Close() }()
			select {
			case err := <-closed:
				require.NoError(t, err)
			case <-testContext(t).Done():
				require.Fail(t, "Close waits")
			}
			_, err := io.Copy(io.Discard, client)
			requireClosed(t, err)
			fault.Release()
			fault.Remove()
		})
	}
}
