package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

// Brokers close connections that are idle, and nothing is wrong then: whoever
// sends the next message must not notice.
func TestIdle_aConnectionThatWasClosedIsMadeAnewWithTheNextMessage(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]kafkatest.FaultOption{"FIN": nil, "RST": {kafkatest.Reset()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster, networkTimeouts(long))
				for range 3 {
					r.run(bounded(t), load{senders: 1, each: 9})
					require.NoError(t, r.p.Flush(bounded(t)))
					idle := cluster.CloseIdle(10*time.Millisecond, opts...)
					require.NoError(t, idle.Wait(bounded(t), 3))
					idle.Remove()
					before := r.delivered()
					elapsed := took(func() {
						require.NoError(t, r.send(bounded(t)))
						require.NoError(t, r.waitDelivered(bounded(t), before+1))
					})
					require.Less(t, elapsed, fast, "it waited for a timeout")
				}
				r.finishWithoutFailures()
			})
		})
	}
}

// A firewall has forgotten the connections and tells nobody. It takes a read
// timeout to find out, for each broker: a Sync that sends one after the other
// finds out three times.
func TestIdle_connectionsThatWereForgottenCostATimeoutPerBrokerAtMostAndNoMessage(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		const brokers, timeout = 3, time.Second
		cluster := startCluster(t)
		r := newRig(t, m, cluster, networkTimeouts(timeout))
		r.warm(9)
		idle := cluster.ForgetIdle(10 * time.Millisecond)
		require.NoError(t, idle.Wait(bounded(t), 3))
		idle.Remove()
		before := cluster.ProduceRequests()
		elapsed := took(func() {
			r.run(bounded(t), load{senders: 1, each: 9})
			require.NoError(t, r.p.Flush(bounded(t)))
		})
		require.Greater(t, elapsed, timeout*9/10, "void: nothing was forgotten")
		require.Less(t, elapsed, brokers*timeout+slack)
		require.Positive(t, cluster.ProduceRequests()-before)
		r.finishWithoutFailures(idle)
	})
}
