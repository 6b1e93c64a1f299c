package budget

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// full returns a budget of 160 messages of 10 bytes that are all taken, with
// waiters in line for as many again.
func full(t *testing.T, bytes int64) (*Budget, []<-chan Outcome) {
	t.Helper()
	b := New(160, bytes)
	waiters := make([]<-chan Outcome, 160)
	for range waiters {
		require.True(t, b.TryAcquire(10))
	}
	for i := range waiters {
		waiters[i] = wait(t.Context(), b, nil, 10)
	}
	return b, waiters
}

func granted(waiters []<-chan Outcome) (n int) {
	for _, w := range waiters {
		if len(w) > 0 {
			n++
		}
	}
	return n
}

func TestBudget_withMuchRoomThoseInLineGetItAtOnce(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string]int64{"messages": 0, "bytes": 1600} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, waiters := full(t, bytes)
				start := time.Now()
				for range 160 / parts {
					require.Zero(t, granted(waiters))
					b.Release(10)
				}
				synctest.Wait()
				require.Equal(t, 160/parts, granted(waiters))
				require.Zero(t, time.Since(start))
				for range 160 - 160/parts + 160 {
					b.Release(10)
				}
				synctest.Wait()
				require.Equal(t, len(waiters), granted(waiters))
			})
		})
	}
}

func TestBudget_withLittleRoomThoseInLineGetItAfterAMillisecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, waiters := full(t, 1600)
		for n := 3; n <= 12; n += 3 { // again and again: the pause has to begin anew
			for range 3 {
				b.Release(10)
			}
			<-time.After(pause - 1)
			synctest.Wait()
			require.Equal(t, n-3, granted(waiters))
			<-time.After(1)
			synctest.Wait()
			require.Equal(t, n, granted(waiters))
		}
		for range 160 + 160 - 12 {
			b.Release(10)
		}
	})
}

func TestBudget_roomThatIsKeptBackWinsOverTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, waiters := full(t, 1600)
		ctx, cancel := context.WithCancel(t.Context())
		last := wait(ctx, b, nil, 10)
		for range len(waiters) {
			b.Release(10) // the last of these is less than a lot
		}
		b.Release(10)
		cancel()
		require.Equal(t, Granted, outcome(last))
		for range len(waiters) {
			b.Release(10)
		}
		requireEmpty(t, b)
	})
}

func TestBudget_ofAFewMessagesNeverKeepsRoomBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(parts-1, 1600)
		for range parts - 1 {
			require.True(t, b.TryAcquire(1))
		}
		w := wait(t.Context(), b, nil, 1)
		b.Release(1)
		require.Equal(t, Granted, outcome(w))
		for range parts - 1 {
			b.Release(1)
		}
		requireEmpty(t, b)

		require.True(t, b.TryAcquire(1595))
		require.True(t, b.TryAcquire(5))
		w = wait(t.Context(), b, nil, 5)
		b.Release(5)
		require.Equal(t, Granted, outcome(w), "a few bytes are not kept back either")
	})
}
