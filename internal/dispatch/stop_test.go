package dispatch

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// slowLimit is the limit of the watchdog in these tests.
const slowLimit = 5 * time.Second

// lasting is a handler whose calls last as long as their partition says, in
// milliseconds.
func lasting() *handler {
	return &handler{call: func(r *record.Record, _ int) bool {
		<-time.After(time.Duration(r.Report().Partition) * time.Millisecond)
		return false
	}}
}

func TestWatchdog_reportsASlowCallOnceAndOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := lasting()
		d := New(1, slowLimit, h)
		advance(1234 * time.Millisecond) // it begins while the watchdog sleeps
		r := decided(60_000)
		d.Enqueue(r)
		advance(slowLimit - time.Nanosecond)
		require.Empty(t, h.of("slow"))
		advance(time.Nanosecond)
		require.Equal(t, []*record.Record{r}, h.of("slow"))
		require.Equal(t, []time.Duration{slowLimit}, h.slowFor)
		<-d.Stop()
		require.Len(t, h.of("slow"), 1)
	})
}

func TestWatchdog_leavesQuickCallsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := lasting()
		d := New(2, slowLimit, h)
		for range 20 {
			d.Enqueue(decided(4999))
		}
		advance(200 * time.Second)
		require.Len(t, h.of("done"), 20)
		require.Empty(t, h.of("slow"))
		<-d.Stop()
	})
}

func TestWatchdog_reportsEverySlowCallOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := lasting()
		d := New(3, slowLimit, h)
		for i := range 10 {
			d.Enqueue(decided(int32(6000 + i*777)))
			advance(311 * time.Millisecond)
		}
		advance(3 * time.Minute) // Stop ends the watchdog at once
		<-d.Stop()
		require.Len(t, h.of("slow"), 10)
		for _, running := range h.slowFor {
			require.Equal(t, slowLimit, running)
		}
	})
}

func TestWatchdog_namesTheStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &handler{call: func(_ *record.Record, step int) bool {
			if step == 1 {
				<-time.After(time.Minute)
			}
			return step < 2
		}}
		d := New(1, slowLimit, h)
		r := decided(0)
		d.Enqueue(r)
		advance(slowLimit)
		require.Contains(t, h.all(), event{"slow", r, 1})
		<-d.Stop()
	})
}

func TestDispatcher_Stop_isPromptWhenIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := New(8, slowLimit, &handler{})
		start := time.Now()
		<-d.Stop()
		<-d.Stop() // and may be called again
		require.Zero(t, time.Since(start))
	})
}

func TestDispatcher_Stop_worksOffTheQueueFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := lasting()
		d := New(1, never, h)
		for range 10 {
			d.Enqueue(decided(100))
		}
		start := time.Now()
		<-d.Stop()
		require.Len(t, h.of("done"), 10)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// A worker that has just found its queue empty may see the end before what came
// in between.
func TestDispatcher_Stop_losesNothingThatWasJustEnqueued(t *testing.T) {
	t.Parallel()
	var spun atomic.Int64
	for range 3000 {
		h := &handler{}
		d := New(1, never, h)
		d.Enqueue(decided(0))
		for wait := rand.IntN(2000); wait > 0; wait-- {
			spun.Add(1) // about as long as the first one takes
		}
		d.Enqueue(decided(0))
		<-d.Stop()
		require.Len(t, h.of("done"), 2)
	}
}

func TestDispatcher_Stop_doesNotWaitForAStuckCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{call: func(*record.Record, int) bool { <-release; return false }}
		d := New(1, never, h)
		enqueueAll(d, several(10, 1))
		synctest.Wait()
		start := time.Now()
		ended := d.Stop()
		require.Zero(t, time.Since(start))
		advance(time.Minute)
		require.False(t, isClosed(ended))
		require.Equal(t, 1, d.Running())

		close(release) // it returns after all
		<-ended
		require.Len(t, h.of("done"), 10, "what was queued behind it is called, once each")
		require.Len(t, h.of("call"), 10)
	})
}

func TestDispatcher_Stop_doesNotWaitForAStuckReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := lasting()
		h.slow = func() { <-release } // a log handler whose disk is full
		d := New(1, slowLimit, h)
		d.Enqueue(decided(10_000))
		advance(20 * time.Second)
		stopped := make(chan (<-chan struct{}), 1)
		go func() { stopped <- d.Stop() }()
		synctest.Wait()
		require.Len(t, stopped, 1, "Stop waits")
		close(release)
		<-<-stopped
	})
}

// A batch may hold as many records as the budget; their room is free when their
// calls have returned, so nothing may keep them any longer.
func TestWorker_letsGoOfARecordBeforeTheNextIsCalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		h := &silent{call: func() { gate <- struct{}{} }}
		d := New(1, never, h)
		d.Enqueue(decided(0)) // while it runs the two others become one batch
		first := decided(0)
		gone := weak.Make(first)
		d.Enqueue(first)
		d.Enqueue(decided(0))
		first = nil //nolint:ineffassign,wastedassign // or it would be alive
		<-gate
		<-gate
		synctest.Wait() // the last one is being called
		runtime.GC()
		require.Nil(t, gone.Value())
		<-gate
		<-d.Stop()
	})
}

// silent is a handler that keeps nothing.
type silent struct{ call func() }

func (s *silent) Call(*record.Record, int) bool         { s.call(); return false }
func (*silent) Done(*record.Record)                     {}
func (*silent) Failed(*record.Record, int, Failure)     {}
func (*silent) Slow(*record.Record, int, time.Duration) {}
