package chaos_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/saramakit/producer/integration/chaos"
	"github.com/saramakit/producer/integration/internal/leaks"
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
	ours := chaos.Subjects()[:2]
	before := goleak.IgnoreCurrent()
	for i, scenario := range chaos.Scenarios() { //nolint:paralleltest // as above
		subject := ours[i%len(ours)] // each has its turn; `make chaos` runs all with all
		t.Run(scenario.Name+"/"+subject.Name, func(t *testing.T) {
			n := seed(t)
			began := time.Now()
			r, err := chaos.Run(t.Context(), cluster, subject, scenario, chaos.Options{Seed: n, Rate: rate, Console: true})
			require.NoError(t, err, "CHAOS_SEED=%d", n)
			require.NoError(t, r.Void, "the run is void; CHAOS_SEED=%d", n)
			t.Logf("%s in %.0f s", r.Row(), time.Since(began).Seconds())
			require.Empty(t, r.Broken, "CHAOS_SEED=%d, evidence in %s", n, r.Evidence)
			require.NoError(t, goleak.Find(append(leaks.Ignored(), before)...), "goroutines are left")
		})
	}
}
