package producer

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// deadCtx is a ctx that is over, with a cause.
func deadCtx(t *testing.T, cause error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	return ctx
}

var errShutdown = errors.New("SIGTERM")

// beginFlush begins a Flush without a deadline.
func beginFlush(t *testing.T, p Producer) call {
	t.Helper()
	return begin(t, func() error { return p.Flush(context.Background()) })
}

// flushError returns the *FlushError that an error is.
func flushError(t *testing.T, err error) *FlushError {
	t.Helper()
	var e *FlushError
	require.ErrorAs(t, err, &e)
	return e
}

func TestFlush_waitsForOutcomeAndCallback(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		release := make(chan struct{})
		p, f := open(known, WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { <-release }))
		send := beginSend(t, p, text("t", "v"))
		flush := beginFlush(t, p)
		flush.requireWaits()
		f.deliver(f.first(t))
		flush.requireWaits()
		close(release)
		require.NoError(t, flush.result())
		require.NoError(t, send.result())
		require.EqualValues(t, 1, p.Stats().Delivered)
	})
}

func TestFlush_ofADrainedProducerReturnsNilAlsoWithADeadCtx(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		for range 20 { // the ctx and the drained producer are both there: either could win
			require.NoError(t, p.Flush(deadCtx(t, nil)))
		}
		f.auto = true
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		synctest.Wait()
		for range 20 {
			require.NoError(t, p.Flush(deadCtx(t, nil)))
		}
	})
}

// slowLane takes its time to give room back.
type slowLane struct{ record.Lane }

func (l slowLane) Free(size int64) {
	<-time.After(time.Second)
	l.Lane.Free(size)
}

// Who has the result of a Send has seen the message's end, if no callback is to
// be told of it.
func TestFlush_afterASyncSendFindsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t, known)
		f.submit = func(r *record.Record) {
			r.Lane = slowLane{r.Lane} // or Send would be first only now and then
			go f.deliver(r)
		}
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		require.Zero(t, p.Stats().InFlight)
		require.NoError(t, p.Flush(deadCtx(t, nil)))
	})
}

func TestFlush_returnsNilWhenMessagesFailed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		send := beginSend(t, p, text("t", "v"))
		flush := beginFlush(t, p)
		f.fail(f.first(t), sarama.ErrMessageSizeTooLarge)
		require.NoError(t, flush.result())
		_ = send.result()
		require.EqualValues(t, 1, p.Stats().Failed)
	})
}

func TestFlush_isNotProlongedByLaterSends(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		first := beginSend(t, p, text("t", "first"))
		flush := beginFlush(t, p)
		later := beginSend(t, p, text("t", "later"))
		f.deliver(f.first(t))
		require.NoError(t, flush.result())
		require.NoError(t, first.result())
		require.EqualValues(t, 1, p.Stats().InFlight, "the later one")
		f.deliver(f.first(t))
		require.NoError(t, later.result())
	})
}

func TestFlush_waitsForEveryMessageBeforeItWhateverTheirOrder(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		const n = 30
		p, f := open(known)
		for range n {
			beginSend(t, p, text("t", "v"))
		}
		flush := beginFlush(t, p)
		held := f.holding()
		for i := range held {
			flush.requireWaits()
			f.deliver(held[(i*7)%n])
		}
		require.NoError(t, flush.result())
	})
}

// twmb/franz-go had a Flush that such a chain kept from ever returning.
func TestFlush_isNotStarvedByCallbacksThatSendAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p *Async
		var stop atomic.Bool
		p, f := openAsync(t, known, WithOnSuccess(func(ctx context.Context, msg *sarama.ProducerMessage) {
			<-time.After(time.Millisecond)
			if !stop.Load() {
				_ = p.Send(ctx, msg)
			}
		}))
		f.auto = true
		for range 5 {
			require.NoError(t, p.Send(t.Context(), text("t", "v")))
		}
		start := time.Now()
		require.NoError(t, p.Flush(context.Background()))
		require.LessOrEqual(t, time.Since(start), 5*time.Millisecond)
		require.EqualValues(t, 5, p.Stats().InFlight, "the chains go on")
		stop.Store(true)
		require.NoError(t, p.Flush(context.Background()))
	})
}

func TestFlush_thatRunsOutOfTimeTellsHowManyAreLeft(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		for range 5 {
			beginSend(t, p, text("t", "v"))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errShutdown)
		defer cancel()
		start := time.Now()
		flush := begin(t, func() error { return p.Flush(ctx) })
		beginSend(t, p, text("t", "later, and not counted"))
		f.deliver(f.first(t))
		f.deliver(f.first(t))
		flush.requireWaits()
		advance(3 * time.Second)
		err := flush.result()
		require.Equal(t, 3*time.Second, time.Since(start))
		require.Equal(t, 3, flushError(t, err).Left)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errShutdown, "the cause")
	})
}

func TestFlush_withADeadCtxReturnsAtOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, _ := open(known)
		beginSend(t, p, text("t", "v"))
		start := time.Now()
		err := p.Flush(deadCtx(t, errShutdown))
		require.Equal(t, 1, flushError(t, err).Left)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errShutdown)
		require.Zero(t, time.Since(start))
	})
}

func TestFlush_canBeCalledAgainToGoOn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		beginSend(t, p, text("t", "v"))
		require.Error(t, p.Flush(deadCtx(t, nil)))
		flush := beginFlush(t, p)
		flush.requireWaits()
		f.deliver(f.first(t))
		require.NoError(t, flush.result())
	})
}

func TestFlush_manyAtTheSameTimeEachWaitForTheirOwn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		const n = 50
		p, f := open(known)
		var flushes, dropped []call
		for range n {
			beginSend(t, p, text("t", "v"))
			flushes = append(flushes, beginFlush(t, p))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			dropped = append(dropped, begin(t, func() error { return p.Flush(ctx) }))
		}
		advance(time.Second)
		for i, r := range f.holding() {
			flushes[i].requireWaits()
			require.Equal(t, i+1, flushError(t, dropped[i].result()).Left)
			f.deliver(r)
			require.NoError(t, flushes[i].result())
		}
	})
}

func TestFlush_withoutACtxWaits(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		beginSend(t, p, text("t", "v"))
		flush := begin(t, func() error { return p.Flush(nil) }) //nolint:staticcheck // what a user may pass
		flush.requireWaits()
		f.deliver(f.first(t))
		require.NoError(t, flush.result())
	})
}

func TestFlush_afterCloseReturnsNil(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, _ := open(known)
		require.NoError(t, p.Close(t.Context()))
		require.NoError(t, p.Flush(t.Context()))
	})
}

func TestFlush_endsWhenCloseAborts(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		f.stuck = true
		beginSend(t, p, text("t", "v"))
		flush := beginFlush(t, p)
		require.Error(t, p.Close(deadCtx(t, nil)))
		require.NoError(t, flush.result())
	})
}

func TestFlush_ofNoProducerReturnsNil(t *testing.T) {
	t.Parallel()
	for _, p := range []Producer{(*Sync)(nil), &Sync{}, (*Async)(nil), &Async{}} {
		require.NoError(t, p.Flush(t.Context()))
	}
}
