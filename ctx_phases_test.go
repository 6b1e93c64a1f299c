package producer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/lane"
	"github.com/saramakit/producer/internal/record"
)

// ctxPhase is where a message is when the ctx of its Send ends.
type ctxPhase struct {
	name string
	opts Options
	// before brings the producer into a state in which a message gets that far.
	before func(t *testing.T, p subject, f *fake)
	// encode is called by the Encoder of the value.
	encode func(cancel func())
	// reach brings the message the rest of the way.
	reach func(t *testing.T, f *fake)

	silent  bool // nobody says whether the topic exists
	refused bool // nothing is accepted
	batched bool // its bytes may have left
}

// oneInside lets one record of a topic into the transport, others queue up.
var oneInside = WithSaramaConfig(func(c *sarama.Config) { c.ChannelBufferSize = 1 }) //nolint:gochecknoglobals // a constant

func ctxPhases() []ctxPhase {
	first := func(t *testing.T, p subject, _ *fake) { t.Helper(); beginSend(t, p, tagged("t", "first")) }
	return []ctxPhase{
		{name: "waitsForRoomInItsTopic", opts: Options{WithMaxBufferedPerTopic(1)}, before: first, refused: true},
		{name: "waitsForRoom", opts: Options{WithMaxBuffered(1)}, before: first, refused: true},
		// It was alive when Send looked, and what follows does not wait.
		{name: "inItsEncoder", encode: func(cancel func()) { cancel() }},
		{name: "parkedForItsTopic", silent: true},
		{name: "queuedBehindItsTopic", opts: Options{oneInside}, before: first},
		{name: "inSaramaBeforeTheBatch", reach: func(t *testing.T, f *fake) { t.Helper(); f.first(t) }},
		{name: "onTheWire", batched: true, reach: func(t *testing.T, f *fake) {
			t.Helper()
			require.True(t, f.batch(f.first(t)))
		}},
		{name: "inARetry", batched: true, reach: func(t *testing.T, f *fake) {
			t.Helper()
			require.True(t, f.batch(f.first(t)))
			require.True(t, f.batch(f.first(t)))
		}},
	}
}

// Whatever the phase: Send returns at once and says what is true, there is one
// outcome or nothing was accepted, what was called not persisted is refused from
// then on, and all room comes back.
func TestSend_whoseCtxEndsInAnyPhaseSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	for _, c := range ctxPhases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				var told reports
				p, f := open(told.options(), c.opts)
				var asked cluster
				f.answers = asked.ask
				if c.silent {
					asked.say("t", lane.ErrNoAnswer)
				}
				if c.before != nil {
					c.before(t, p, f)
				}
				cause := errors.New("the request is gone")
				ctx, cancel := context.WithCancelCause(t.Context())
				end := func() { cancel(cause) }
				msg := tagged("t", "m")
				if c.encode != nil {
					msg.Value = encoder(func() ([]byte, error) { c.encode(end); return []byte("m"), nil })
				}
				send := begin(t, func() error { return p.Send(ctx, msg) })
				if c.reach != nil {
					c.reach(t, f)
				}
				end()
				err := send.result()
				c.check(t, p, f, err, cause)

				// Everything that is left is delivered, if it lets itself.
				asked.say("t", nil)
				f.deliverAll()
				require.NoError(t, p.Flush(t.Context()))
				synctest.Wait()
				outcomes := 0
				for _, r := range told.all() {
					if r.msg.Metadata == "m" {
						outcomes++
						c.checkOutcome(t, p, r.err, err)
					}
				}
				require.Equal(t, !c.refused, outcomes == 1, "%d outcomes", outcomes)
				s := p.Stats()
				requireBalanced(t, s)
				require.Zero(t, s.InFlight+s.Held+s.Late+s.Buffered+s.BufferedBytes+s.Waiting, "%+v", s)
			})
		})
	}
}

// deliverAll delivers what is held, and what comes from now on.
func (f *fake) deliverAll() {
	f.mu.Lock()
	f.auto = true
	f.mu.Unlock()
	for _, r := range f.holding() {
		f.deliver(r)
	}
}

// check looks at what Send returned.
func (c *ctxPhase) check(t *testing.T, p subject, f *fake, err, cause error) {
	t.Helper()
	if _, async := p.(*Async); async && !c.refused {
		require.NoError(t, err, "ctx bounds the call only")
		return
	}
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	if c.refused {
		require.ErrorIs(t, err, ErrBufferFull)
		require.False(t, MayHaveBeenWritten(err))
		return
	}
	failure := failureOf(t, err)
	require.Equal(t, c.batched, failure.Pending)
	require.Equal(t, c.batched, failure.Status == PossiblyPersisted)
	require.Equal(t, c.batched, failure.Attempts > 0)
	for _, r := range f.holding() {
		if r.Msg.Metadata == "m" {
			require.Equal(t, c.batched, f.batch(r), "what was called not persisted is not sent any more")
		}
	}
}

// checkOutcome looks at what the callback was told after that.
func (c *ctxPhase) checkOutcome(t *testing.T, p subject, outcome, returned error) {
	t.Helper()
	if _, async := p.(*Async); async || c.batched {
		require.NoError(t, outcome, "it was delivered in the end")
		return
	}
	require.Equal(t, returned, outcome, "withdrawn is final")
}

// The outcome and the end of ctx come at the same time. If the outcome was there
// first, Send returns it; kafka-go had a select that returned either.
func TestSync_Send_anOutcomeThatWasThereFirstAlwaysWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rounds = 10_000
		p, f := openSync(t, WithTopics("t"))
		batched := make(chan *record.Record, 1)
		f.submit = func(r *record.Record) { f.batch(r); batched <- r }
		for i := range rounds {
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- p.Send(ctx, text("t", "v")) }()
			r := <-batched
			if i%2 == 0 {
				f.deliver(r)
				cancel()
				require.NoError(t, <-result)
				continue
			}
			cancel()
			waits := i%100 == 1 // long enough for Send to be gone
			if waits {
				synctest.Wait()
			}
			f.deliver(r)
			if err := <-result; err != nil || waits {
				require.True(t, failureOf(t, err).Pending)
			}
		}
		synctest.Wait()
		require.Equal(t, Stats{Accepted: rounds, Delivered: rounds}, p.Stats())
	})
}
