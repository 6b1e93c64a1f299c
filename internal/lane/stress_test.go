package lane

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// errFinal ends a lane at once.
var errFinal = errors.New("not authorised")

// The stress tests run in a bubble: whatever is lost shows as a record that has
// not come when everything is at rest.

// returner gives every record back from goroutines of its own, as a drain does.
type returner struct {
	came   chan *record.Record
	inside atomic.Int64
	most   atomic.Int64
}

func (b *returner) submit(r *record.Record) {
	n := b.inside.Add(1)
	for {
		most := b.most.Load()
		if n <= most || b.most.CompareAndSwap(most, n) {
			break
		}
	}
	b.came <- r
}

func (b *returner) run(s *Set) {
	for r := range b.came {
		if rand.IntN(4) == 0 {
			runtime.Gosched()
		}
		b.inside.Add(-1)
		of(s, r.Msg.Topic).Returned(false)
	}
}

func TestStress_whatOneGoroutineSendsStaysInOrder(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 7} {
		synctest.Test(t, func(t *testing.T) {
			const senders, each = 4, 1500
			b := &returner{came: make(chan *record.Record, senders*each)}
			k := &sink{submit: b.submit}
			s := newSet(t, limit, k)
			go b.run(s)
			go b.run(s)
			var wg sync.WaitGroup
			all := make([][]*record.Record, senders)
			for i := range all {
				wg.Go(func() {
					for range each {
						all[i] = append(all[i], send(s, of(s, "t"), 1)...)
						if rand.IntN(8) == 0 {
							runtime.Gosched() // or the queue is never empty
						}
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			sent := k.all()
			require.Len(t, sent, senders*each)
			place := make(map[*record.Record]int, len(sent))
			for i, r := range sent {
				place[r] = i
			}
			for _, records := range all {
				for i := 1; i < len(records); i++ {
					require.Less(t, place[records[i-1]], place[records[i]])
				}
			}
			require.LessOrEqual(t, b.most.Load(), int64(limit))
			requireAtRest(t, of(s, "t"))
			close(b.came)
		})
	}
}

// The last record of all finds no place, and the place comes back before the
// record is in the queue: nobody else will wake the feeder.
func TestStress_theLastRecordIsNotForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		var spun atomic.Int64
		b := &returner{came: make(chan *record.Record, 2)}
		k := &sink{submit: b.submit}
		s := newSet(t, 1, k)
		s.Open("t")
		go b.run(s)
		for i := range n {
			send(s, of(s, "t"), 1)
			for wait := rand.IntN(3000); wait > 0; wait-- {
				spun.Add(1) // about as long as the place needs to come back
			}
			send(s, of(s, "t"), 1)
			synctest.Wait()
			require.Equal(t, 2*i+2, k.count())
		}
		close(b.came)
	})
}

func TestStress_aRecordIsWithdrawnOrSubmitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const senders, each = 4, 1500
		b := &returner{came: make(chan *record.Record, senders*each)}
		k := &sink{submit: b.submit}
		s := newSet(t, 2, k)
		go b.run(s)
		var wg sync.WaitGroup
		var withdrawn sync.Map
		for range senders {
			wg.Go(func() {
				for range each {
					r := send(s, of(s, "t"), 1)[0]
					if rand.IntN(2) == 0 && of(s, "t").Withdraw(r) {
						withdrawn.Store(r, true)
					}
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		n := 0
		withdrawn.Range(func(any, any) bool { n++; return true })
		require.NotZero(t, n)
		sent := k.all()
		require.Len(t, sent, senders*each-n)
		for _, r := range sent {
			_, gone := withdrawn.Load(r)
			require.False(t, gone)
		}
		requireAtRest(t, of(s, "t"))
		close(b.came)
	})
}

// Topics come, are found missing and come again while their senders go on.
func TestStress_everyRecordIsSubmittedOrFailedWhileTopicsComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const senders, each = 4, 1000
		b := &returner{came: make(chan *record.Record, senders*each)}
		k := &sink{submit: b.submit}
		k.ask = func(context.Context, string) error {
			if rand.IntN(2) == 0 {
				return errFinal
			}
			return nil
		}
		s := newSet(t, 3, k)
		go b.run(s)
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for range each {
					l := s.Use("t")
					if rand.IntN(10) == 0 {
						l.suspect()
					}
					send(s, l, 1)
					l.Leave()
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		failed, _ := k.failures()
		seen := map[*record.Record]bool{}
		for _, r := range append(k.all(), failed...) {
			require.False(t, seen[r])
			seen[r] = true
		}
		require.Len(t, seen, senders*each)
		close(b.came)
	})
}

// requireAtRest says that no place and no record is left in a lane.
func requireAtRest(t *testing.T, l *Lane) {
	t.Helper()
	require.Zero(t, l.inside.Load(), "inside")
	require.Zero(t, l.backlog.Load(), "backlog")
	require.Zero(t, l.live(), "live")
	require.Zero(t, l.queue.Len())
}
