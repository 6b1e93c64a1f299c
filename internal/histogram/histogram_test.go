package histogram

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBounds_riseByAnEighthAtMostAndEndAtAThousandSeconds(t *testing.T) {
	t.Parallel()
	require.Equal(t, 10*time.Microsecond, Bound(0))
	require.Equal(t, 1000*time.Second, Bound(Buckets-2))
	require.EqualValues(t, math.MaxInt64, Bound(Buckets-1))
	for i := 1; i < Buckets-1; i++ {
		require.Greater(t, Bound(i), Bound(i-1))
		require.LessOrEqual(t, Bound(i)-Bound(i-1), Bound(i-1)/8)
	}
}

// The bounds that OpenTelemetry's messaging conventions advise for durations.
func TestBounds_containThoseOfTheConventions(t *testing.T) {
	t.Parallel()
	for _, seconds := range []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10} {
		want := time.Duration(math.Round(seconds * 1e9))
		require.True(t, slices.ContainsFunc(bounds[:], func(d time.Duration) bool { return d == want }), want)
	}
}

func TestRun_eachDurationIsInTheBucketWhoseBoundIsNotLessThanIt(t *testing.T) {
	t.Parallel()
	var h Histogram
	durations := []time.Duration{-time.Second, 0, 1, math.MaxInt64 / 8}
	for i := range Buckets - 1 {
		durations = append(durations, Bound(i)-1, Bound(i), Bound(i)+1)
	}
	var want Snapshot
	run := h.Begin()
	for _, d := range durations {
		run.Add(d)
		alone := h.Begin() // and without a bucket from before
		alone.Add(d)
		alone.Flush()
		want.Sum += 2 * max(d, 0)
		for i := range Buckets {
			if max(d, 0) <= Bound(i) {
				want.Counts[i] += 2
				break
			}
		}
	}
	run.Flush()
	run.Flush() // adds nothing again
	require.Equal(t, &want, h.Read())
}

func TestRun_goroutinesAtTheSameTimeLoseNothing(t *testing.T) {
	t.Parallel()
	var h Histogram
	var all sync.WaitGroup
	const each = 1000
	for g := range 4 {
		all.Go(func() {
			run := h.Begin()
			defer run.Flush()
			for i := range each {
				run.Add(time.Duration(i/100) * time.Duration(g+1) * time.Millisecond)
			}
		})
	}
	all.Wait()
	s, sum := h.Read(), int64(0)
	for _, n := range s.Counts {
		sum += n
	}
	require.EqualValues(t, 4*each, sum)
	require.Equal(t, 100*45*(1+2+3+4)*time.Millisecond, s.Sum)
}
