package e2e

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// offsets are the places of a frame at which it is cut: all of them at full size,
// every day some, and always both ends and the borders of what leads it.
func offsets(size, step int) (at []int) {
	step = ofFull(1, step)
	for n := 0; n <= size; n += step {
		at = append(at, n)
	}
	at = append(at, 1, 3, 4, 8, 14, size-1, size)
	slices.Sort(at)
	return slices.Compact(at)
}

// One message, one request: it is cut once, and sent again on a connection that
// is new.
func TestCut_atEachByteOfARequestNothingIsStoredAndItIsSentAgain(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 1))
		var l line
		r := newRig(t, m, cluster, l.option(), producer.WithLinger(0))
		r.warm(1)
		size := int(l.produced.Load())
		require.Greater(t, size, 100, "void: no request was seen")
		at := offsets(size+16, 13) // later messages have longer numbers
		for _, n := range at {
			before := cluster.ProduceRequests()
			fault := cluster.CutRequests(n, kafkatest.Times(1), kafkatest.OnKey(produceKey))
			require.NoError(t, r.send(bounded(t)), "cut at %d", n)
			require.NoError(t, r.p.Flush(bounded(t)), "cut at %d", n)
			require.Equal(t, 1, fault.Hits(), "cut at %d", n)
			require.Equal(t, before+1, cluster.ProduceRequests(), "cut at %d: of two requests one has come", n)
		}
		r.finishWithoutFailures()
		require.Equal(t, 1+len(at), r.delivered())
		require.LessOrEqual(t, int(l.produced.Load()), at[len(at)-1], "void: not cut at its end")
		require.Len(t, r.stored(r.snapshot()), r.delivered(), "each is stored once, by a plain producer too")
	})
}

// The first of two requests is stored, and its answer is cut.
func TestCut_atEachByteOfAnAnswerItIsSentAgainAndNotStoredAgainIfIdempotent(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 1))
		var size atomic.Int64
		seen := cluster.GarbleResponses(func(_, _ int16, answer []byte) []byte {
			size.Store(int64(len(answer)))
			return answer
		}, kafkatest.OnKey(produceKey))
		r := newRig(t, m, cluster, producer.WithLinger(0))
		r.warm(1)
		seen.Remove()
		require.Greater(t, size.Load(), int64(20), "void: no answer was seen")
		for _, n := range offsets(int(size.Load()), 5) {
			before := cluster.ProduceRequests()
			fault := cluster.CutResponses(n, kafkatest.Times(1), kafkatest.OnKey(produceKey))
			require.NoError(t, r.send(bounded(t)), "cut at %d", n)
			require.NoError(t, r.p.Flush(bounded(t)), "cut at %d", n)
			require.Equal(t, 1, fault.Hits(), "cut at %d", n)
			again := 1
			if n >= int(size.Load()) {
				again = 0 // the whole answer came first
			}
			require.Equal(t, before+1+again, cluster.ProduceRequests(), "cut at %d", n)
		}
		r.finishWithoutFailures(seen)
	})
}

// Several connections break at a time, in the middle of batches.
func TestCut_atRandomUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]kafkatest.FaultOption{"FIN": nil, "RST": {kafkatest.Reset()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster)
				r.warm(20)
				var faults []*kafkatest.Fault
				for n := range 3 {
					once := append(slices.Clone(opts), kafkatest.Times(1))
					faults = append(faults, cluster.CutRequests(80*n, once...), cluster.CutResponses(30*n, once...),
						cluster.LoseProduceResponse(once...), cluster.DropProduce(once...))
				}
				r.runUntil(load{senders: 4, each: 50}, func() bool {
					return !slices.ContainsFunc(faults, func(f *kafkatest.Fault) bool { return f.Hits() == 0 })
				})
				r.finishWithoutFailures(faults...)
			})
		})
	}
}

func TestCut_connectionsThatLiveATenthOfASecondLoseNothing(t *testing.T) {
	t.Parallel()
	for name, reset := range map[string]bool{"FIN": false, "RST": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				const mortals = 15
				l := line{lifetime: between(10, 200), mortals: mortals, reset: reset}
				r := newRig(t, m, cluster, l.option())
				r.runUntil(load{senders: 4, each: 20}, func() bool { return l.deaths.Load() >= mortals })
				r.finishWithoutFailures()
			})
		})
	}
}

// runUntil sends one load after the other, each to its end, until enough is
// true.
func (r *rig) runUntil(l load, enough func() bool) {
	r.t.Helper()
	ctx := bounded(r.t)
	for !enough() {
		require.NoError(r.t, ctx.Err(), "void: it never came to that")
		r.run(ctx, l)
		require.NoError(r.t, r.p.Flush(ctx))
	}
}
