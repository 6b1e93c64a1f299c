package producer

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

func TestStats_areBalancedAtAnyMomentUnderLoad(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options(), WithTopics("t"), WithMaxBuffered(50), WithCallbackWorkers(2))
		f.submit = func(r *record.Record) {
			go func() {
				runtime.Gosched()
				if r.Msg.Metadata == nil {
					f.deliver(r)
					return
				}
				f.fail(r, errors.New("no"))
			}()
		}
		stop := make(chan struct{})
		var unbalanced Stats
		looks := 0
		var watch sync.WaitGroup
		watch.Go(func() {
			for ; ; looks++ {
				s := p.Stats()
				if s.Accepted != s.Delivered+s.Failed+s.InFlight || s.InFlight < 0 || s.Buffered > 50 || s.Held < 0 {
					unbalanced = s
				}
				select {
				case <-stop:
					return
				default:
					runtime.Gosched()
				}
			}
		})
		var senders sync.WaitGroup
		for g := range 4 {
			senders.Go(func() {
				for range 500 {
					msg := text("t", "v")
					if g%2 == 0 {
						msg.Metadata = g
					}
					_ = p.Send(t.Context(), msg)
				}
			})
		}
		senders.Wait()
		close(stop)
		watch.Wait()
		require.Zero(t, unbalanced)
		require.Positive(t, looks)
		synctest.Wait()
		s := p.Stats()
		require.EqualValues(t, 2000, s.Accepted)
		require.EqualValues(t, 1000, s.Delivered)
		require.EqualValues(t, 1000, s.Failed)
		require.Zero(t, s.InFlight)
		require.Zero(t, s.Buffered)
		require.Zero(t, s.BufferedBytes)
	})
}

func TestStats_countAMessageAsInFlightUntilItsCallbackHasReturned(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		hold := make(chan struct{})
		p, f := open(WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { <-hold }))
		_ = beginSend(t, p, text("t", "v"))
		require.EqualValues(t, 1, p.Stats().InFlight)
		f.deliver(f.first(t))
		synctest.Wait()
		s := p.Stats()
		requireBalanced(t, s)
		require.EqualValues(t, 1, s.InFlight)
		require.Zero(t, s.Delivered)
		require.EqualValues(t, 1, s.Buffered, "its room is kept")
		require.EqualValues(t, 1, s.CallbacksRunning)
		close(hold)
		synctest.Wait()
		s = p.Stats()
		requireBalanced(t, s)
		require.Zero(t, s.InFlight)
		require.EqualValues(t, 1, s.Delivered)
		require.Zero(t, s.Buffered)
		require.Zero(t, s.CallbacksRunning)
	})
}

func TestStats_areBalancedAfterClose(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		for range 10 {
			_ = beginSend(t, p, text("t", "v"))
		}
		for _, r := range f.holding()[:4] {
			f.deliver(r)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, p.Close(ctx))
		synctest.Wait()
		s := p.Stats()
		requireBalanced(t, s)
		require.EqualValues(t, 10, s.Accepted)
		require.EqualValues(t, 4, s.Delivered)
		require.EqualValues(t, 6, s.Failed)
		require.Zero(t, s.InFlight)
	})
}

func TestStats_tellHowLongTheOldestIsInFlight(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		require.Zero(t, p.Stats().OldestInFlight)
		for range 5 {
			_ = beginSend(t, p, text("t", "v"))
			advance(time.Second)
		}
		require.Equal(t, 5*time.Second, p.Stats().OldestInFlight)
		f.deliver(f.submitted()[1])
		synctest.Wait()
		require.Equal(t, 5*time.Second, p.Stats().OldestInFlight)
		f.deliver(f.submitted()[0])
		synctest.Wait()
		require.Equal(t, 3*time.Second, p.Stats().OldestInFlight, "the third")
		for _, r := range f.holding() {
			f.deliver(r)
		}
		synctest.Wait()
		require.Zero(t, p.Stats().OldestInFlight)
	})
}

func TestStats_countWaitingAndRejectedSends(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, _ := open(WithMaxBuffered(1), WithMaxBlock(time.Second))
		_ = beginSend(t, p, text("t", "takes the room"))
		for range 3 {
			_ = beginSend(t, p, text("t", "v"))
		}
		s := p.Stats()
		require.EqualValues(t, 3, s.Waiting)
		require.Zero(t, s.Rejected)
		require.EqualValues(t, 1, s.Accepted)
		advance(time.Second)
		s = p.Stats()
		require.Zero(t, s.Waiting)
		require.EqualValues(t, 3, s.Rejected)
		require.EqualValues(t, 1, s.Accepted)
	})
}
