package gate

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestGate_isOpenUntilClosed(t *testing.T) {
	t.Parallel()
	g := New()
	for range 3 {
		require.True(t, g.Enter())
	}
	for range 3 {
		g.Leave()
	}
	require.False(t, isClosed(g.Closing()), "nobody closed it")
	require.False(t, isClosed(g.Idle()), "an empty gate is not idle while it is open")
}

func TestGate_Close_refusesAndAnnouncesAtOnce(t *testing.T) {
	t.Parallel()
	g := New()
	require.True(t, g.Close())
	require.False(t, g.Enter())
	require.True(t, isClosed(g.Closing()))
	require.True(t, isClosed(g.Idle()), "nobody was inside")
}

func TestGate_Close_doesNotWaitForSenders(t *testing.T) {
	t.Parallel()
	g := New()
	require.True(t, g.Enter())
	require.True(t, g.Enter())
	require.True(t, g.Close())
	require.True(t, isClosed(g.Closing()))
	require.False(t, isClosed(g.Idle()))
	g.Leave()
	require.False(t, isClosed(g.Idle()), "one is still inside")
	g.Leave()
	require.True(t, isClosed(g.Idle()))
}

func TestGate_Close_isTrueForTheFirstCallerOnly(t *testing.T) {
	t.Parallel()
	g := New()
	var first atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if g.Close() {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, first.Load())
}

func TestGate_Closed_isTrueOnceEnterRefuses(t *testing.T) {
	t.Parallel()
	g := New()
	require.True(t, g.Enter())
	require.False(t, g.Closed())
	require.True(t, g.Close())
	require.True(t, g.Closed(), "also while a sender is inside")
	g.Leave()
	require.True(t, g.Closed())
}

// A refused Enter is counted for a moment. If the last sender leaves in that
// moment, the refused one has to find the gate empty.
func TestGate_Idle_isClosedByARefusedEnterThatOutlastsTheLastSender(t *testing.T) {
	t.Parallel()
	g := New()
	require.True(t, g.Enter())
	require.True(t, g.Close())
	g.state.Add(1) // the first half of an Enter
	g.Leave()      // the sender
	require.False(t, isClosed(g.Idle()))
	g.Leave() // the second half of the Enter
	require.True(t, isClosed(g.Idle()))
}

func TestGate_Idle_isClosedOnceHoweverOftenTheGateIsFoundEmpty(t *testing.T) {
	t.Parallel()
	g := New()
	require.True(t, g.Close())
	for range 3 {
		require.False(t, g.Enter()) // a second close(idle) would panic
	}
	require.True(t, isClosed(g.Idle()))
}

// Close must not report idle before it has told the senders to go.
func TestGate_Idle_neverComesBeforeClosing(t *testing.T) {
	t.Parallel()
	for range 2000 {
		synctest.Test(t, func(t *testing.T) {
			g := New()
			go g.Close()
			go func() {
				for g.Enter() {
					g.Leave()
				}
			}()
			<-g.Idle()
			require.True(t, isClosed(g.Closing()))
		})
	}
}

// Whatever the interleaving of Enter, Leave and Close: after Idle nobody is
// inside, and Idle always comes. (In a bubble a missing one is a deadlock.)
func TestGate_Idle_meansThatNobodyIsInside(t *testing.T) {
	t.Parallel()
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			g := New()
			var inside, passed, refused atomic.Int64
			for range 8 {
				go func() {
					for g.Enter() {
						inside.Add(1)
						passed.Add(1)
						if passed.Load()%3 == 0 {
							<-g.Closing() // one that waits inside, as a Send without room
						}
						inside.Add(-1)
						g.Leave()
					}
					refused.Add(1)
				}()
			}
			for range 2 {
				go g.Close()
			}
			<-g.Idle()
			if n := inside.Load(); n != 0 {
				t.Errorf("%d inside after Idle", n)
			}
			synctest.Wait()
			require.EqualValues(t, 8, refused.Load())
			require.EqualValues(t, closed, g.state.Load())
		})
	}
}

func TestGate_doesNotAllocate(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts every goroutine's
	g := New()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		g.Enter()
		g.Leave()
	}))
}

func BenchmarkGate(b *testing.B) {
	b.ReportAllocs()
	g := New()
	for b.Loop() {
		g.Enter()
		g.Leave()
	}
}

func BenchmarkGate_parallel(b *testing.B) {
	b.ReportAllocs()
	g := New()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			g.Enter()
			g.Leave()
		}
	})
}
