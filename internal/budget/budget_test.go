package budget

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// wait starts an Acquire, waits until it is in line and returns where its
// outcome will come. Call it in a bubble.
func wait(ctx context.Context, b *Budget, closing <-chan struct{}, bytes int64) <-chan Outcome {
	ch := make(chan Outcome, 1)
	go func() { ch <- b.Acquire(ctx, closing, nil, bytes) }()
	synctest.Wait()
	return ch
}

// outcome is what has come from a call of wait, 0 if nothing yet.
func outcome(ch <-chan Outcome) Outcome {
	synctest.Wait()
	select {
	case o := <-ch:
		return o
	default:
		return 0
	}
}

func requireEmpty(t *testing.T, b *Budget) {
	t.Helper()
	require.Zero(t, b.Messages(), "messages")
	require.Zero(t, b.Bytes(), "bytes")
	require.Zero(t, b.Waiting(), "waiting")
	require.Nil(t, b.first, "head of the line")
	require.Nil(t, b.last, "end of the line")
}

func TestBudget_TryAcquire_takesNoMoreThanTheBudget(t *testing.T) {
	t.Parallel()
	b := New(2, 100)
	require.True(t, b.TryAcquire(60))
	require.False(t, b.TryAcquire(41), "no bytes")
	require.EqualValues(t, 1, b.Messages(), "a refused one holds no place")
	require.True(t, b.TryAcquire(40))
	require.False(t, b.TryAcquire(0), "no messages")
	require.EqualValues(t, 100, b.Bytes())
	b.Release(60)
	b.Release(40)
	requireEmpty(t, b)
}

func TestBudget_withoutByteLimitStillCountsBytes(t *testing.T) {
	t.Parallel()
	b := New(2, 0)
	require.True(t, b.Fits(math.MaxInt64))
	require.True(t, b.TryAcquire(1<<40))
	require.True(t, b.TryAcquire(1<<40))
	require.False(t, b.TryAcquire(1))
	require.EqualValues(t, 2<<40, b.Bytes())
	require.True(t, b.Overdraw(1<<40))
}

func TestBudget_Fits_saysWhetherASizeCanEverBeGranted(t *testing.T) {
	t.Parallel()
	b := New(1, 100)
	require.True(t, b.Fits(100))
	require.False(t, b.Fits(101))
}

func TestBudget_Acquire_withRoomReturnsAtOnce(t *testing.T) {
	t.Parallel()
	b := New(1, 100)
	require.Equal(t, Granted, b.Acquire(t.Context(), nil, nil, 100))
	require.EqualValues(t, 1, b.Messages())
}

func TestBudget_waitersAreServedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1, 0)
		require.True(t, b.TryAcquire(1))
		var waiters []<-chan Outcome
		for range 10 {
			waiters = append(waiters, wait(t.Context(), b, nil, 1))
		}
		require.EqualValues(t, 10, b.Waiting())
		for i, w := range waiters {
			b.Release(1)
			require.Equal(t, Granted, outcome(w))
			for _, later := range waiters[i+1:] {
				require.Zero(t, outcome(later))
			}
		}
		b.Release(1)
		requireEmpty(t, b)
	})
}

func TestBudget_TryAcquire_doesNotOvertakeWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(10, 100)
		require.True(t, b.TryAcquire(50))
		w := wait(t.Context(), b, nil, 80)
		require.False(t, b.TryAcquire(1), "there is room, but someone waits for it")
		b.Release(50)
		require.Equal(t, Granted, outcome(w))
		require.True(t, b.TryAcquire(1), "nobody waits any more")
	})
}

func TestBudget_aLargeWaiterIsNotOvertakenBySmallOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(10, 100)
		require.True(t, b.TryAcquire(50))
		require.True(t, b.TryAcquire(50))
		large := wait(t.Context(), b, nil, 100)
		small := wait(t.Context(), b, nil, 10)
		b.Release(50)
		require.Zero(t, outcome(large))
		require.Zero(t, outcome(small), "it would fit, but it is not its turn")
		b.Release(50)
		require.Equal(t, Granted, outcome(large))
		require.Zero(t, outcome(small))
		b.Release(100)
		require.Equal(t, Granted, outcome(small))
		b.Release(10)
		requireEmpty(t, b)
	})
}

func TestBudget_Release_wakesAllThatNowFit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(10, 100)
		require.True(t, b.TryAcquire(100))
		var waiters []<-chan Outcome
		for _, size := range []int64{30, 60, 11, 1} {
			waiters = append(waiters, wait(t.Context(), b, nil, size))
		}
		b.Release(100)
		require.Equal(t, Granted, outcome(waiters[0]))
		require.Equal(t, Granted, outcome(waiters[1]))
		require.Zero(t, outcome(waiters[2]), "30+60+11 > 100")
		require.Zero(t, outcome(waiters[3]))
		require.EqualValues(t, 2, b.Waiting())
		b.Release(60)
		require.Equal(t, Granted, outcome(waiters[2]))
		require.Equal(t, Granted, outcome(waiters[3]))
		require.EqualValues(t, 42, b.Bytes())
	})
}

func TestBudget_Acquire_isEndedByWhateverComesFirst(t *testing.T) {
	t.Parallel()
	ctx := func(t *testing.T) context.Context {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	closing := func(after time.Duration) <-chan struct{} {
		ch := make(chan struct{})
		time.AfterFunc(after, func() { close(ch) })
		return ch
	}
	for name, tc := range map[string]struct {
		acquire func(t *testing.T, b *Budget) Outcome
		want    Outcome
	}{
		"Context": {func(t *testing.T, b *Budget) Outcome {
			t.Helper()
			return b.Acquire(ctx(t), closing(2*time.Second), time.After(2*time.Second), 1)
		}, ContextEnded},
		"Closing": {func(t *testing.T, b *Budget) Outcome {
			t.Helper()
			return b.Acquire(t.Context(), closing(time.Second), time.After(2*time.Second), 1)
		}, Closed},
		"Timeout": {func(t *testing.T, b *Budget) Outcome {
			t.Helper()
			return b.Acquire(t.Context(), closing(2*time.Second), time.After(time.Second), 1)
		}, TimedOut},
		"AllAtOnce": {func(t *testing.T, b *Budget) Outcome {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			timeout := make(chan time.Time, 1)
			timeout <- time.Now()
			return b.Acquire(ctx, closing(0), timeout, 1)
		}, ContextEnded},
		"ClosingAndTimeoutAtOnce": {func(t *testing.T, b *Budget) Outcome {
			t.Helper()
			ch, timeout := make(chan struct{}), make(chan time.Time, 1)
			close(ch)
			timeout <- time.Now()
			return b.Acquire(t.Context(), ch, timeout, 1)
		}, Closed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := New(1, 0)
				require.True(t, b.TryAcquire(7))
				require.Equal(t, tc.want, tc.acquire(t, b))
				require.Zero(t, b.Waiting(), "who gave up is out of line")
				require.EqualValues(t, 1, b.Messages())
				require.EqualValues(t, 7, b.Bytes())
				<-time.After(3 * time.Second) // the timers of the other ends
			})
		})
	}
}

// twmb/franz-go#777 and #831: there is room for those behind, and nobody will
// release any more.
func TestBudget_aWaiterThatGivesUpWakesThoseBehindIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(10, 100)
		require.True(t, b.TryAcquire(50))
		ctx, cancel := context.WithCancel(t.Context())
		large := wait(ctx, b, nil, 60)
		small := wait(t.Context(), b, nil, 30)
		smaller := wait(t.Context(), b, nil, 20)
		late := wait(t.Context(), b, nil, 1)
		cancel()
		require.Equal(t, ContextEnded, outcome(large))
		require.Equal(t, Granted, outcome(small))
		require.Equal(t, Granted, outcome(smaller))
		require.Zero(t, outcome(late), "50+30+20+1 > 100")
		b.Release(20)
		require.Equal(t, Granted, outcome(late))
	})
}

func TestBudget_whoeverGivesUpInTheMiddleLeavesTheOrderAsItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1, 0)
		require.True(t, b.TryAcquire(0))
		closing := make(chan struct{})
		first := wait(t.Context(), b, nil, 0)
		gone := wait(t.Context(), b, closing, 0)
		second := wait(t.Context(), b, nil, 0)
		goneToo := wait(t.Context(), b, closing, 0)
		close(closing)
		require.Equal(t, Closed, outcome(gone))
		require.Equal(t, Closed, outcome(goneToo))
		b.Release(0)
		require.Equal(t, Granted, outcome(first))
		require.Zero(t, outcome(second))
		third := wait(t.Context(), b, nil, 0)
		b.Release(0)
		require.Equal(t, Granted, outcome(second))
		b.Release(0)
		require.Equal(t, Granted, outcome(third))
		b.Release(0)
		requireEmpty(t, b)
	})
}

func TestBudget_Acquire_aGrantBeforeTheEndWins(t *testing.T) {
	t.Parallel()
	for range 100 { // select would take either
		synctest.Test(t, func(t *testing.T) {
			b := New(1, 0)
			require.True(t, b.TryAcquire(0))
			ctx, cancel := context.WithCancel(t.Context())
			w := wait(ctx, b, nil, 0)
			b.Release(0)
			cancel()
			require.Equal(t, Granted, outcome(w))
			require.EqualValues(t, 1, b.Messages())
		})
	}
}

func TestBudget_Overdraw_mayTakeTheBudgetOnceMore(t *testing.T) {
	t.Parallel()
	b := New(2, 100)
	require.True(t, b.TryAcquire(90))
	require.True(t, b.Overdraw(110), "up to 200 bytes")
	require.False(t, b.Overdraw(1))
	require.True(t, b.Overdraw(0))
	require.True(t, b.Overdraw(0), "up to 4 messages")
	require.False(t, b.Overdraw(0))
	require.False(t, b.TryAcquire(0), "overdrawn")
}

func TestBudget_Overdraw_doesNotStandInLineAndIsPaidBackFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1, 0)
		require.True(t, b.TryAcquire(0))
		w := wait(t.Context(), b, nil, 0)
		require.True(t, b.Overdraw(0))
		b.Release(0)
		require.Zero(t, outcome(w), "the budget is still full")
		b.Release(0)
		require.Equal(t, Granted, outcome(w))
	})
}

func TestBudget_theLargestBudgetsDoNotOverflow(t *testing.T) {
	t.Parallel()
	b := New(math.MaxInt64, math.MaxInt64)
	require.True(t, b.TryAcquire(math.MaxInt64))
	require.False(t, b.TryAcquire(1))
	require.False(t, b.Overdraw(1))
	require.True(t, b.Overdraw(0))
}

func TestBudget_fastPathDoesNotAllocate(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts every goroutine's
	b := New(10, 1000)
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		b.TryAcquire(10)
		b.Acquire(ctx, nil, nil, 10)
		b.Overdraw(10)
		b.Release(10)
		b.Release(10)
		b.Release(10)
	}))
}
