package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// gaps are two ways in which nothing comes back while connections stay open.
func gaps() map[string]func(*kafkatest.Cluster) *kafkatest.Fault {
	return map[string]func(*kafkatest.Cluster) *kafkatest.Fault{
		// Requests pass, and are stored.
		"one way": func(c *kafkatest.Cluster) *kafkatest.Fault { return c.HoldResponses() },
		// The peer has vanished without a FIN. What was sent to it arrives when it is back.
		"both ways": func(c *kafkatest.Cluster) *kafkatest.Fault { return c.Unplug() },
	}
}

func inGaps(t *testing.T, test func(t *testing.T, m mode, open func(*kafkatest.Cluster) *kafkatest.Fault)) {
	t.Helper()
	for name, open := range gaps() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) { test(t, m, open) })
		})
	}
}

func TestGap_thatHealsInTimeFailsNothing(t *testing.T) {
	t.Parallel()
	inGaps(t, func(t *testing.T, m mode, open func(*kafkatest.Cluster) *kafkatest.Fault) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, networkTimeouts(300*time.Millisecond))
		r.warm(20)
		gap := open(cluster)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(bounded(t), load{senders: 2, each: 20})
		}()
		// More than the connections there were: it was tried again.
		require.NoError(t, gap.Wait(bounded(t), 5))
		require.Equal(t, 20, r.delivered(), "void: answers came")
		gap.Remove()
		<-sent
		r.finishWithoutFailures(gap)
	})
}

// What was called not persisted must not come when the gap is gone.
func TestGap_thatStaysEndsEverythingInTimeAndThenItWorksAgain(t *testing.T) {
	t.Parallel()
	inGaps(t, func(t *testing.T, m mode, open func(*kafkatest.Cluster) *kafkatest.Fault) {
		const timeout = 2500 * time.Millisecond
		cluster := startCluster(t)
		r := newRig(t, m, cluster, networkTimeouts(500*time.Millisecond), producer.WithDeliveryTimeout(timeout))
		r.warm(20)
		gap := open(cluster)
		elapsed := took(func() {
			r.run(bounded(t), load{senders: 2, each: 20})
			require.NoError(t, r.p.Flush(bounded(t)))
		})
		require.Less(t, elapsed, timeout+slack)
		require.Len(t, r.failures(), 40)
		for _, err := range r.failures() {
			require.ErrorIs(t, err, producer.ErrDeliveryTimeout)
		}
		gap.Remove()
		r.untilDelivered(bounded(t), topic)
		r.finish(gap)
	})
}

func TestGap_closeEndsInTime(t *testing.T) {
	t.Parallel()
	inGaps(t, func(t *testing.T, m mode, open func(*kafkatest.Cluster) *kafkatest.Fault) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, networkTimeouts(long))
		r.warm(20)
		r.closesInTime(t, open(cluster))
	})
}

func TestGap_toOneBrokerIsBridgedWhenItsLeadersMove(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, networkTimeouts(500*time.Millisecond))
		r.warm(20)
		gap := cluster.Unplug(1)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(bounded(t), load{senders: 2, each: 20})
		}()
		require.NoError(t, gap.Wait(bounded(t), 1))
		for p := range int32(3) {
			if leader, err := cluster.Leader(topic, p); err == nil && leader == 1 {
				require.NoError(t, cluster.MoveLeader(topic, p, 2))
			}
		}
		<-sent
		r.finishWithoutFailures(gap)
	})
}
