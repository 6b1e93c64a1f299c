package e2e

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// stalls measures when the machine stood still: how much later than planned
// threads ran that have nothing to do but to look at the clock. A call is
// excused for that, and for nothing else, beyond the slack of its bound: with
// two processors that other programs use too, a pause of a second is no news of
// the library.
type stalls struct {
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	seen [][]stall // of each thread
}

type stall struct {
	at     time.Time // its end
	length time.Duration
}

const (
	stallTick  = 5 * time.Millisecond
	leastStall = 20 * time.Millisecond
	handOvers  = 3
)

// watchStalls starts the watch, with threads enough that one of them is likely
// to share the fate of the thread on which a call runs.
func watchStalls() *stalls {
	s := &stalls{stop: make(chan struct{}), seen: make([][]stall, 2*runtime.GOMAXPROCS(0))}
	for thread := range s.seen {
		s.done.Go(func() { s.watch(thread) })
	}
	return s
}

func (s *stalls) watch(thread int) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	for before := time.Now(); ; {
		select {
		case <-s.stop:
			return
		case <-time.After(stallTick):
		}
		now := time.Now()
		if late := now.Sub(before) - stallTick; late >= leastStall {
			s.mu.Lock()
			s.seen[thread] = append(s.seen[thread], stall{now, late})
			s.mu.Unlock()
		}
		before = now
	}
}

func (s *stalls) end() {
	close(s.stop)
	s.done.Wait()
}

// since is what a call that began then is excused. A call has several threads
// run one after the other, and each may have stood still. It waits until the
// present is known.
func (s *stalls) since(began time.Time) (most time.Duration) {
	pause(2 * stallTick)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seen := range s.seen {
		sum := time.Duration(0)
		for i := len(seen) - 1; i >= 0 && seen[i].at.After(began); i-- {
			sum += min(seen[i].length, seen[i].at.Sub(began))
		}
		most = max(most, sum)
	}
	return handOvers * most
}

// longest is the longest that was seen.
func (s *stalls) longest() (longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range slices.Concat(s.seen...) {
		longest = max(longest, one.length)
	}
	return longest
}
