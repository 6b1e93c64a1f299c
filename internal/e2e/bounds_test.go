package e2e

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/eapache/go-resiliency/breaker"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
)

//nolint:paralleltest // it measures memory
func TestBounds_memoryStaysWithinTheBudgetWhileAPartitionOnlyAnswersNotEnoughReplicas(t *testing.T) {
	const budget = 4 << 20
	for _, m := range modes[1:] {
		if m.sync {
			continue // one message per goroutine: it cannot fill a buffer
		}
		t.Run(m.String(), func(t *testing.T) {
			cluster := startCluster(t)
			p := newProducer(t, m, cluster, producer.WithMaxBufferedBytes(budget), producer.WithDeliveryTimeout(time.Second))
			require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic}))
			require.NoError(t, p.Flush(bounded(t)))
			fault := cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas))
			base := heap()

			// Bare sarama accepts all that comes: gigabytes in this time.
			value := sarama.ByteEncoder(make([]byte, 1000))
			ctx := within(t, 2500*time.Millisecond)
			async, ok := p.(*producer.Async)
			require.True(t, ok)
			var peak uint64
			for n := 0; ctx.Err() == nil; n++ {
				sending, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				_ = async.Send(sending, &sarama.ProducerMessage{Topic: topic, Value: value})
				cancel()
				if n%2000 == 0 {
					peak = max(peak, heap())
				}
				s := p.Stats()
				require.LessOrEqual(t, s.BufferedBytes, int64(budget))
			}
			peak = max(peak, heap())
			t.Logf("%+v; heap: %d KiB at the start, %d KiB at most", p.Stats(), base>>10, peak>>10)
			require.Positive(t, p.Stats().Rejected+p.Stats().Failed, "void: the buffer was never full")
			require.Positive(t, fault.Hits())
			// Its own figure, and what sarama and the race detector add.
			require.Less(t, peak, base+3*budget)
			fault.Remove()
			require.NoError(t, p.Flush(bounded(t)))
		})
	}
}

// heap is what the process holds.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestBounds_anOpenCircuitBreakerIsKnownByTheTextOfTheRealOne(t *testing.T) {
	t.Parallel()
	// Sarama gives the error of this module away without a name of its own, and
	// the library must not require the module: it compares the text.
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster)
		r.warm(20)
		// The topic is forgotten with the first refresh, and each look-up then
		// fails at once.
		moved := cluster.FailProduce(int16(sarama.ErrNotLeaderForPartition))
		denied := cluster.FailMetadata(topic, int16(sarama.ErrTopicAuthorizationFailed))
		ctx := bounded(t)
		var open error
		for open == nil && ctx.Err() == nil {
			_ = r.send(ctx)
			require.NoError(t, r.p.Flush(ctx))
			failures := r.failures()
			if last := failures[len(failures)-1]; errors.Is(last, breaker.ErrBreakerOpen) {
				open = last
			}
		}
		require.NoError(t, ctx.Err(), "void: no breaker opened")
		require.ErrorIs(t, open, sarama.ErrTopicAuthorizationFailed, "the real cause comes with it")
		require.ErrorContains(t, open, breaker.ErrBreakerOpen.Error()+" after: ")
		require.False(t, producer.IsRetriable(open))
		r.finish(moved, denied)
	})
}
