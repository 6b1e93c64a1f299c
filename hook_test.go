package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// hookCall is what a hook was told: "send", "done" or "late", of the message with
// that value.
type hookCall struct {
	what    string
	value   string
	ctx     context.Context //nolint:containedctx // to be looked at
	msg     *sarama.ProducerMessage
	outcome Outcome
}

// watcher is a hook that notes its calls.
type watcher struct {
	mu    sync.Mutex
	calls []hookCall
	send  func(ctx context.Context, msg *sarama.ProducerMessage) context.Context // what OnSend does, too
	done  func()                                                                 // and OnDone
}

func (w *watcher) option() Option {
	return WithHook(Hook{
		OnSend: func(ctx context.Context, msg *sarama.ProducerMessage) context.Context {
			w.add(&hookCall{what: "send", ctx: ctx, msg: msg})
			if w.send != nil {
				return w.send(ctx, msg)
			}
			return nil
		},
		OnDone: func(ctx context.Context, msg *sarama.ProducerMessage, o Outcome) {
			w.add(&hookCall{"done", "", ctx, msg, o})
			if w.done != nil {
				w.done()
			}
		},
		OnLate: func(ctx context.Context, msg *sarama.ProducerMessage, o Outcome) {
			w.add(&hookCall{"late", "", ctx, msg, o})
		},
	})
}

func (w *watcher) add(c *hookCall) {
	if c.msg.Value != nil {
		b, _ := c.msg.Value.Encode()
		c.value = string(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, *c)
}

// of waits until nothing moves and returns the calls of that kind.
func (w *watcher) of(what string) (calls []hookCall) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.calls {
		if w.calls[i].what == what {
			calls = append(calls, w.calls[i])
		}
	}
	return calls
}

// names are all calls in their order, as "what value".
func (w *watcher) names() (names []string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.calls {
		names = append(names, w.calls[i].what+" "+w.calls[i].value)
	}
	return names
}

func TestHook_everySendIsDoneOnceWhateverBecomesOfIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var w watcher
		p, f := open(known, w.option(), WithMaxBuffered(3), WithMaxBlock(0), WithMaxMessageBytes(100))
		beginSend(t, p, text("t", "delivered"))
		beginSend(t, p, text("t", "failed"))
		beginSend(t, p, text("t", "aborted"))
		for name, send := range map[string]func() error{
			"no room": func() error { return p.Send(t.Context(), text("t", "no room")) },
			"ended":   func() error { return p.Send(deadCtx(t, nil), text("t", "ended")) },
			"no topic": func() error {
				return p.Send(t.Context(), text("", "no topic"))
			},
			"": func() error { return p.Send(t.Context(), nil) },
			"no ctx": func() error {
				return p.Send(nil, text("t", "no ctx")) //nolint:staticcheck // what this is about
			},
			strings.Repeat("large", 50): func() error {
				return p.Send(t.Context(), text("t", strings.Repeat("large", 50)))
			},
		} {
			before := len(w.of("done"))
			err := send()
			require.Error(t, err, name)
			done := w.of("done")
			require.Len(t, done, before+1, "before Send returns")
			last := done[before]
			require.Equal(t, err, last.outcome.Err)
			require.Equal(t, name, last.value)
			require.Zero(t, last.outcome.Accepted)
			require.EqualValues(t, -1, last.outcome.Partition)
			require.EqualValues(t, -1, last.outcome.Offset)
		}
		require.Len(t, w.of("done"), 6)
		f.deliver(f.first(t))
		f.fail(f.first(t), sarama.ErrMessageSizeTooLarge)
		require.Error(t, p.Close(deadCtx(t, nil)))
		require.ErrorIs(t, p.Send(t.Context(), text("t", "closed")), ErrClosed)

		ended := map[string]error{}
		for _, c := range w.of("done") {
			_, twice := ended[c.value]
			require.False(t, twice, c.value)
			ended[c.value] = c.outcome.Err
		}
		require.Len(t, ended, 10)
		require.NoError(t, ended["delivered"])
		require.ErrorIs(t, ended["failed"], sarama.ErrMessageSizeTooLarge)
		require.ErrorIs(t, ended["aborted"], ErrAborted)
		require.ErrorIs(t, ended["closed"], ErrClosed)
		require.Len(t, w.of("send"), 10)
		require.Empty(t, w.of("late"))
		s := p.Stats()
		require.EqualValues(t, 3, s.Accepted)
		require.EqualValues(t, 7, s.Rejected)
	})
}

func TestHook_isToldBeforeTheCallbacksOfTheMessageInTheOrderOfTheOptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		hook := func(name string) Option {
			return WithHook(Hook{
				OnSend: func(ctx context.Context, _ *sarama.ProducerMessage) context.Context {
					note("send " + name)
					return ctx
				},
				OnDone: func(context.Context, *sarama.ProducerMessage, Outcome) { note("done " + name) },
			})
		}
		p, f := openAsync(t, known, hook("a"), hook("b"),
			WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { note("success") }))
		f.auto = true
		require.NoError(t, p.SendFunc(t.Context(), text("t", "v"),
			func(context.Context, *sarama.ProducerMessage, error) { note("func") }))
		synctest.Wait()
		require.Equal(t, []string{"send a", "send b", "done a", "done b", "func", "success"}, order)
	})
}

func TestHook_toldOnlyOfOneThingIsNotCalledForOthers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		sent := 0
		p, f := open(known, WithHook(Hook{OnSend: func(context.Context, *sarama.ProducerMessage) context.Context {
			sent++
			return nil
		}}), WithHook(Hook{OnLate: func(context.Context, *sarama.ProducerMessage, Outcome) { sent += 100 }}))
		f.auto = true
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		require.ErrorIs(t, p.Send(t.Context(), nil), ErrInvalidMessage)
		require.NoError(t, p.Flush(t.Context()))
		require.Equal(t, 2, sent)
	})
}

func TestHook_headersThatOnSendSetsAreSent(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		w := watcher{send: func(ctx context.Context, msg *sarama.ProducerMessage) context.Context {
			msg.Headers[0].Value[0] = 'X'
			msg.Headers = append(msg.Headers, sarama.RecordHeader{Key: []byte("trace"), Value: []byte("1")},
				sarama.RecordHeader{Value: []byte("without a key")})
			msg.Topic, msg.Key, msg.Value = "another", sarama.StringEncoder("k"), sarama.StringEncoder("other")
			msg.Metadata, msg.Partition, msg.Timestamp = 1, 7, time.Unix(1, 0)
			return ctx
		}}
		p, f := open(known, w.option())
		msg := text("t", "v")
		msg.Headers = []sarama.RecordHeader{{Key: []byte("own"), Value: []byte("mine")}}
		beginSend(t, p, msg)
		sent := &f.first(t).Msg
		require.Equal(t, []sarama.RecordHeader{
			{Key: []byte("own"), Value: []byte("Xine")}, {Key: []byte("trace"), Value: []byte("1")},
		}, sent.Headers)
		require.Equal(t, "t", sent.Topic)
		require.Nil(t, sent.Key)
		require.Nil(t, sent.Metadata)
		require.Zero(t, sent.Partition)
		require.Equal(t, "v", valueOf(t, sent))
		require.WithinDuration(t, time.Now(), sent.Timestamp, 0)
		require.Equal(t, []sarama.RecordHeader{{Key: []byte("own"), Value: []byte("mine")}}, msg.Headers)
	})
}

func TestHook_aMessageOfWhichAHeaderHasNoKeyIsRefusedAllTheSame(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		w := watcher{send: func(ctx context.Context, msg *sarama.ProducerMessage) context.Context {
			msg.Headers = nil
			return ctx
		}}
		p, _ := open(known, w.option())
		msg := text("t", "v")
		msg.Headers = []sarama.RecordHeader{{Value: []byte("v")}}
		require.ErrorIs(t, p.Send(t.Context(), msg), ErrInvalidMessage)
	})
}

func TestHook_headersThatMakeAMessageTooLargeAreNotSent(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		w := watcher{send: func(ctx context.Context, msg *sarama.ProducerMessage) context.Context {
			msg.Headers = append(msg.Headers, sarama.RecordHeader{Key: []byte("trace"), Value: make([]byte, 100)})
			return ctx
		}}
		p, f := open(known, w.option(), WithMaxMessageBytes(100))
		beginSend(t, p, text("t", "v"))
		require.Empty(t, f.first(t).Msg.Headers)
		require.ErrorIs(t, p.Send(t.Context(), text("t", strings.Repeat("v", 100))), ErrMessageTooLarge)
	})
}

func TestHook_valuesOfItsCtxReachTheCallbacks(t *testing.T) {
	t.Parallel()
	type key string
	both(t, func(t *testing.T, open opener) {
		var told reports
		var first, second watcher
		first.send = func(ctx context.Context, _ *sarama.ProducerMessage) context.Context {
			return context.WithValue(ctx, key("first"), 1)
		}
		second.send = func(ctx context.Context, _ *sarama.ProducerMessage) context.Context {
			require.Equal(t, 1, ctx.Value(key("first")))
			return nil // keeps it
		}
		p, f := open(known, told.options(), first.option(), second.option())
		f.auto = true
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key("sender"), 2))
		require.NoError(t, p.Send(ctx, text("t", "v")))
		cancel()
		for _, ctx := range []context.Context{told.all()[0].ctx, first.of("done")[0].ctx, second.of("done")[0].ctx} {
			require.Equal(t, 1, ctx.Value(key("first")))
			require.Equal(t, 2, ctx.Value(key("sender")))
			require.NoError(t, ctx.Err())
		}
		require.Error(t, p.Send(ctx, text("t", "v")))
		require.Equal(t, 1, first.of("done")[1].ctx.Value(key("first")), "also of one that is refused")
	})
}

// A hook whose ctx is canceled must not keep a message from waiting for room.
func TestHook_theEndOfItsCtxEndsNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		w := watcher{send: func(context.Context, *sarama.ProducerMessage) context.Context {
			return deadCtx(t, nil)
		}}
		p, f := open(known, w.option(), WithMaxBuffered(1))
		beginSend(t, p, text("t", "1"))
		waits := beginSend(t, p, text("t", "2"))
		waits.requireWaits()
		f.deliver(f.first(t))
		f.deliver(f.first(t))
		require.NoError(t, waits.result())
	})
}

func TestHook_aPanicOrAnExitBreaksNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{}
		var told reports
		var w watcher
		broken := Hook{
			OnSend: func(context.Context, *sarama.ProducerMessage) context.Context { panic("send " + canary) },
			OnDone: func(_ context.Context, _ *sarama.ProducerMessage, o Outcome) {
				if o.Err == nil {
					runtime.Goexit()
				}
				panic("done " + canary)
			},
		}
		p, f := open(known, log.option(), told.options(), WithHook(broken), w.option())
		f.auto = true
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		require.ErrorIs(t, p.Send(t.Context(), text("", "refused")), ErrInvalidMessage)
		require.Len(t, told.all(), 1)
		require.ElementsMatch(t, []string{"send v", "done v", "send refused", "done refused"}, w.names())
		require.EqualValues(t, 4, p.Stats().CallbackPanics)
		lines := log.lines(t, slog.LevelError)
		require.Len(t, lines, 4)
		for _, line := range lines {
			require.Contains(t, line["function"], "aPanicOrAnExitBreaksNothing")
		}
		require.NotContains(t, log.text(), canary)
	})
}

func TestHook_aSendWhoseGoroutineIsEndedIsDone(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var before, after watcher
		p, _ := open(known, before.option(), WithHook(Hook{
			OnSend: func(context.Context, *sarama.ProducerMessage) context.Context { runtime.Goexit(); return nil },
		}), after.option())
		var sender sync.WaitGroup
		sender.Go(func() { _ = p.Send(t.Context(), text("t", "v")) })
		sender.Wait()
		require.ErrorIs(t, before.of("done")[0].outcome.Err, ErrInvalidMessage)
		require.Equal(t, []string{"send v", "done v"}, before.names())
		require.Empty(t, after.names(), "nothing is done that was not begun")
		require.EqualValues(t, 1, p.Stats().Rejected)
	})
}

func TestHook_theOutcomeHasTheTimesOfEachStep(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var w watcher
		p, f := open(known, w.option(), WithMaxBuffered(1))
		start := time.Now()
		at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
		beginSend(t, p, text("t", "in the way"))
		beginSend(t, p, text("t", "v"))
		advance(1 * time.Second)
		f.deliver(f.first(t))
		r := f.first(t)
		advance(1 * time.Second)
		require.True(t, f.batch(r))
		advance(1 * time.Second)
		require.True(t, f.batch(r)) // again, as sarama does
		advance(1 * time.Second)
		f.deliver(r)
		done := w.of("done")
		require.Equal(t, Outcome{
			Partition: 3, Offset: 0, Attempts: 1,
			Sent: at(0), Accepted: at(0), Encoded: at(1), Acknowledged: at(1), Done: at(1),
		}, done[0].outcome)
		require.Equal(t, Outcome{
			Partition: 3, Offset: 1, Attempts: 2,
			Sent: at(0), Accepted: at(1), Encoded: at(2), Acknowledged: at(4), Done: at(4),
		}, done[1].outcome)
	})
}

func TestHook_theOutcomeOfAMessageThatIsGivenUpSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var w watcher
		p, f := open(known, w.option(), WithDeliveryTimeout(10*time.Second))
		start := time.Now()
		beginSend(t, p, text("t", "sent"))
		beginSend(t, p, text("t", "never sent"))
		beginSend(t, p, text("t", "not connected"))
		beginSend(t, p, text("t", "refused"))
		advance(time.Second)
		require.True(t, f.batch(f.holding()[0]))
		require.True(t, f.batch(f.holding()[3]))
		f.fail(f.holding()[3], sarama.ErrInvalidRecord)
		f.fail(f.holding()[2], sarama.ErrNotConnected)
		advance(9 * time.Second)
		times := map[string]Outcome{}
		for _, c := range w.of("done") {
			times[c.value] = c.outcome
		}
		later := start.Add(time.Second)
		for value, want := range map[string]Outcome{
			"sent":          {Attempts: 1, Encoded: later, Done: start.Add(10 * time.Second)},
			"never sent":    {Done: start.Add(10 * time.Second)},
			"not connected": {Done: later},
			"refused":       {Attempts: 1, Encoded: later, Acknowledged: later, Done: later},
		} {
			got := times[value]
			require.Error(t, got.Err)
			want.Err, want.Sent, want.Accepted, want.Offset = got.Err, start, start, -1
			want.Partition = got.Partition
			require.Equal(t, want, got, value)
		}
	})
}

func TestHook_whatABrokerSaysOfAMessageThatWasGivenUpIsTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer func(t *testing.T, f *fake)
		late   bool
		err    error
	}{
		"Stored":      {func(t *testing.T, f *fake) { t.Helper(); f.deliver(f.first(t)) }, true, nil},
		"Refused":     {func(t *testing.T, f *fake) { t.Helper(); f.fail(f.first(t), sarama.ErrNotEnoughReplicas) }, true, sarama.ErrNotEnoughReplicas},
		"NoAnswer":    {func(t *testing.T, f *fake) { t.Helper(); f.fail(f.first(t), errors.New("cut")) }, false, nil},
		"NothingElse": {func(*testing.T, *fake) {}, false, nil},
	} {
		for _, stuck := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/callbackStuck=%v", name, stuck), func(t *testing.T) {
				t.Parallel()
				both(t, func(t *testing.T, open opener) {
					release := make(chan struct{})
					var w watcher
					if stuck {
						w.done = func() { <-release }
					}
					p, f := open(known, w.option(), WithDeliveryTimeout(time.Second))
					beginSend(t, p, text("t", "v"))
					require.True(t, f.batch(f.first(t)))
					advance(time.Second)
					require.ErrorIs(t, w.of("done")[0].outcome.Err, ErrDeliveryTimeout)
					advance(time.Second)
					answered := time.Now()
					tc.answer(t, f)
					if stuck {
						require.Empty(t, w.of("late"), "OnDone has not returned")
						advance(time.Second)
						close(release)
					}
					require.NoError(t, p.Flush(t.Context()))
					late := w.of("late")
					if !tc.late {
						require.Empty(t, late)
						return
					}
					require.Len(t, late, 1)
					o := late[0].outcome
					require.ErrorIs(t, o.Err, tc.err)
					require.Equal(t, answered, o.Acknowledged)
					require.EqualValues(t, 3, o.Partition)
					require.Equal(t, 1, o.Attempts)
					require.Equal(t, "v", late[0].value)
					if tc.err == nil {
						require.NoError(t, o.Err)
						require.Zero(t, o.Offset)
						require.EqualValues(t, 1, p.Stats().Late)
					} else {
						require.Equal(t, PossiblyPersisted, failureOf(t, o.Err).Status)
					}
					require.EqualValues(t, -1, w.of("done")[0].msg.Offset, "the message that it got first stays as it was")
					s := p.Stats()
					require.EqualValues(t, 1, s.Failed)
					require.Zero(t, s.InFlight+s.Held+s.Buffered)
				})
			})
		}
	}
}

func TestHook_flushAndCloseWaitForIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		release := make(chan struct{})
		w := watcher{done: func() { <-release }}
		p, f := open(known, w.option())
		beginSend(t, p, text("t", "v"))
		f.deliver(f.first(t))
		flush := begin(t, func() error { return p.Flush(context.Background()) })
		closing := beginClose(context.Background(), t, p)
		flush.requireWaits()
		closing.requireWaits()
		close(release)
		require.NoError(t, flush.result())
		require.NoError(t, closing.result())
	})
}

func TestHook_closeIsInTimeWhileItIsToldWhatCameLate(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		release := make(chan struct{})
		defer close(release)
		p, f := open(known, WithDeliveryTimeout(time.Second), WithHook(Hook{
			OnLate: func(context.Context, *sarama.ProducerMessage, Outcome) { <-release },
		}))
		beginSend(t, p, text("t", "v"))
		require.True(t, f.batch(f.first(t)))
		advance(time.Second)
		f.deliver(f.first(t))
		start := time.Now()
		e := closeError(t, p.Close(within(t, 3*time.Second)))
		require.LessOrEqual(t, time.Since(start), 3*time.Second+abortBound)
		require.Equal(t, CloseError{CallbacksRunning: 1, Err: e.Err}, *e)
	})
}

// Each ctx would hold the one before, and with it the record that it came from.
func TestHook_aMessageThatIsSentAgainAndAgainFromItsCallbackDoesNotGrowItsCtx(t *testing.T) {
	t.Parallel()
	type key struct{}
	depth := func(ctx context.Context) int {
		n, _ := ctx.Value(key{}).(int)
		return n
	}
	synctest.Test(t, func(t *testing.T) {
		w := watcher{send: func(ctx context.Context, _ *sarama.ProducerMessage) context.Context {
			return context.WithValue(ctx, key{}, depth(ctx)+1)
		}}
		var p *Async
		left := 100
		p, f := openAsync(t, known, w.option(), WithOnSuccess(func(ctx context.Context, msg *sarama.ProducerMessage) {
			if left--; left > 0 {
				require.NoError(t, p.Send(ctx, msg))
			}
		}))
		f.auto = true
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		deepest := 0
		for _, c := range w.of("done") {
			deepest = max(deepest, depth(c.ctx))
		}
		require.Len(t, w.of("done"), 100)
		require.Equal(t, 16, deepest)
	})
}

func TestWithHook_withoutAFunctionIsAnError(t *testing.T) {
	t.Parallel()
	_, err := NewAsync(t.Context(), []string{"localhost:1"}, WithHook(Hook{}))
	require.ErrorIs(t, err, ErrInvalidConfig)
	require.ErrorContains(t, err, "WithHook")
}
