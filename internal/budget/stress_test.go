package budget

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The tests of this file run in bubbles, where a lost wake-up shows as a
// deadlock: the test fails at once instead of hanging.

// Whatever the sizes and however many give up: the budget is never exceeded, no
// room leaks, and everyone who does not give up is served.
func TestBudget_underRandomLoadNeverExceedsNeverLeaksNeverForgets(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			const maxMessages, maxBytes = 5, 1000
			b := New(maxMessages, maxBytes)
			closing := make(chan struct{})
			var messages, bytes, granted, ended atomic.Int64
			var wg sync.WaitGroup
			for worker := range uint64(24) {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, worker))
					for range 200 {
						size := rnd.Int64N(maxBytes) + 1
						if rnd.IntN(2) == 0 {
							size = rnd.Int64N(20)
						}
						if !acquire(t.Context(), b, closing, rnd, size) {
							ended.Add(1)
							continue
						}
						granted.Add(1)
						// Counted after the grant and before the release, so
						// these are never more than what is taken.
						if n := messages.Add(1); n > maxMessages {
							t.Errorf("%d messages", n)
						}
						if n := bytes.Add(size); n > maxBytes {
							t.Errorf("%d bytes", n)
						}
						if b.Messages() > maxMessages || b.Bytes() > maxBytes {
							t.Error("counted more than there is")
						}
						if rnd.IntN(3) == 0 { // with 0 everything races
							<-time.After(time.Duration(rnd.IntN(50)) * time.Microsecond)
						}
						messages.Add(-1)
						bytes.Add(-size)
						b.Release(size)
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, 24*200, granted.Load()+ended.Load())
			require.Positive(t, granted.Load())
			requireEmpty(t, b)
		})
	}
}

// acquire takes room in one of the ways there are, most of which can be ended.
func acquire(ctx context.Context, b *Budget, closing chan struct{}, rnd *rand.Rand, size int64) bool {
	soon := time.Duration(rnd.IntN(60)) * time.Microsecond
	switch rnd.IntN(5) {
	case 0:
		return b.TryAcquire(size)
	case 1:
		ctx, cancel := context.WithTimeout(ctx, soon)
		defer cancel()
		return b.Acquire(ctx, closing, nil, size) == Granted
	case 2:
		return b.Acquire(ctx, closing, time.After(soon), size) == Granted
	case 3:
		ctx, cancel := context.WithCancel(ctx)
		cancel() // in line for a moment only
		return b.Acquire(ctx, closing, nil, size) == Granted
	default:
		return b.Acquire(ctx, closing, nil, size) == Granted
	}
}

// A line of random sizes is granted as a line: after each release those who
// have room are the first ones, however the sizes fall.
func TestBudget_underRandomSizesWhoIsGrantedIsAlwaysTheHeadOfTheLine(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			b := New(4, 100)
			require.True(t, b.TryAcquire(100))
			const n = 40
			sizes := make([]int64, n)
			waiters := make([]<-chan Outcome, n)
			for i := range n {
				sizes[i] = rnd.Int64N(100) + 1
				waiters[i] = wait(t.Context(), b, nil, sizes[i])
			}
			next := 0 // the first that is not granted yet
			holding := []int64{100}
			for next < n {
				i := rnd.IntN(len(holding))
				b.Release(holding[i])
				holding = append(holding[:i], holding[i+1:]...)
				for next < n && outcome(waiters[next]) == Granted {
					holding = append(holding, sizes[next])
					next++
				}
				for _, w := range waiters[min(next+1, n):] {
					require.Zero(t, outcome(w), "overtook number %d", next)
				}
			}
		})
	}
}

// Someone who gets a place but no bytes gives the place back. A waiter that
// looked in between must be told: here nobody else ever would.
func TestBudget_anUndoneReservationWakesWhomItDisturbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1, 100)
		for range 2 {
			go func() {
				for range 200_000 {
					b.TryAcquire(101) // never fits
				}
			}()
		}
		go func() {
			for range 20_000 {
				b.Acquire(t.Context(), nil, nil, 1)
				b.Release(1)
			}
		}()
		synctest.Wait()
		requireEmpty(t, b)
	})
}

// The same, step by step.
func TestBudget_released_servesThoseWhoSawTheRoomTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1, 100)
		ok, _ := b.reserve(0, 1, 100) // the first half of a TryAcquire
		require.True(t, ok)
		w := wait(t.Context(), b, nil, 1)
		require.Zero(t, outcome(w))
		b.messages.Add(-1) // the second half
		b.released()
		require.Equal(t, Granted, outcome(w))
	})
}

// Room that came back after TryAcquire had failed, and before the waiter was in
// line: the releaser saw nobody.
func TestBudget_join_findsTheRoomThatCameBackMeanwhile(t *testing.T) {
	t.Parallel()
	b := New(1, 100)
	w := b.join(1)
	require.Len(t, w.granted, 1)
	require.False(t, b.leave(w), "granted already")
	b.Release(1)
	requireEmpty(t, b)
}

// Releasers that see nobody waiting and waiters that see no room: one of the
// two must be wrong. One place and no timers, so that it happens often.
func TestBudget_aReleaseAndAWaiterNeverMissEachOther(t *testing.T) {
	t.Parallel()
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			b := New(1, 0)
			var inside atomic.Int64
			for range 4 {
				go func() {
					for range 1000 {
						if b.Acquire(t.Context(), nil, nil, 1) != Granted {
							t.Error("nothing can end it")
						}
						if inside.Add(1) != 1 {
							t.Error("two of them hold the only place")
						}
						inside.Add(-1)
						b.Release(1)
					}
				}()
			}
			synctest.Wait()
			requireEmpty(t, b)
		})
	}
}

func BenchmarkBudget(b *testing.B) {
	b.ReportAllocs()
	room := New(1000, 1<<20)
	for b.Loop() {
		room.TryAcquire(100)
		room.Release(100)
	}
}

func BenchmarkBudget_parallel(b *testing.B) {
	b.ReportAllocs()
	room := New(1000, 1<<20)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			room.TryAcquire(100)
			room.Release(100)
		}
	})
}

// Senders in one goroutine, releases in another, and the budget always full.
func BenchmarkBudget_full(b *testing.B) {
	b.ReportAllocs()
	room := New(1000, 1<<20)
	held := make(chan int64, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for size := range held {
			room.Release(size)
		}
	})
	ctx := b.Context()
	for b.Loop() {
		room.Acquire(ctx, nil, nil, 100)
		held <- 100
	}
	close(held)
	wg.Wait()
}

// Every Acquire waits: the price of the slow path.
func BenchmarkBudget_line(b *testing.B) {
	b.ReportAllocs()
	room := New(1, 0)
	ctx := b.Context()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			room.Acquire(ctx, nil, nil, 100)
			room.Release(100)
		}
	})
}
