package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

func TestSync_Send_returnsWhenTheMessageIsStoredAndTellsWhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t)
		f.offset = 41
		stored := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC) // the broker's time
		msg := text("t", "v")
		send := beginSend(t, p, msg)
		r := f.first(t)
		require.True(t, f.batch(r))
		send.requireWaits()
		advance(time.Minute)
		send.requireWaits()
		r.Msg.Timestamp = stored
		f.deliver(r)
		require.NoError(t, send.result())
		require.EqualValues(t, 3, msg.Partition)
		require.EqualValues(t, 41, msg.Offset)
		require.Equal(t, stored, msg.Timestamp)
		require.Equal(t, text("t", "v").Value, msg.Value)
		require.Nil(t, msg.Metadata)
	})
}

func TestSync_Send_withdrawsAMessageThatIsNotInABatchWhenCtxEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reports
		p, f := openSync(t, told.options())
		cause := errors.New("request is gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		msg := text("t", "v")
		before := *msg
		send := begin(t, func() error { return p.Send(ctx, msg) })
		r := f.first(t)
		send.requireWaits()

		cancel(cause)
		err := send.result()
		failure := failureOf(t, err)
		require.Equal(t, NotPersisted, failure.Status)
		require.False(t, failure.Pending, "it is final")
		require.Zero(t, failure.Attempts)
		require.EqualValues(t, -1, failure.Partition)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		require.False(t, MayHaveBeenWritten(err))
		require.False(t, f.batch(r), "it would be sent after it was reported as not persisted")
		require.Len(t, told.all(), 1)
		require.Equal(t, err, told.all()[0].err)
		require.Equal(t, before, *msg)

		s := p.Stats()
		requireBalanced(t, s)
		require.EqualValues(t, 1, s.Failed)
		require.EqualValues(t, 1, s.Held)
		f.deliver(r) // it refuses
		require.Zero(t, p.Stats().Held)
		require.Zero(t, p.Stats().Late)
		require.Zero(t, p.Stats().Buffered)
		require.Len(t, told.all(), 1)
	})
}

func TestSync_Send_withdrawsAQueuedMessageWhenCtxEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t, WithSaramaConfig(func(c *sarama.Config) { c.ChannelBufferSize = 1 }))
		inside := beginSend(t, p, tagged("t", "inside"))
		ctx, cancel := context.WithCancel(t.Context())
		queued := begin(t, func() error { return p.Send(ctx, tagged("t", "queued")) })
		next := beginSend(t, p, tagged("t", "next"))
		cancel()
		require.Equal(t, NotPersisted, failureOf(t, queued.result()).Status)
		require.Zero(t, p.Stats().Held)
		require.EqualValues(t, 2, p.Stats().Buffered)
		f.deliver(f.first(t))
		require.NoError(t, inside.result())
		f.deliver(f.first(t))
		require.NoError(t, next.result())
		require.Equal(t, []string{"inside", "next"}, tagsOf(f.submitted()))
	})
}

func TestSync_Send_leavesAMessageThatIsInABatchPendingWhenCtxEnds(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]error{"delivered": nil, "failed": sarama.ErrNotLeaderForPartition} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var told reports
				p, f := openSync(t, told.options())
				cause := errors.New("request is gone")
				ctx, cancel := context.WithCancelCause(t.Context())
				msg := text("t", "v")
				before := *msg
				send := begin(t, func() error { return p.Send(ctx, msg) })
				r := f.first(t)
				require.True(t, f.batch(r))
				advance(time.Second)

				cancel(cause)
				err := send.result()
				failure := failureOf(t, err)
				require.True(t, failure.Pending)
				require.Equal(t, PossiblyPersisted, failure.Status)
				require.Equal(t, 1, failure.Attempts)
				require.EqualValues(t, 3, failure.Partition)
				require.Equal(t, time.Second, failure.Elapsed)
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, cause)
				require.True(t, MayHaveBeenWritten(err))
				require.Empty(t, told.all(), "the outcome is still open")
				require.EqualValues(t, 1, p.Stats().InFlight)
				require.True(t, f.batch(r), "a retry may go on")

				if outcome == nil {
					f.deliver(r)
				} else {
					f.fail(r, outcome)
				}
				require.Len(t, told.all(), 1)
				require.ErrorIs(t, told.all()[0].err, outcome)
				require.Equal(t, before, *msg, "the call is over: its message is the caller's again")
				s := p.Stats()
				requireBalanced(t, s)
				require.Zero(t, s.InFlight)
				require.Equal(t, outcome == nil, s.Delivered == 1)
				require.Zero(t, s.Late, "it had not been reported as failed for good")
			})
		})
	}
}

func TestSync_Send_whosePendingMessageFailsWithNobodyToTellIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p, f := openSync(t, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		ctx, cancel := context.WithCancel(t.Context())
		send := begin(t, func() error { return p.Send(ctx, text("t", canary)) })
		r := f.first(t)
		require.True(t, f.batch(r))
		cancel()
		require.True(t, failureOf(t, send.result()).Pending)
		require.Empty(t, log.String())
		f.fail(r, sarama.ErrNotLeaderForPartition)
		synctest.Wait()
		require.Contains(t, log.String(), "possibly persisted")
		require.NotContains(t, log.String(), canary)

		send = beginSend(t, p, text("t", "v"))
		f.fail(f.first(t), sarama.ErrNotLeaderForPartition)
		require.Error(t, send.result())
		advance(time.Minute)
		require.Equal(t, 1, strings.Count(log.String(), "level=ERROR"), "what Send returns is no error")
	})
}

// The outcome and the end of ctx are both there when Send looks.
func TestSync_Send_returnsTheOutcomeThatIsThereWhenCtxEnds(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]error{"delivered": nil, "failed": sarama.ErrNotLeaderForPartition} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, f := openSync(t, WithTopics("t"))
				var cancel context.CancelFunc
				f.submit = func(r *record.Record) {
					if outcome == nil {
						f.deliver(r)
					} else {
						f.fail(r, outcome)
					}
					cancel()
				}
				for range 3000 {
					ctx, end := context.WithCancel(t.Context())
					cancel = end
					msg := text("t", "v")
					err := p.Send(ctx, msg)
					require.Error(t, ctx.Err())
					if outcome == nil {
						require.NoError(t, err)
						require.EqualValues(t, 3, msg.Partition)
					} else {
						require.ErrorIs(t, err, outcome)
						require.NotErrorIs(t, err, context.Canceled)
					}
					end()
				}
			})
		})
	}
}

// The end of ctx, the batching and the delivery happen at the same time: what
// Send says and what the transport was given never disagree.
func TestSync_Send_saysNotPersistedOnlyOfWhatWasNeverBatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t, WithTopics("t"))
		withdrawn, pending, delivered := 0, 0, 0
		for i := range 3000 {
			ctx, cancel := context.WithCancel(t.Context())
			send := begin(t, func() error { return p.Send(ctx, text("t", "v")) })
			r := f.first(t)
			var batched bool
			batch := func() {
				batched = f.batch(r)
				if batched && i%2 == 0 {
					f.deliver(r)
				}
			}
			switch i % 10 {
			case 0, 1: // one after the other, so that each outcome is seen
				batch()
				cancel()
			case 2:
				cancel()
				synctest.Wait()
				batch()
			default:
				var both sync.WaitGroup
				both.Go(cancel)
				both.Go(batch)
				both.Wait()
			}
			err := send.result()
			var failure *DeliveryError
			switch {
			case err == nil:
				delivered++
				require.True(t, batched)
			case errors.As(err, &failure) && failure.Pending:
				pending++
				require.True(t, batched)
				require.Equal(t, PossiblyPersisted, failure.Status)
			default:
				withdrawn++
				require.False(t, batched)
				require.Equal(t, NotPersisted, failureOf(t, err).Status)
			}
			if i%2 == 1 || !batched {
				f.deliver(r)
			}
			s := p.Stats()
			requireBalanced(t, s)
			require.Zero(t, s.InFlight)
			require.Zero(t, s.Buffered)
			require.Zero(t, s.Held)
		}
		require.Positive(t, withdrawn)
		require.Positive(t, pending)
		require.Positive(t, delivered)
	})
}

func TestSync_Send_doesNotWaitForCallbacks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		p, f := openSync(t, WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { <-hold }))
		f.auto = true
		began := time.Now()
		for range 100 {
			require.NoError(t, p.Send(t.Context(), text("t", "v")))
		}
		require.Zero(t, time.Since(began))
		require.EqualValues(t, 100, p.Stats().InFlight, "the callbacks have not returned")
		close(hold)
		synctest.Wait()
		require.Zero(t, p.Stats().InFlight)
	})
}

// Waiters are re-used: an outcome that comes after its Send has gone must not
// reach the next one.
func TestSync_Send_getsItsOwnOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t)
		for range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			gone := begin(t, func() error { return p.Send(ctx, text("t", "gone")) })
			r := f.first(t)
			require.True(t, f.batch(r))
			cancel()
			require.True(t, failureOf(t, gone.result()).Pending)
			next := beginSend(t, p, text("t", "next"))
			f.fail(r, sarama.ErrNotLeaderForPartition)
			next.requireWaits()
			f.deliver(f.first(t))
			require.NoError(t, next.result())
		}
	})
}

func TestSync_Send_getsItsOwnOutcomeAmongMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t, WithTopics("t"))
		f.submit = func(r *record.Record) {
			// From another goroutine, as the transport does, and each its own.
			go func() {
				if n := r.Msg.Metadata.(int); n%3 == 0 { //nolint:errcheck,forcetypeassert // set below
					f.fail(r, fmt.Errorf("failure %d", n)) //nolint:err113 // its text is the point
					return
				}
				f.deliver(r)
			}()
		}
		var senders sync.WaitGroup
		var mu sync.Mutex
		offsets := map[int64]bool{}
		wrong := 0
		for g := range 8 {
			senders.Go(func() {
				for i := range 200 {
					n := g*1000 + i
					msg := text("t", "v")
					msg.Metadata, msg.Offset = n, -7
					err := p.Send(t.Context(), msg)
					mu.Lock()
					switch {
					case n%3 == 0 && (err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf(" failure %d", n)) || msg.Offset != -7),
						n%3 != 0 && (err != nil || offsets[msg.Offset]):
						wrong++
					}
					if err == nil {
						offsets[msg.Offset] = true
					}
					mu.Unlock()
				}
			})
		}
		senders.Wait()
		require.Zero(t, wrong)
		require.Len(t, offsets, int(p.Stats().Delivered))
	})
}
