package producer

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// What is re-used, the waiters of a Send and those for room, lies in pools that
// each collection empties. Nothing may hang on what was in them.
func TestSync_Send_getsItsOwnOutcomeWhileTheGarbageIsCollectedAllTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const senders, each, enough = 8, 60, 8
		p, f := openSync(t, known, WithMaxBuffered(3))
		f.submit = func(r *record.Record) { go f.deliver(r) }
		var collections atomic.Int64
		stop := make(chan struct{})
		var collector sync.WaitGroup
		collector.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.GC()
					collections.Add(1)
				}
			}
		})
		var offsets sync.Map
		var all sync.WaitGroup
		for s := range senders {
			all.Go(func() {
				for i := 0; i < each || collections.Load() < enough; i++ {
					msg := tagged("t", fmt.Sprint(s, " ", i))
					msg.Offset = -7
					err := p.Send(t.Context(), msg)
					if _, again := offsets.LoadOrStore(msg.Offset, true); err != nil || msg.Offset < 0 || again {
						t.Errorf("%v at %d", err, msg.Offset)
					}
				}
			})
		}
		all.Wait()
		close(stop)
		collector.Wait()
		n := p.Stats().Accepted
		require.Equal(t, Stats{Accepted: n, Delivered: n}, p.Stats())
	})
}
