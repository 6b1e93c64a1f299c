package kafkatest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/saramakit/producer/kafkatest"
)

// The cluster goes on; what a fault has started ends with the fault and with the
// connections that it was about.
//
//nolint:paralleltest // goroutines of other tests would be taken for leaks
func TestFaults_leaveNoGoroutineBehindWhenTheyAreRemoved(t *testing.T) {
	cluster := start(t)
	running := goleak.IgnoreCurrent()
	for name, install := range map[string]func() *kafkatest.Fault{
		"DelayRequests":    func() *kafkatest.Fault { return cluster.DelayRequests(time.Hour) },
		"DelayResponses":   func() *kafkatest.Fault { return cluster.DelayResponses(time.Hour) },
		"HoldRequests":     func() *kafkatest.Fault { return cluster.HoldRequests() },
		"HoldResponses":    func() *kafkatest.Fault { return cluster.HoldResponses() },
		"TrickleResponses": func() *kafkatest.Fault { return cluster.TrickleResponses(1, time.Hour) },
		"CutRequests":      func() *kafkatest.Fault { return cluster.CutRequests(20) },
		"CutResponses":     func() *kafkatest.Fault { return cluster.CutResponses(20) },
		"CutByReset":       func() *kafkatest.Fault { return cluster.CutResponses(20, kafkatest.Reset()) },
		"CloseIdle":        func() *kafkatest.Fault { return cluster.CloseIdle(time.Millisecond) },
		"ForgetIdle":       func() *kafkatest.Fault { return cluster.ForgetIdle(time.Millisecond) },
		"ForgetIdleOnce":   func() *kafkatest.Fault { return cluster.ForgetIdle(time.Millisecond, kafkatest.Times(1)) },
		"Unplug":           func() *kafkatest.Fault { return cluster.Unplug(0) },
		"GarbleResponses":  func() *kafkatest.Fault { return cluster.GarbleResponses(kafkatest.RandomBytes(1)) },
	} {
		fault := install()
		client := dialRaw(t, cluster, 0)
		_, _ = client.Write(produceFrame(1, 0, "a")) // may come too late
		require.NoError(t, fault.Wait(testContext(t), 1), name)
		fault.Remove()
		require.NoError(t, client.Close())
		require.NoError(t, goleak.Find(running), name)
	}
}

// A request that is held waits for its release even if its client has gone, but
// not on a connection that a fault has cut.
//
//nolint:paralleltest // goroutines of other tests would be taken for leaks
func TestCutRequests_endsWhateverIsHeldOnTheConnection(t *testing.T) {
	cluster := start(t)
	running := goleak.IgnoreCurrent()
	held := cluster.HoldRequests()
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	require.NoError(t, held.Wait(testContext(t), 1))
	cut := cluster.CutRequests(50)
	client.send(produceFrame(2, 0, "b"))
	require.NoError(t, cut.Wait(testContext(t), 1))
	require.NoError(t, client.Close())
	require.NoError(t, goleak.Find(running))
	held.Remove()
	require.Empty(t, values(t, cluster))
}
