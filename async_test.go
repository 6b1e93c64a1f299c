package producer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/lane"
	"github.com/saramakit/producer/internal/record"
)

// verb is a way to send with an Async.
type verb func(p *Async, ctx context.Context, msg *sarama.ProducerMessage) error

// verbs runs a property on each of them.
func verbs(t *testing.T, property func(t *testing.T, send verb)) {
	t.Helper()
	for name, send := range map[string]verb{
		"Send":    (*Async).Send,
		"TrySend": (*Async).TrySend,
		"SendFunc": func(p *Async, ctx context.Context, msg *sarama.ProducerMessage) error {
			return p.SendFunc(ctx, msg, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { property(t, send) })
		})
	}
}

func TestAsync_everySendReturnsWhenTheMessageIsAccepted(t *testing.T) {
	t.Parallel()
	verbs(t, func(t *testing.T, send verb) {
		var told reports
		p, f := openAsync(t, told.options())
		began := time.Now()
		require.NoError(t, send(p, t.Context(), text("t", "v")))
		require.Zero(t, time.Since(began))
		require.Empty(t, told.all(), "the outcome is open")
		require.EqualValues(t, 1, p.Stats().InFlight)
		f.deliver(f.first(t))
		require.Len(t, told.all(), 1)
		require.NoError(t, told.all()[0].err)
	})
}

func TestAsync_everySendRefusesTheSame(t *testing.T) {
	t.Parallel()
	verbs(t, func(t *testing.T, send verb) {
		p, f := openAsync(t, WithMaxMessageBytes(100), WithMaxBlock(time.Second))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		var errs []error
		check := func(err, want error) {
			t.Helper()
			require.ErrorIs(t, err, want)
			requireNothingAccepted(t, p, f, err)
			errs = append(errs, err)
		}
		check(send(p, ended, text("t", "v")), context.Canceled)
		check(send(p, t.Context(), nil), ErrInvalidMessage)
		check(send(p, t.Context(), text("", "v")), ErrInvalidMessage)
		check(send(p, t.Context(), text("t", string(make([]byte, 100)))), ErrMessageTooLarge)
		require.NoError(t, p.Close(t.Context()))
		check(send(p, t.Context(), text("t", "v")), ErrClosed)
		require.EqualValues(t, len(errs), p.Stats().Rejected)
	})
}

func TestAsync_everySendKeepsTheMessageWhenCtxEndsAfterAcceptance(t *testing.T) {
	t.Parallel()
	verbs(t, func(t *testing.T, send verb) {
		type key struct{}
		var told reports
		p, f := openAsync(t, told.options())
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "trace"), time.Second)
		defer cancel()
		require.NoError(t, send(p, ctx, text("t", "v")))
		advance(time.Minute)
		require.Error(t, ctx.Err())
		require.Empty(t, told.all())
		require.True(t, f.batch(f.first(t)), "it can still be sent")
		f.deliver(f.first(t))
		require.Len(t, told.all(), 1)
		require.NoError(t, told.all()[0].err)
		require.Equal(t, "trace", told.all()[0].ctx.Value(key{}), "its values live on")
		require.NoError(t, told.all()[0].ctx.Err())
	})
}

func TestAsync_everySendSharesOneOrder(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]Option{"knownTopic": WithTopics("t"), "newTopic": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, f := openAsync(t, known)
				tags := numbered(300)
				for i := 0; i < len(tags); i += 3 {
					require.NoError(t, p.TrySend(t.Context(), tagged("t", tags[i])))
					require.NoError(t, p.SendFunc(t.Context(), tagged("t", tags[i+1]), nil))
					require.NoError(t, p.Send(t.Context(), tagged("t", tags[i+2])))
				}
				synctest.Wait()
				require.Equal(t, tags, tagsOf(f.submitted()))
			})
		})
	}
}

func TestAsync_SendFunc_isToldItsOutcomeBeforeTheOthers(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]error{"delivered": nil, "failed": sarama.ErrNotLeaderForPartition} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var told reports
				var own []report
				p, f := openAsync(t, told.options())
				done := func(ctx context.Context, msg *sarama.ProducerMessage, err error) {
					told.mu.Lock()
					defer told.mu.Unlock()
					if len(told.list) == 0 {
						own = append(own, report{ctx, msg, err})
					}
				}
				require.NoError(t, p.SendFunc(t.Context(), text("t", "v"), done))
				if r := f.first(t); outcome == nil {
					f.deliver(r)
				} else {
					f.fail(r, outcome)
				}
				require.Len(t, told.all(), 1)
				require.Len(t, own, 1, "told once, and first")
				require.Same(t, told.all()[0].msg, own[0].msg)
				require.Equal(t, told.all()[0].err, own[0].err)
				require.ErrorIs(t, own[0].err, outcome)
				if outcome != nil {
					_ = failureOf(t, own[0].err)
				}
			})
		})
	}
}

func TestAsync_SendFunc_tellsEachFunctionItsOwnMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openAsync(t)
		told := map[string]any{} // one worker: no lock
		for _, tag := range numbered(100) {
			require.NoError(t, p.SendFunc(t.Context(), tagged("t", tag),
				func(_ context.Context, msg *sarama.ProducerMessage, _ error) { told[tag] = msg.Metadata }))
		}
		synctest.Wait()
		for _, r := range f.holding() {
			f.deliver(r)
		}
		synctest.Wait()
		require.Len(t, told, 100)
		for tag, got := range told {
			require.Equal(t, tag, got)
		}
	})
}

func TestAsync_SendFunc_tellsNothingOfAMessageThatWasNotAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		done := func(context.Context, *sarama.ProducerMessage, error) { calls++ }
		p, f := openAsync(t, WithMaxBuffered(1), WithMaxBlock(time.Second))
		require.NoError(t, p.Send(t.Context(), text("t", "takes the room")))
		require.ErrorIs(t, p.SendFunc(t.Context(), text("t", "v"), done), ErrBufferFull)
		require.ErrorIs(t, p.SendFunc(t.Context(), nil, done), ErrInvalidMessage)
		f.deliver(f.first(t))
		require.NoError(t, p.Close(t.Context()))
		require.ErrorIs(t, p.SendFunc(t.Context(), text("t", "v"), done), ErrClosed)
		require.Zero(t, calls)
	})
}

// Either Send returns an error or there is one outcome, whatever the transport
// does: it delivers, fails, reports twice, late, or never.
func TestAsync_everyAcceptedMessageHasExactlyOneOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		callbacks, results := map[any]int{}, map[any]int{}
		count := func(m map[any]int, msg *sarama.ProducerMessage) {
			mu.Lock()
			m[msg.Metadata]++
			mu.Unlock()
		}
		p, f := openAsync(t,
			WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) { count(callbacks, msg) }),
			WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, _ error) { count(callbacks, msg) }),
			WithCallbackWorkers(3), WithMaxBuffered(200), WithMaxBlock(30*time.Second),
			WithDeliveryTimeout(2*time.Second), WithUnknownTopicTimeout(time.Second),
			WithSaramaConfig(func(c *sarama.Config) { c.ChannelBufferSize = 16 }))
		broken := errors.New("no")
		var c cluster
		f.answers = c.ask
		for topic, err := range map[string]error{"unknown": lane.ErrUnknown, "silent": lane.ErrNoAnswer} {
			c.say(topic, err)
		}
		f.submit = func(r *record.Record) {
			n := r.Msg.Metadata.(int) //nolint:errcheck,forcetypeassert // set below
			go func() {
				switch n % 7 {
				case 0: // never
				case 1:
					f.deliver(r)
					f.fail(r, broken)
				case 2:
					f.batch(r)
					time.AfterFunc(3*time.Second, func() { f.deliver(r) })
				case 3:
					f.fail(r, broken)
					f.fail(r, broken)
				case 4:
					time.AfterFunc(2*time.Second, func() { f.deliver(r) })
				default:
					f.deliver(r)
				}
			}()
		}
		topics := []string{"a", "b", "unknown", "c", "silent"}
		accepted := map[any]bool{}
		var senders sync.WaitGroup
		for g := range 8 {
			senders.Go(func() {
				for i := range 150 {
					msg := text(topics[i%len(topics)], "v")
					msg.Metadata = g*1000 + i
					err := p.SendFunc(t.Context(), msg,
						func(_ context.Context, msg *sarama.ProducerMessage, _ error) { count(results, msg) })
					mu.Lock()
					if err == nil {
						accepted[msg.Metadata] = true
					}
					mu.Unlock()
				}
			})
		}
		senders.Wait()
		advance(10 * time.Second)
		s := p.Stats()
		requireBalanced(t, s)
		require.Zero(t, s.InFlight)
		require.EqualValues(t, len(accepted), s.Accepted)
		require.Greater(t, len(accepted), 500)
		require.Len(t, callbacks, len(accepted))
		require.Len(t, results, len(accepted))
		for n := range accepted {
			require.Equal(t, 1, callbacks[n], "message %v", n)
			require.Equal(t, 1, results[n], "message %v", n)
		}
	})
}
