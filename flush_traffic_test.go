package producer

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// Flush is a snapshot: it ends with the last of the messages before it, one
// round trip later, however many follow.
func TestFlush_underEndlessTrafficTakesOneRoundTrip(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		const trip = 10 * time.Millisecond
		p, f := open(known, WithMaxBuffered(100))
		f.submit = func(r *record.Record) { time.AfterFunc(trip, func() { f.deliver(r) }) }
		var stop atomic.Bool
		var senders sync.WaitGroup
		defer senders.Wait()
		defer stop.Store(true)
		for i := range 8 {
			senders.Go(func() {
				<-time.After(time.Duration(1+i) * 1500 * time.Microsecond) // or those of a Sync would all be between two sends
				for ; !stop.Load(); <-time.After(time.Millisecond) {
					_ = p.Send(t.Context(), text("t", "v"))
				}
			})
		}
		advance(50 * time.Millisecond)
		for range 30 {
			before, began := p.Stats(), time.Now()
			require.Positive(t, before.InFlight, "void: no traffic")
			require.NoError(t, p.Flush(context.Background()))
			require.LessOrEqual(t, time.Since(began), trip)
			require.GreaterOrEqual(t, p.Stats().Delivered, before.Accepted)
			advance(3 * time.Millisecond)
		}
		stop.Store(true)
		senders.Wait()
		require.NoError(t, p.Flush(context.Background()))
		require.Zero(t, p.Stats().InFlight)
	})
}

// A Send that gives up while it waits for room was never accepted: it neither
// holds up a Flush nor is it needed to wake it.
func TestFlush_isNotDisturbedBySendsThatGiveUpTheirWaitForRoom(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known, WithMaxBuffered(1))
		send := beginSend(t, p, text("t", "v"))
		ctx, cancel := context.WithCancel(t.Context())
		var waiting []call
		for range 5 {
			waiting = append(waiting, begin(t, func() error { return p.Send(ctx, text("t", "v")) }))
		}
		flush := beginFlush(t, p)
		cancel()
		for _, w := range waiting {
			require.ErrorIs(t, w.result(), ErrBufferFull)
		}
		flush.requireWaits()
		f.deliver(f.first(t))
		require.NoError(t, flush.result())
		require.NoError(t, send.result())
		require.NoError(t, p.Flush(t.Context()))
	})
}

// Also not by senders that come while Close is on its way.
func TestFlush_racingCloseAndSendersReturns(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		for range 40 {
			p, f := open(known)
			f.submit = func(r *record.Record) { time.AfterFunc(time.Millisecond, func() { f.deliver(r) }) }
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for p.Send(t.Context(), text("t", "v")) == nil {
						<-time.After(100 * time.Microsecond)
					}
				})
				all.Go(func() {
					for range 5 {
						if err := p.Flush(context.Background()); err != nil {
							t.Errorf("Flush: %v", err)
						}
						<-time.After(300 * time.Microsecond)
					}
				})
			}
			advance(time.Millisecond)
			require.NoError(t, p.Close(t.Context()))
			began := time.Now()
			require.NoError(t, p.Flush(context.Background()))
			require.Zero(t, time.Since(began))
			all.Wait()
			synctest.Wait()
			requireBalanced(t, p.Stats())
		}
	})
}
