package producer

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// beginClose begins a Close.
func beginClose(ctx context.Context, t *testing.T, p Producer) call {
	t.Helper()
	return begin(t, func() error { return p.Close(ctx) })
}

// closeError returns the *CloseError that an error is.
func closeError(t *testing.T, err error) *CloseError {
	t.Helper()
	var e *CloseError
	require.ErrorAs(t, err, &e)
	return e
}

// within is a ctx with a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestClose_ofAnIdleProducerIsPrompt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		start := time.Now()
		require.NoError(t, p.Close(t.Context()))
		require.Zero(t, time.Since(start))
		require.False(t, f.aborted, "nothing had to be cut")
	})
}

func TestClose_waitsForOutcomesAndCallbacks(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		release := make(chan struct{})
		p, f := open(known, WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { <-release }))
		send := beginSend(t, p, text("t", "v"))
		closing := beginClose(t.Context(), t, p)
		closing.requireWaits()
		require.False(t, f.closing, "sarama works on")
		f.deliver(f.first(t))
		closing.requireWaits()
		close(release)
		require.NoError(t, closing.result())
		require.NoError(t, send.result())
		require.Equal(t, Stats{Accepted: 1, Delivered: 1}, p.Stats())
		require.False(t, f.aborted)
	})
}

// Records that are parked or queued are delivered as well.
func TestClose_waitsForWhatHasNotReachedTheTransport(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		f.auto = true
		known := make(chan struct{})
		f.answers = func(string) error { <-known; return nil }
		send := beginSend(t, p, text("t", "v"))
		closing := beginClose(t.Context(), t, p)
		closing.requireWaits()
		close(known)
		require.NoError(t, closing.result())
		require.NoError(t, send.result())
	})
}

func TestClose_messagesMayFailWithoutAnError(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		beginSend(t, p, text("t", "v"))
		closing := beginClose(t.Context(), t, p)
		f.fail(f.first(t), sarama.ErrMessageSizeTooLarge)
		require.NoError(t, closing.result())
	})
}

func TestClose_refusesNewSends(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		beginSend(t, p, text("t", "v"))
		closing := beginClose(t.Context(), t, p)
		require.Equal(t, ErrClosed, p.Send(t.Context(), text("t", "v")), "while it waits")
		f.deliver(f.first(t))
		require.NoError(t, closing.result())
		require.Equal(t, ErrClosed, p.Send(t.Context(), text("t", "v")), "and when it is over")
		require.Len(t, f.submitted(), 1)
	})
}

func TestClose_wakesSendersThatWaitForRoom(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]Option{
		"Messages": WithMaxBuffered(1),
		"Topic":    WithMaxBufferedPerTopic(1),
		"Bytes":    WithMaxBufferedBytes(MessageOverhead + 10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				p, f := open(known, limit)
				beginSend(t, p, text("t", "v"))
				var waiting []call
				for range 10 {
					waiting = append(waiting, beginSend(t, p, text("t", "v")))
				}
				closing := beginClose(t.Context(), t, p)
				for _, send := range waiting {
					require.Equal(t, ErrClosed, send.result())
				}
				f.deliver(f.first(t))
				require.NoError(t, closing.result())
			})
		})
	}
}

func TestClose_fromManyGoroutinesIsOneShutdown(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		f.stuck = true
		beginSend(t, p, text("t", "v"))
		var calls []call
		for i := range 50 {
			calls = append(calls, beginClose(within(t, time.Duration(i+1)*time.Second), t, p))
		}
		advance(2 * time.Second)
		first := closeError(t, calls[0].result())
		require.Equal(t, 1, first.Undelivered)
		for _, c := range calls[1:] {
			require.Same(t, first, c.result())
		}
	})
}

func TestClose_theFirstTimeToEndAbortsForAll(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, _ := open(known)
		beginSend(t, p, text("t", "v"))
		patient := beginClose(within(t, time.Hour), t, p)
		start := time.Now()
		err := p.Close(deadCtx(t, errShutdown)) // a second SIGTERM
		require.LessOrEqual(t, time.Since(start), time.Second)
		require.ErrorIs(t, err, errShutdown)
		require.Equal(t, err, patient.result())
	})
}

func TestClose_laterCallsReturnTheFirstResult(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, _ := open(known)
		require.NoError(t, p.Close(t.Context()))
		require.NoError(t, p.Close(deadCtx(t, nil)), "there is nothing to cut short any more")
	})
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		f.stuck = true
		beginSend(t, p, text("t", "v"))
		first := closeError(t, p.Close(deadCtx(t, nil)))
		require.Same(t, first, p.Close(t.Context()))
		require.Same(t, first, p.Close(deadCtx(t, nil)))
	})
}

func TestClose_withoutADeadlineTakesCloseTimeout(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		for name, ctx := range map[string]context.Context{
			"Background": context.Background(), "Nil": nil, "Cancelable": t.Context(),
		} {
			p, f := open(known, WithCloseTimeout(7*time.Second))
			f.stuck = true
			beginSend(t, p, text("t", "v"))
			start := time.Now()
			err := p.Close(ctx)
			require.WithinRange(t, time.Now(), start.Add(7*time.Second), start.Add(8*time.Second), name)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	})
}

func TestClose_aDeadlineMayBeLongerThanCloseTimeout(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known, WithCloseTimeout(time.Second))
		beginSend(t, p, text("t", "v"))
		closing := beginClose(within(t, time.Minute), t, p)
		advance(30 * time.Second)
		closing.requireWaits()
		f.deliver(f.first(t))
		require.NoError(t, closing.result())
	})
}

func TestClose_fromACallbackStartsTheShutdown(t *testing.T) {
	t.Parallel()
	for from, caller := range fromCallback {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				var p subject
				result := make(chan error, 1)
				p, f := open(known, WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) {
					result <- caller(ctx, p.Close)
				}))
				send := beginSend(t, p, text("t", "v"))
				f.deliver(f.first(t))
				require.NoError(t, send.result())
				require.Equal(t, ErrInCallback, <-result)
				require.Equal(t, ErrClosed, p.Send(t.Context(), text("t", "v")))
				require.NoError(t, p.Close(t.Context()))
			})
		})
	}
}

func TestClose_fromACallbackIsBoundedByCloseTimeout(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var p subject
		release := make(chan struct{})
		defer close(release)
		p, f := open(known, WithCloseTimeout(5*time.Second),
			WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) {
				_ = p.Close(ctx)
				<-release
			}))
		beginSend(t, p, text("t", "v"))
		f.deliver(f.first(t))
		waiting := beginClose(within(t, time.Hour), t, p)
		advance(5*time.Second - time.Nanosecond)
		waiting.requireWaits()
		advance(time.Second)
		require.Equal(t, 1, closeError(t, waiting.result()).CallbacksRunning)
	})
}

// Every failed message may ask for the end.
func TestClose_fromManyCallbacksStartsOneGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 5000 // more than all other tests have
		var p *Async
		closed, release := make(chan struct{}), make(chan struct{})
		left := atomic.Int64{}
		left.Store(n)
		p, f := openAsync(t, known, WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) {
			_ = p.Close(ctx)
			if left.Add(-1) == 0 {
				close(closed)
				<-release
			}
		}))
		for range n {
			require.NoError(t, p.Send(t.Context(), text("t", "v")))
		}
		for _, r := range f.holding() {
			f.deliver(r)
		}
		<-closed
		synctest.Wait()
		require.Less(t, runtime.NumGoroutine(), n/2)
		close(release)
		require.NoError(t, p.Close(t.Context()))
	})
}

func TestClose_noCallbackRunsAfterItReturnedNil(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var over atomic.Bool
		var late, told atomic.Int64
		note := func() {
			<-time.After(time.Millisecond)
			told.Add(1)
			if over.Load() {
				late.Add(1)
			}
		}
		p, f := open(known, WithCallbackWorkers(3),
			WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { note() }))
		f.auto = true
		var senders sync.WaitGroup
		for range 100 {
			senders.Go(func() { _ = p.Send(t.Context(), text("t", "v")) })
		}
		synctest.Wait()
		require.NoError(t, p.Close(t.Context()))
		over.Store(true)
		advance(time.Minute)
		require.Zero(t, late.Load())
		require.EqualValues(t, 100, told.Load())
	})
}

func TestClose_sendsThatRaceItAreRefusedOrReportedOnce(t *testing.T) {
	t.Parallel()
	for _, abort := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const senders, each = 8, 200
			var told sync.Map
			var accepted, refused, twice atomic.Int64
			note := func(msg *sarama.ProducerMessage) {
				if _, again := told.LoadOrStore(msg.Metadata, true); again {
					twice.Add(1)
				}
			}
			p, f := openAsync(t, known, WithMaxBuffered(50),
				WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) { note(msg) }),
				WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, _ error) { note(msg) }))
			f.submit = func(r *record.Record) { go f.deliver(r) }
			var wg sync.WaitGroup
			for range senders {
				wg.Go(func() {
					for range each {
						msg := text("t", "v")
						msg.Metadata = new(int)
						switch err := p.Send(t.Context(), msg); {
						case err == nil:
							accepted.Add(1)
						case errors.Is(err, ErrClosed):
							refused.Add(1)
						}
					}
				})
			}
			for accepted.Load() < 100 {
				runtime.Gosched() // so that Close comes amid the sends
			}
			ctx := t.Context()
			if abort {
				ctx = deadCtx(t, nil)
			}
			_ = p.Close(ctx)
			wg.Wait()
			synctest.Wait()
			n := 0
			told.Range(func(any, any) bool { n++; return true })
			require.EqualValues(t, senders*each, accepted.Load()+refused.Load())
			require.EqualValues(t, accepted.Load(), n)
			require.Zero(t, twice.Load())
			require.Zero(t, p.Stats().InFlight)
			requireBalanced(t, p.Stats())
		})
	}
}

func TestClose_ofNoProducerReturnsNil(t *testing.T) {
	t.Parallel()
	for _, p := range []Producer{(*Sync)(nil), &Sync{}, (*Async)(nil), &Async{}} {
		require.NoError(t, p.Close(t.Context()))
		require.NoError(t, p.Close(nil)) //nolint:staticcheck // what a user may pass
	}
}
