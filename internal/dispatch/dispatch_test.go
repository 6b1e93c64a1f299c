package dispatch

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// never is a limit that no callback of a test is slow by.
const never = time.Hour

func TestDispatcher_oneWorkerKeepsTheOrderOfAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &handler{}
		d := New(1, never, h)
		records := several(100, 7)
		enqueueAll(d, records)
		<-d.Stop()
		require.Equal(t, records, h.of("call"))
		require.Equal(t, records, h.of("done"))
	})
}

func TestDispatcher_manyWorkersKeepTheOrderOfEachPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &handler{call: func(*record.Record, int) bool { runtime.Gosched(); return false }}
		d := New(4, never, h)
		const partitions = 10
		records := several(500, partitions)
		enqueueAll(d, records)
		<-d.Stop()
		called := h.of("call")
		require.Len(t, called, len(records))
		for p := range partitions {
			only := func(all []*record.Record) (of []*record.Record) {
				for _, r := range all {
					if int(r.Report().Partition) == p {
						of = append(of, r)
					}
				}
				return of
			}
			require.Equal(t, only(records), only(called))
		}
	})
}

func TestDispatcher_manyWorkersRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{call: func(*record.Record, int) bool { <-release; return false }}
		d := New(4, never, h)
		enqueueAll(d, several(100, 100))
		synctest.Wait()
		require.Equal(t, 4, d.Running())
		close(release)
		<-d.Stop()
		require.Zero(t, d.Running())
	})
}

func TestDispatcher_sendersAtTheSameTimeLoseNothing(t *testing.T) {
	t.Parallel()
	h := &handler{}
	d := New(3, never, h)
	var senders sync.WaitGroup
	groups := make([][]*record.Record, 8)
	for i := range groups {
		groups[i] = several(500, 1)
		senders.Go(func() { enqueueAll(d, groups[i]) })
	}
	senders.Wait()
	<-d.Stop()
	place := map[*record.Record]int{}
	for i, r := range h.of("done") {
		_, twice := place[r]
		require.False(t, twice)
		place[r] = i
	}
	for _, group := range groups {
		for i := 1; i < len(group); i++ {
			require.Less(t, place[group[i-1]], place[group[i]])
		}
	}
}

func TestDispatcher_runsStepsInOrderAndIsDoneOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &handler{call: func(_ *record.Record, step int) bool { return step < 2 }}
		d := New(1, never, h)
		a, b := decided(0), decided(1)
		enqueueAll(d, []*record.Record{a, b})
		<-d.Stop()
		require.Equal(t, []event{
			{"call", a, 0},
			{"call", a, 1},
			{"call", a, 2},
			{"done", a, 0},
			{"call", b, 0},
			{"call", b, 1},
			{"call", b, 2},
			{"done", b, 0},
		}, h.all())
	})
}

// Whatever a step does, the other steps and the other records have their turn.
func TestDispatcher_aStepThatDoesNotReturnIsContained(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(){
		"Panic":  func() { panic("boom") },
		"Goexit": runtime.Goexit,
	} {
		for bad := range 3 {
			t.Run(fmt.Sprintf("%sInStep%d", how, bad), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := &handler{call: func(_ *record.Record, step int) bool {
						if step == bad {
							end()
						}
						return step < 2
					}}
					d := New(1, never, h)
					a, b := decided(0), decided(1) // b is queued while a ends the goroutine
					enqueueAll(d, []*record.Record{a, b})
					synctest.Wait()
					c := decided(2) // and c when nothing is
					d.Enqueue(c)
					<-d.Stop()
					var want []event
					for _, r := range []*record.Record{a, b, c} {
						for step := range 3 {
							want = append(want, event{"call", r, step})
							if step == bad {
								want = append(want, event{"failed", r, step})
							}
						}
						if bad == 2 {
							// Nobody said that it was the last.
							want = append(want, event{"call", r, 3})
						}
						want = append(want, event{"done", r, 0})
					}
					require.Equal(t, want, h.all())
				})
			})
		}
	}
}

func TestDispatcher_Failed_tellsHowAndWhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &handler{call: func(r *record.Record, step int) bool {
			if step > 0 {
				return false
			}
			if r.Report().Partition == 0 {
				panicHere()
			}
			runtime.Goexit()
			return false
		}}
		d := New(1, never, h)
		enqueueAll(d, several(2, 2))
		<-d.Stop()
		require.Len(t, h.failures, 2)
		require.Equal(t, "boom", h.failures[0].Panic)
		require.False(t, h.failures[0].Goexit)
		require.Contains(t, string(h.failures[0].Stack), "panicHere")
		require.Nil(t, h.failures[1].Panic)
		require.True(t, h.failures[1].Goexit)
		require.NotEmpty(t, h.failures[1].Stack)
	})
}

func panicHere() { panic("boom") }

// The reporting logs, and a user's log handler may do anything.
func TestDispatcher_aReportThatEndsItsGoroutineRepeatsNoStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		h := &handler{
			call: func(_ *record.Record, step int) bool {
				if calls++; step == 0 && calls < 10 { // or it could repeat for ever
					panicHere()
				}
				return step < 1
			},
			failed: func(Failure) { runtime.Goexit() },
		}
		d := New(1, never, h)
		a, b := decided(0), decided(0)
		enqueueAll(d, []*record.Record{a, b})
		<-d.Stop()
		require.Equal(t, []event{
			{"call", a, 0},
			{"failed", a, 0},
			{"call", a, 1},
			{"done", a, 0},
			{"call", b, 0},
			{"failed", b, 0},
			{"call", b, 1},
			{"done", b, 0},
		}, h.all())
	})
}

func TestDispatcher_Enqueue_neverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{call: func(*record.Record, int) bool { <-release; return false }}
		d := New(1, never, h)
		start := time.Now()
		enqueueAll(d, several(10_000, 1)) // a worker that waits for its callback takes none
		require.Zero(t, time.Since(start))
		close(release)
		<-d.Stop()
		require.Len(t, h.of("done"), 10_000)
	})
}

func TestDispatcher_OnWorker_isTrueForTheGoroutineOfACallbackOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d *Dispatcher
		var inside, outside bool
		h := &handler{call: func(*record.Record, int) bool {
			inside = d.OnWorker()
			other := make(chan bool)
			go func() { other <- d.OnWorker() }()
			outside = <-other
			return false
		}}
		d = New(2, never, h)
		d.Enqueue(decided(0))
		<-d.Stop()
		require.True(t, inside)
		require.False(t, outside)
		require.False(t, d.OnWorker())
	})
}

func TestDispatcher_OnWorker_isTrueAfterAGoexit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d *Dispatcher
		var inside []bool
		h := &handler{call: func(_ *record.Record, step int) bool {
			inside = append(inside, d.OnWorker())
			if step == 0 {
				runtime.Goexit()
			}
			return false
		}}
		d = New(1, never, h)
		d.Enqueue(decided(0))
		d.Enqueue(decided(0))
		<-d.Stop()
		require.Equal(t, []bool{true, true, true, true}, inside, "two records, each with a step after the one that ended")
	})
}

// What a log handler sends must not wait for room that this worker frees.
func TestDispatcher_OnWorker_isTrueWhileAFailureIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d *Dispatcher
		var inside []bool
		h := &handler{
			call:   func(_ *record.Record, step int) bool { return step == 0 && func() bool { panic("boom") }() },
			failed: func(Failure) { inside = append(inside, d.OnWorker()) },
		}
		d = New(1, never, h)
		d.Enqueue(decided(0))
		<-d.Stop()
		require.Equal(t, []bool{true}, inside)
	})
}

// counter is a handler that does nothing.
type counter struct{ left sync.WaitGroup }

func (*counter) Call(*record.Record, int) bool           { return false }
func (c *counter) Done(*record.Record)                   { c.left.Done() }
func (*counter) Failed(*record.Record, int, Failure)     {}
func (*counter) Slow(*record.Record, int, time.Duration) {}

// BenchmarkDispatcher runs lots of records; the time of one is ns/record.
func BenchmarkDispatcher(b *testing.B) {
	b.ReportAllocs()
	const lot = 1000
	c := &counter{}
	d := New(1, never, c)
	records := several(lot, 6)
	for b.Loop() {
		c.left.Add(lot)
		enqueueAll(d, records)
		c.left.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lot, "ns/record")
	<-d.Stop()
}
