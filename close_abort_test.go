package producer

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// An abort may take that long.
const abortBound = time.Second

// stuckOrNot runs a property with a transport that gives back what it holds once
// its connections are cut, and with one that never does.
func stuckOrNot(t *testing.T, property func(t *testing.T, open opener)) {
	t.Helper()
	for name, stuck := range map[string]bool{"LetsGo": false, "Stuck": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				property(t, func(opts ...Option) (subject, *fake) {
					p, f := open(opts...)
					f.stuck = stuck
					return p, f
				})
			})
		})
	}
}

func TestClose_abortsEveryMessageExactlyOnceWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	stuckOrNot(t, func(t *testing.T, open opener) {
		const n = 100
		var told reports
		p, f := open(known, told.options())
		var sends []call
		for _, tag := range numbered(n) {
			sends = append(sends, beginSend(t, p, tagged("t", tag)))
		}
		for _, r := range f.holding()[:n/2] {
			require.True(t, f.batch(r))
		}
		start := time.Now()
		e := closeError(t, p.Close(within(t, 3*time.Second)))
		require.WithinRange(t, time.Now(), start.Add(3*time.Second), start.Add(3*time.Second+abortBound))
		require.Equal(t, n, e.Undelivered)

		times := map[any]int{}
		for _, r := range told.all() {
			times[r.msg.Metadata]++
			failure := failureOf(t, r.err)
			require.ErrorIs(t, failure, ErrAborted)
			require.EqualValues(t, -1, r.msg.Offset)
		}
		for _, tag := range numbered(n) {
			require.Equal(t, 1, times[tag])
		}
		if _, ok := p.(*Sync); ok {
			for _, send := range sends {
				require.ErrorIs(t, send.result(), ErrAborted)
			}
		}
		require.Equal(t, []int64{n, n, 0}, []int64{p.Stats().Accepted, p.Stats().Failed, p.Stats().InFlight})
	})
}

func TestClose_anAbortTellsWhatMayHaveBeenWritten(t *testing.T) {
	t.Parallel()
	stuckOrNot(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(known, told.options())
		beginSend(t, p, tagged("t", "batched"))
		require.True(t, f.batch(f.first(t)))
		beginSend(t, p, tagged("t", "waits in sarama"))
		f.answers = func(string) error { return errNoLiveBroker }
		beginSend(t, p, tagged("unknown", "parked"))
		require.Error(t, p.Close(deadCtx(t, nil)))
		got := map[any]Persistence{}
		for _, r := range told.all() {
			got[r.msg.Metadata] = failureOf(t, r.err).Status
		}
		require.Equal(t, map[any]Persistence{
			"batched": PossiblyPersisted, "waits in sarama": NotPersisted, "parked": NotPersisted,
		}, got)
	})
}

func TestClose_whatWasSaidNotToBeWrittenIsNotSentAnyMore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		f.stuck = true
		beginSend(t, p, text("t", "v"))
		r := f.first(t)
		require.Error(t, p.Close(deadCtx(t, nil)))
		require.False(t, f.batch(r), "its Encoder refuses")
	})
}

func TestClose_withADeadCtxAbortsAtOnce(t *testing.T) {
	t.Parallel()
	stuckOrNot(t, func(t *testing.T, open opener) {
		p, f := open(known)
		beginSend(t, p, text("t", "v"))
		start := time.Now()
		err := p.Close(deadCtx(t, errShutdown))
		require.LessOrEqual(t, time.Since(start), abortBound)
		require.Equal(t, 1, closeError(t, err).Undelivered)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errShutdown)
		require.True(t, f.aborted)
		require.True(t, f.closing)
	})
}

func TestClose_withADeadCtxAndNothingToCutShortReturnsNil(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		f.auto = true
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		synctest.Wait()
		require.NoError(t, p.Close(deadCtx(t, nil)))
	})
}

func TestClose_countsWhatBecameOfMessagesSinceItBegan(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		f.stuck = true
		beginSend(t, p, text("t", "delivered before"))
		f.deliver(f.first(t))
		for range 3 + 2 + 4 {
			beginSend(t, p, text("t", "v"))
		}
		closing := beginClose(within(t, time.Second), t, p)
		for range 3 {
			f.deliver(f.first(t))
		}
		for range 2 {
			f.fail(f.first(t), sarama.ErrMessageSizeTooLarge)
		}
		advance(time.Second + abortBound)
		e := closeError(t, closing.result())
		require.Equal(t, CloseError{Delivered: 3, Failed: 2, Undelivered: 4, Err: e.Err}, *e)
		require.ErrorIs(t, e, context.DeadlineExceeded)
	})
}

func TestClose_aRecordThatComesBackAfterTheAbortIsNotReportedAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(known, told.options())
		f.stuck = true
		beginSend(t, p, text("t", "v"))
		beginSend(t, p, text("t", "v"))
		require.True(t, f.batch(f.first(t)))
		require.Error(t, p.Close(deadCtx(t, nil)))
		require.Len(t, told.all(), 2)
		require.EqualValues(t, 2, p.Stats().Held)

		for _, r := range f.holding() {
			f.deliver(r) // one was stored all the same, the other refuses
		}
		require.Len(t, told.all(), 2)
		s := p.Stats()
		require.Equal(t, Stats{Accepted: 2, Failed: 2, Late: 1}, s)
	})
}

func TestClose_abortsWhenTheTransportDoesNotEnd(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known, WithDeliveryTimeout(time.Second))
		f.stuck = true
		beginSend(t, p, text("t", "v"))
		advance(time.Second) // it times out, and sarama still holds it
		require.EqualValues(t, 1, p.Stats().Held)
		start := time.Now()
		require.NoError(t, p.Close(within(t, 5*time.Second)), "no message was cut short")
		require.WithinRange(t, time.Now(), start.Add(5*time.Second), start.Add(5*time.Second+abortBound))
		require.True(t, f.aborted)
	})
}

func TestClose_isInTimeWhileTheClusterIsAsked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		f.answers = func(string) error { return errNoLiveBroker }
		for range 10 {
			beginSend(t, p, text("t", "parked"))
		}
		start := time.Now()
		e := closeError(t, p.Close(within(t, 2*time.Second)))
		require.LessOrEqual(t, time.Since(start), 2*time.Second+abortBound)
		require.Equal(t, 10, e.Undelivered)
		require.Empty(t, f.submitted())
	})
}

func TestClose_returnsInTimeWhileACallbackIsStuck(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		const n = 20
		release := make(chan struct{})
		var told atomic.Int64
		p, f := open(known, WithOnSuccess(func(context.Context, *sarama.ProducerMessage) {
			told.Add(1)
			<-release
		}))
		for range n {
			beginSend(t, p, text("t", "v"))
			f.deliver(f.first(t))
		}
		start := time.Now()
		e := closeError(t, p.Close(within(t, 2*time.Second)))
		require.LessOrEqual(t, time.Since(start), 2*time.Second+abortBound)
		require.Equal(t, CloseError{CallbacksRunning: 1, Err: e.Err}, *e)
		require.EqualValues(t, 1, told.Load())
		requireBalanced(t, p.Stats())

		close(release) // it returns after all
		synctest.Wait()
		require.EqualValues(t, n, told.Load(), "what was queued behind it is called once each")
		require.Equal(t, Stats{Accepted: n, Delivered: n}, p.Stats())
	})
}

func TestClose_isInTimeWhileTheLogIsStuck(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{block: make(chan struct{})}
		p, f := open(WithTopics("t"), log.option(), WithSlowCallback(time.Second),
			WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { <-time.After(2 * time.Second) }))
		defer close(log.block)
		beginSend(t, p, text("t", "v"))
		f.deliver(f.first(t))
		advance(10 * time.Second) // the callback has returned, the line about it has not
		start := time.Now()
		require.NoError(t, p.Close(within(t, 3*time.Second)))
		require.LessOrEqual(t, time.Since(start), 3*time.Second+abortBound)
	})
}

func TestClose_anAbortWakesSyncSendsWhoseOutcomeIsPending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reports
		p, f := openSync(t, known, told.options())
		f.stuck = true
		ctx, cancel := context.WithCancel(t.Context())
		send := begin(t, func() error { return p.Send(ctx, text("t", "v")) })
		require.True(t, f.batch(f.first(t)))
		cancel()
		require.True(t, failureOf(t, send.result()).Pending)
		require.Error(t, p.Close(deadCtx(t, nil)))
		require.ErrorIs(t, told.all()[0].err, ErrAborted, "the outcome reaches the callbacks")
	})
}

// What is returned by sarama because we cut its connections is our doing.
func TestClose_anAbortIsTheCauseAlsoOfWhatItsCutBringsBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(known, told.options())
		beginSend(t, p, text("t", "v"))
		f.onAbort = func(r *record.Record) { f.fail(r, sarama.ErrOutOfBrokers) } // from within Abort
		err := p.Close(deadCtx(t, nil))
		require.Equal(t, 1, closeError(t, err).Undelivered)
		require.ErrorIs(t, told.all()[0].err, ErrAborted)
	})
}
