package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/eapache/go-resiliency/breaker"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// full says that the bounds are to be tested at the size at which they are
// stated, which takes minutes: `make slow` does.
func full() bool { return os.Getenv("E2E_FULL") != "" }

// ofFull is one value for the whole size, and one for every day.
func ofFull[T any](atFull, daily T) T {
	if full() {
		return atFull
	}
	return daily
}

// heap is what the process holds, without what nobody needs any more.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Bare sarama accepts all that comes: gigabytes in this time.
//
//nolint:paralleltest // it measures memory
func TestBounds_memoryStaysBelowTwoAndAHalfBudgetsWhileBrokersOnlyAnswerNotEnoughReplicas(t *testing.T) {
	for _, c := range []struct {
		topics, partitions, value int
		idempotent, everyDay      bool
	}{
		{1, 3, 100, true, true},
		{1, 3, 1000, false, false},
		{10, 5, 100, false, true},
		// Sarama's channels take 64 KiB for each topic and each partition, so
		// that with 1,000 partitions they alone are as large as the budget.
		{20, 20, 100, true, false},
		{20, 20, 100, false, false},
	} {
		if !c.everyDay && !full() {
			continue
		}
		t.Run(fmt.Sprintf("%d topics of %d partitions, %d bytes, %v", c.topics, c.partitions, c.value, mode{idempotent: c.idempotent}), func(t *testing.T) {
			stuckAtTheBudget(t, c.topics, c.partitions, c.value, c.idempotent)
		})
	}
}

func stuckAtTheBudget(t *testing.T, topics, partitions, value int, idempotent bool) {
	t.Helper()
	budget := ofFull[int64](64<<20, 8<<20)
	settle, hold := ofFull(10*time.Second, 200*time.Millisecond), ofFull(30*time.Second, 500*time.Millisecond)

	cluster := kafkatest.Start(t)
	name := func(n int) string { return fmt.Sprint("stuck-", n%topics) }
	p, err := producer.NewAsync(bounded(t), cluster.Addrs(), append(quick(mode{idempotent: idempotent}),
		producer.WithMaxBufferedBytes(budget), producer.WithDeliveryTimeout(2*time.Minute),
		producer.WithRetryBackoff(100*time.Millisecond, time.Second)))
	require.NoError(t, err)
	for n := range topics {
		require.NoError(t, cluster.CreateTopic(name(n), partitions))
	}
	fault := cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas))

	sending, cancel := context.WithCancel(t.Context())
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for n := 0; sending.Err() == nil; n++ {
			_ = p.Send(sending, &sarama.ProducerMessage{
				Topic: name(n), Key: sarama.StringEncoder(fmt.Sprint(n)), Value: sarama.ByteEncoder(make([]byte, value)),
			})
		}
	}()
	require.Eventually(t, func() bool { return p.Stats().Waiting > 0 }, time.Minute, time.Millisecond, "void: the buffer was never full")

	measure := func(d time.Duration) (heaps []float64) {
		tick := time.NewTicker(d / 5)
		defer tick.Stop()
		for range 5 {
			<-tick.C
			heaps = append(heaps, float64(heap())/float64(budget))
			require.LessOrEqual(t, p.Stats().BufferedBytes, budget)
		}
		return heaps
	}
	measure(settle)
	early := measure(settle)
	measure(hold)
	late := measure(settle)
	t.Logf("heap in budgets: %.2f, after %v %.2f; %+v", early, hold, late, p.Stats())
	require.Less(t, slices.Max(slices.Concat(early, late)), 2.5)
	require.Less(t, slices.Min(late), 1.05*slices.Max(early), "it grows")
	require.Greater(t, fault.Hits(), 3, "void: nothing was tried again")

	cancel()
	<-sent
	require.Error(t, p.Close(within(t, 100*time.Millisecond)))
	// So many failures are told beyond the time of Close, each once.
	require.NoError(t, p.Flush(bounded(t)))
	require.Zero(t, p.Stats().InFlight)
}

//nolint:paralleltest // it looks for goroutines that are left, and measures time
func TestBounds_closeAgainstSilentBrokersEndsInTimeEveryTime(t *testing.T) {
	verifyNothingLeft(t)
	const limit = 100 * time.Millisecond
	worst := time.Duration(0)
	for n := range ofFull(100, 12) {
		m := modes[n%len(modes)]
		cluster := startCluster(t)
		r := newRig(t, m, cluster, networkTimeouts(long))
		if n%3 > 0 {
			r.warm(20) // else it is silent from the start
		}
		frozen := cluster.Freeze()
		ctx, cancel := context.WithCancel(bounded(t))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(ctx, load{senders: 8, each: 50, window: 50})
		}()
		require.Eventually(t, func() bool { return r.p.Stats().InFlight > 0 }, long, time.Millisecond)
		var err error
		elapsed := took(func() { err = r.p.Close(within(t, limit)) })
		require.Error(t, err)
		require.Less(t, elapsed, limit+afterCtx, "close %d, %v", n, m)
		worst = max(worst, elapsed-limit)
		cancel()
		<-sent
		r.verify(frozen)
		require.NoError(t, cluster.Close())
	}
	t.Logf("the longest Close took %v more than its ctx allowed", worst)
}

func TestBounds_anOpenCircuitBreakerIsKnownByTheTextOfTheRealOne(t *testing.T) {
	t.Parallel()
	// Sarama gives the error of this module away without a name of its own, and
	// the library must not require the module: it compares the text.
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := over(t, m, cluster, lend(t, cluster)) // others have no breakers
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
