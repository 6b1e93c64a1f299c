package kafkatest_test

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

func TestCloseIdle_closesWhatIsIdleAndLeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts []kafkatest.FaultOption
		end  error
	}{
		"FIN": {end: io.EOF},
		"RST": {opts: []kafkatest.FaultOption{kafkatest.Reset()}, end: syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t)
			// From now on traffic is noted. So it is certain, however slow
			// the machine is, who of the two has been idle for longer.
			cluster.CloseIdle(time.Hour)
			elsewhere, busy, idle := dialRaw(t, cluster, 1), dialRaw(t, cluster, 0), dialRaw(t, cluster, 0)
			for _, client := range []rawClient{idle, busy} {
				client.send(produceFrame(0, 0, "a"))
				client.acknowledged(0)
			}
			const d = 50 * time.Millisecond
			before := time.Now()
			fault := cluster.CloseIdle(d, append(tt.opts, kafkatest.OnBroker(0), kafkatest.Times(1))...)
			for fault.Hits() == 0 {
				busy.send(produceFrame(1, 0, "a"))
				busy.acknowledged(1)
			}
			require.GreaterOrEqual(t, time.Since(before), d)
			_, err := idle.Read(make([]byte, 1))
			require.ErrorIs(t, err, tt.end)
			require.Equal(t, 1, fault.Hits())
			busy.send(produceFrame(2, 0, "a"))
			busy.acknowledged(2)
			elsewhere.send(produceFrame(3, 1, "a"))
			elsewhere.acknowledged(3)
		})
	}
}

func TestCloseIdle_closesAsManyConnectionsAsTimesSays(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.CloseIdle(0, kafkatest.Times(2), kafkatest.OnBroker(1))
	for range 2 {
		_, err := dialRaw(t, cluster, 1).Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
	dialRaw(t, cluster, 1).hearsNothing()
	require.Equal(t, 2, fault.Hits())
}

func TestCloseIdle_doesNotCountConnectionsThatHaveEndedOtherwise(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	cluster.DropProduce()
	ended := dialRaw(t, cluster, 0)
	ended.send(produceFrame(1, 0, "a"))
	_, err := ended.Read(make([]byte, 1)) // half closed: the client may have more to send
	require.ErrorIs(t, err, io.EOF)
	fault := cluster.CloseIdle(time.Millisecond)
	for range 2 {
		_, err := dialRaw(t, cluster, 0).Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
	require.Equal(t, 2, fault.Hits())
}

func TestCloseIdle_isBridgedByAClientThatSendsAgain(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, idempotent())
	require.NoError(t, send(producer, 0, "a"))
	fault := cluster.CloseIdle(10 * time.Millisecond)
	require.NoError(t, fault.Wait(testContext(t), 1))
	fault.Remove()
	require.NoError(t, send(producer, 0, "b"))
	require.Equal(t, []string{"a", "b"}, values(t, cluster))
}

func TestForgetIdle_leavesAConnectionOpenOnWhichNothingPasses(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	client.acknowledged(1)
	fault := cluster.ForgetIdle(10*time.Millisecond, kafkatest.OnBroker(0))
	require.NoError(t, fault.Wait(testContext(t), 1))
	fault.Remove()
	require.Equal(t, 1, fault.Hits())
	client.send(produceFrame(2, 0, "b"))
	client.hearsNothing()

	// Nobody reads, so the buffers of the network fill up.
	require.NoError(t, client.SetWriteDeadline(time.Now().Add(2*time.Second)))
	chunk := make([]byte, 1<<20)
	var err error
	for sent := 0; err == nil && sent < 1000; sent++ {
		_, err = client.Write(chunk)
	}
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())

	require.NoError(t, send(newProducer(t, cluster, once()), 0, "c"))
	require.Equal(t, []string{"a", "c"}, values(t, cluster))
	require.NoError(t, cluster.StopBroker(0))
	_, err = io.Copy(io.Discard, client)
	requireClosed(t, err)
}

func TestForgetIdle_isBridgedByAClientThatTimesOut(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, idempotent())
	require.NoError(t, send(producer, 0, "a"))
	fault := cluster.ForgetIdle(10*time.Millisecond, kafkatest.OnBroker(0))
	require.NoError(t, fault.Wait(testContext(t), 1))
	fault.Remove()
	require.NoError(t, send(producer, 0, "b"))
	require.Equal(t, []string{"a", "b"}, values(t, cluster))
}

func TestUnplug_stopsEverythingUntilTheCableIsBack(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	known, other := dialRaw(t, cluster, 0), dialRaw(t, cluster, 1)
	known.send(produceFrame(1, 0, "a"))
	known.acknowledged(1)

	fault := cluster.Unplug(0)
	known.send(produceFrame(2, 0, "b"))
	known.send(produceFrame(3, 0, "c"))
	require.NoError(t, fault.Wait(testContext(t), 1))
	fresh := dialRaw(t, cluster, 0)
	fresh.send(requestFrame(4, metadataRequest()))
	require.NoError(t, fault.Wait(testContext(t), 2))
	stray := dialRaw(t, cluster, 0)
	stray.send(produceFrame(5, 0, "stray"))
	require.NoError(t, fault.Wait(testContext(t), 3))
	require.NoError(t, stray.Close())
	known.hearsNothing()
	fresh.hearsNothing()
	other.send(produceFrame(6, 1, "elsewhere"))
	other.acknowledged(6)
	require.Equal(t, []string{"a", "elsewhere"}, values(t, cluster))
	require.Equal(t, 3, fault.Hits())

	fault.Remove()
	known.acknowledged(2)
	known.acknowledged(3)
	fresh.answer()
	require.Eventually(t, func() bool { return len(values(t, cluster)) == 5 }, 10*time.Second, time.Millisecond)
	require.Contains(t, values(t, cluster), "stray")
}

func TestUnplug_stopsAnswersThatAreUnderWay(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	delayed := cluster.HoldResponses()
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	require.NoError(t, delayed.Wait(testContext(t), 1))
	unplugged := cluster.Unplug()
	delayed.Remove()
	require.NoError(t, unplugged.Wait(testContext(t), 1))
	client.hearsNothing()
	require.Equal(t, []string{"a"}, values(t, cluster))
	unplugged.Remove()
	client.acknowledged(1)
	require.Equal(t, 1, unplugged.Hits())
}

func TestUnplug_isBridgedWhenTheLeadersMove(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, idempotent())
	require.NoError(t, send(producer, 1, "a"))
	fault := cluster.Unplug(1)
	sent := make(chan error, 1)
	go func() { sent <- send(producer, 1, "b") }()
	require.NoError(t, fault.Wait(testContext(t), 1))
	require.NoError(t, cluster.MoveLeader(topic, 1, 2))
	require.NoError(t, <-sent)
	require.Equal(t, []string{"a", "b"}, values(t, cluster))
	require.NoError(t, cluster.StopBroker(1)) // what was stopped there is lost
	fault.Remove()
	require.Equal(t, []string{"a", "b"}, values(t, cluster))
}
