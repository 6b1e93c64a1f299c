package e2e

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

func TestRandom_theSeedAloneMakesTheProgram(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		first, second := generate(seed), generate(seed)
		require.Equal(t, first.String(), second.String())
	}
	require.NotEqual(t, generate(1<<20).String(), generate(1<<21).String())
	require.NotEmpty(t, compose(0, 0, fromBytes(nil)).senders, "bytes that have run out make a program too")
}

func TestRandom_aRunThatMissesAStateIsVoid(t *testing.T) {
	t.Parallel()
	c := &campaign{seen: map[string]int{}}
	require.Equal(t, requiredStates(), c.missing())
	for _, state := range requiredStates() {
		c.seen[state] = 1
	}
	require.Empty(t, c.missing())
}

// mistake replaces calls of a producer, nil ones excepted.
type mistake struct {
	send    func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error
	trySend func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error
	flush   func(b *bad, ctx context.Context) error
	close   func(b *bad, ctx context.Context) error
	stats   func(b *bad) producer.Stats
}

// bad is a producer with a mistake.
type bad struct {
	subject
	mistake
	mu   sync.Mutex
	n    int                     // calls so far
	kept *sarama.ProducerMessage // to be sent behind another
}

// now is the moment of the mistake: every seventh call.
func (b *bad) now() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	return b.n%7 == 0
}

func (b *bad) Send(ctx context.Context, msg *sarama.ProducerMessage) error {
	if b.send != nil {
		return b.send(b, ctx, msg)
	}
	return b.subject.Send(ctx, msg)
}

func (b *bad) TrySend(ctx context.Context, msg *sarama.ProducerMessage) error {
	if b.trySend != nil {
		return b.trySend(b, ctx, msg)
	}
	return b.subject.TrySend(ctx, msg)
}

func (b *bad) Flush(ctx context.Context) error {
	if b.flush != nil {
		return b.flush(b, ctx)
	}
	return b.subject.Flush(ctx)
}

func (b *bad) Close(ctx context.Context) error {
	if b.close != nil {
		return b.close(b, ctx)
	}
	return b.subject.Close(ctx)
}

func (b *bad) Stats() producer.Stats {
	if b.stats != nil {
		return b.stats(b)
	}
	return b.subject.Stats()
}

// brokenPromise is a promise that is broken, and what has to be found.
type brokenPromise struct {
	mistake
	want []string
}

func mistakes() map[string]brokenPromise {
	return map[string]brokenPromise{
		"a message is accepted and dropped": {mistake{send: func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error {
			if ctx != nil && ctx.Err() == nil && msg != nil && b.now() {
				return nil
			}
			return b.subject.Send(ctx, msg)
		}}, []string{outcomes, kindBooks}},
		"a message is sent twice": {mistake{send: func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error {
			if b.now() {
				_ = b.subject.Send(ctx, msg)
			}
			return b.subject.Send(ctx, msg)
		}}, []string{outcomes, kindBooks}},
		"a message overtakes another": {mistake{send: func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error {
			b.mu.Lock()
			kept := b.kept
			b.kept = nil
			if kept == nil && msg != nil && ctx != nil && ctx.Err() == nil {
				b.kept = &sarama.ProducerMessage{
					Topic: msg.Topic, Key: copied(msg.Key), Value: copied(msg.Value),
					Headers: cloneHeaders(msg.Headers), Metadata: msg.Metadata, Partition: msg.Partition,
				}
				b.mu.Unlock()
				return nil
			}
			b.mu.Unlock()
			err := b.subject.Send(ctx, msg)
			if kept != nil {
				_ = b.subject.Send(ctx, kept)
			}
			return err
		}}, []string{reordered}},
		"the bytes are borrowed": {mistake{send: func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error {
			if msg != nil {
				if v, ok := msg.Value.(sarama.ByteEncoder); ok && len(v) > 0 && b.now() {
					v[len(v)/2]++
				}
			}
			return b.subject.Send(ctx, msg)
		}}, []string{altered}},
		"the message is written to": {mistake{send: func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error {
			err := b.subject.Send(ctx, msg)
			if msg != nil {
				msg.Offset = 0
			}
			return err
		}}, []string{altered}},
		"an error that nobody promised": {mistake{send: func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error {
			if b.now() {
				return errors.New("something else")
			}
			return b.subject.Send(ctx, msg)
		}}, []string{contradict}},
		"closed before Close": {mistake{send: func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error {
			if b.now() {
				return producer.ErrClosed
			}
			return b.subject.Send(ctx, msg)
		}}, []string{contradict}},
		"a ctx that is ignored": {mistake{send: func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error {
			if ctx == nil {
				return b.subject.Send(ctx, msg)
			}
			return b.subject.Send(context.WithoutCancel(ctx), msg)
		}}, []string{contradict}},
		"a TrySend that waits": {mistake{trySend: func(b *bad, ctx context.Context, msg *sarama.ProducerMessage) error {
			if b.now() {
				pause(leeway + 100*time.Millisecond)
			}
			return b.subject.TrySend(ctx, msg)
		}}, []string{kindLate}},
		"a Flush that does not wait": {mistake{flush: func(*bad, context.Context) error { return nil }}, []string{outcomes}},
		"a Flush that waits too long": {mistake{flush: func(b *bad, ctx context.Context) error {
			if ctx == nil || ctx.Value(tagKey{}) == nil {
				return b.subject.Flush(ctx)
			}
			pause(leeway + 100*time.Millisecond)
			return b.subject.Flush(ctx)
		}}, []string{kindLate}},
		"a Close that does not wait": {mistake{close: func(b *bad, ctx context.Context) error {
			if ctx == nil {
				ctx = context.Background()
			}
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			go func() {
				defer cancel()
				_ = b.subject.Close(closing)
			}()
			return nil
		}}, []string{outcomes}},
		"a Close that waits too long": {mistake{close: func(b *bad, ctx context.Context) error {
			err := b.subject.Close(ctx)
			pause(2 * afterCtx)
			return err
		}}, []string{kindLate}},
		"books that do not add up": {mistake{stats: func(b *bad) producer.Stats {
			s := b.subject.Stats()
			s.InFlight++
			return s
		}}, []string{kindBooks}},
		"a message that is counted too early": {mistake{stats: func(b *bad) producer.Stats {
			s := b.subject.Stats()
			s.Delivered, s.InFlight = s.Delivered+s.InFlight, 0
			return s
		}}, []string{kindBooks}},
		"room that is not given back": {mistake{stats: func(b *bad) producer.Stats {
			s := b.subject.Stats()
			s.Buffered++
			return s
		}}, []string{kindBooks, kindRoom}},
	}
}

func copied(e sarama.Encoder) sarama.Encoder {
	b, ok := e.(sarama.ByteEncoder)
	if !ok {
		return e
	}
	return slices.Clone(b)
}

// What the programs check must be able to fail, with each kind of mistake.
func TestRandom_aProducerThatBreaksAPromiseIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, broken := range mistakes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watch := watchStalls()
			t.Cleanup(watch.end)
			s := &stage{cluster: kafkatest.Start(t), stalls: watch}
			found := false
			for index := 0; !found && index < 100; index++ {
				p := generate(uint64(index))
				if !slices.Contains([]string{"mixed", "close", "contexts"}, p.theme) {
					continue
				}
				p.config.sync, p.config.idempotent, p.config.acks, p.config.callbacks = false, true, sarama.WaitForAll, toldAll
				p.faults, p.heals = nil, false // the mistake is enough, and other tests run beside this one
				p.react = reactions{percent: 20, kinds: []reaction{reBlock}}
				r := s.perform(t.Context(), p, func(p subject) subject { return &bad{subject: p, mistake: broken.mistake} })
				found = slices.ContainsFunc(r.found, func(v violation) bool { return slices.Contains(broken.want, v.Kind) })
			}
			require.True(t, found, "it was not found out")
		})
	}
}
