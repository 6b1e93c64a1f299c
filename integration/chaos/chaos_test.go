package chaos_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/integration/chaos"
	"github.com/saramakit/producer/integration/kafka"
)

// rate is what a machine of two processors does beside three nodes and the race
// detector.
const rate = 1_500

// seed is printed with each run; CHAOS_SEED repeats one.
func seed(t *testing.T) uint64 {
	t.Helper()
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	return rand.Uint64()
}

// Whatever happens to the brokers for less than the delivery timeout costs no
// message, and what lasts longer costs none in silence.
func TestScenarios_costNoMessage(t *testing.T) { //nolint:paralleltest // three nodes are enough for a machine
	cluster := kafka.Run(t, chaos.Cluster())
	for i, scenario := range chaos.Scenarios() {
		play(t, cluster, i, scenario, chaos.Options{Seed: seed(t), Console: true}) // `make chaos` runs all with all
	}
}

// A producer that is closed in the middle accounts for every message, in time.
// Which scenarios it is, of those that last, differs from day to day.
func TestScenarios_canBeClosedInTheMiddle(t *testing.T) { //nolint:paralleltest // as above
	cluster := kafka.Run(t, chaos.Cluster())
	n := seed(t)
	lasting := slices.DeleteFunc(chaos.Scenarios(), func(s chaos.Scenario) bool {
		return s.Hurts == 0 || s.Network || s.CloseAmid
	})
	for i, which := range rand.New(rand.NewPCG(n, 0)).Perm(len(lasting))[:3] { //nolint:gosec // not a secret
		play(t, cluster, i, lasting[which], chaos.Options{Seed: n, CloseAmid: true})
	}
}

// play runs a scenario with one of ours: each has its turn, and another one on
// another day.
func play(t *testing.T, cluster *kafka.Cluster, turn int, scenario chaos.Scenario, o chaos.Options) {
	t.Helper()
	subject := chaos.Subjects()[(turn+int(o.Seed%2))%2] //nolint:gosec // 0 or 1
	if !scenario.Suits(subject) {
		subject = chaos.Subjects()[0]
	}
	o.Rate = rate
	t.Run(scenario.Name+"/"+subject.Name, func(t *testing.T) {
		began := time.Now()
		r, err := chaos.Run(t.Context(), cluster, subject, scenario, o)
		require.NoError(t, err, "CHAOS_SEED=%d", o.Seed)
		require.NoError(t, r.Void, "the run is void; CHAOS_SEED=%d", o.Seed)
		t.Logf("%s in %.0f s, the slowest message took %s; without a processor: %v",
			r.Row(), time.Since(began).Seconds(), r.Slowest, r.Without)
		require.Empty(t, r.Broken, "CHAOS_SEED=%d, evidence in %s", o.Seed, r.Evidence)
	})
}
