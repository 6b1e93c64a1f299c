package producer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/lane"
	"github.com/saramakit/producer/internal/record"
)

// storm is one producer that is closed at a random moment of a random load.
type storm struct {
	t   *testing.T
	rnd *rand.Rand
	p   subject
	f   *fake

	mu       sync.Mutex
	accepted map[any]bool
	told     map[any]int
	aborted  int
	release  chan struct{} // of stuck callbacks
}

// stormRounds is how often each kind of producer is closed. envSeed runs one of
// them again.
const (
	stormRounds = 700
	envSeed     = "PRODUCER_SEED"
)

// Whatever the transport, the topics, the callbacks, the buffer and the other
// calls do, Close is in time, and each message that was accepted has one outcome.
func TestClose_atAnyMomentOfAnyLoadIsInTimeAndAccountsForEveryMessage(t *testing.T) {
	t.Parallel()
	first, rounds := rand.Uint64(), uint64(stormRounds)
	if text := os.Getenv(envSeed); text != "" {
		var err error
		first, err = strconv.ParseUint(text, 0, 64)
		require.NoError(t, err)
		rounds = 1
	}
	implementations(t, func(t *testing.T, open func(*testing.T, ...Option) (Producer, *fake)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			for seed := first; seed != first+rounds && !t.Failed(); seed++ {
				storms(t, seed, open)
			}
		})
	})
}

func storms(t *testing.T, seed uint64, open func(*testing.T, ...Option) (Producer, *fake)) {
	t.Helper()
	// Also if it ends the goroutine.
	defer func() {
		if t.Failed() {
			t.Logf("again with %s=%#x", envSeed, seed)
		}
	}()
	s := &storm{
		t: t, rnd: seeded(seed),
		accepted: map[any]bool{}, told: map[any]int{}, release: make(chan struct{}),
	}
	s.run(open)
}

// seeded is chance that can be repeated.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func (s *storm) millis(most int) time.Duration {
	return time.Duration(s.rnd.IntN(most)) * time.Millisecond
}

func (s *storm) run(open func(*testing.T, ...Option) (Producer, *fake)) {
	stuckCallback := s.rnd.IntN(6) == 0
	p, f := open(s.t, s.callbacks(stuckCallback), WithMaxBuffered([]int{1, 3, 1000}[s.rnd.IntN(3)]),
		WithMaxBlock(50*time.Millisecond), WithDeliveryTimeout(40*time.Millisecond+s.millis(200)),
		WithUnknownTopicTimeout(30*time.Millisecond), WithCloseTimeout(150*time.Millisecond),
		WithSaramaConfig(func(c *sarama.Config) { c.ChannelBufferSize = []int{1, 8192}[s.rnd.IntN(2)] }),
		WithLinger(0))
	s.p, s.f = p.(subject), f //nolint:errcheck,forcetypeassert // both are
	s.transport()

	var all sync.WaitGroup
	for range 1 + s.rnd.IntN(4) {
		n, pause := 1+s.rnd.IntN(6), s.millis(10)
		all.Go(func() { s.send(n, pause) })
	}
	if s.rnd.IntN(2) == 0 {
		all.Go(func() { _ = s.p.Flush(within(s.t, time.Second)) })
	}
	<-time.After(s.millis(60))
	var errs []error
	for range 1 + s.rnd.IntN(3) {
		limit := []time.Duration{0, s.millis(100), s.millis(300), time.Hour}[s.rnd.IntN(4)]
		all.Go(func() { s.close(limit, &errs) })
	}
	all.Wait()
	s.settle(stuckCallback, errs)
}

// callbacks are quick, slow, or do not return.
func (s *storm) callbacks(stuck bool) Option {
	slow := s.millis(5) * time.Duration(s.rnd.IntN(2))
	tell := func(msg *sarama.ProducerMessage, err error) {
		s.mu.Lock()
		s.told[msg.Metadata]++
		if errors.Is(err, ErrAborted) {
			s.aborted++
		}
		n := len(s.told)
		s.mu.Unlock()
		switch {
		case stuck:
			<-s.release
		case n%7 == 0:
			runtime.Goexit()
		case slow > 0:
			<-time.After(slow)
		}
	}
	return Options{
		WithCallbackWorkers(1 + s.rnd.IntN(2)), WithSlowCallback(time.Hour),
		WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) { tell(msg, nil) }),
		WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, err error) { tell(msg, err) }),
	}
}

// transport is one that works, that is slow, fails, holds on, reports twice, or
// does all of it.
func (s *storm) transport() {
	s.f.stuck = s.rnd.IntN(3) == 0
	kind, delay := s.rnd.IntN(7), s.millis(50)
	var mu sync.Mutex
	rnd := seeded(s.rnd.Uint64())
	s.f.submit = func(r *record.Record) {
		mu.Lock()
		k := kind
		if k == 6 {
			k = rnd.IntN(6)
		}
		mu.Unlock()
		later := func(decide func()) {
			time.AfterFunc(delay, func() {
				if s.take(r) {
					decide()
				}
			})
		}
		switch k {
		case 0:
			s.f.deliver(r)
		case 1:
			later(func() { s.f.deliver(r) })
		case 2:
			later(func() { s.f.fail(r, sarama.ErrRequestTimedOut) })
		case 3:
			s.f.batch(r)
		case 4:
			later(func() { s.f.deliver(r); s.f.fail(r, sarama.ErrOutOfBrokers) })
		}
	}
	answer := []error{nil, nil, lane.ErrUnknown, lane.ErrNoAnswer}[s.rnd.IntN(4)]
	s.f.answers = func(string) error { return answer }
}

// take makes a record that is held the caller's alone, as in sarama: the fake
// gives back what it holds when it is closed.
func (s *storm) take(r *record.Record) bool {
	f := s.f
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.held, r)
	if i < 0 || f.closing && !f.stuck {
		return false
	}
	f.held = slices.Delete(f.held, i, i+1)
	return true
}

func (s *storm) send(n int, pause time.Duration) {
	for range n {
		msg := text("t", "v")
		msg.Metadata = new(int)
		ctx, cancel := context.WithTimeout(s.t.Context(), 500*time.Millisecond)
		err := s.p.Send(ctx, msg)
		cancel()
		if _, accepted := errors.AsType[*DeliveryError](err); err == nil || accepted {
			s.mu.Lock()
			s.accepted[msg.Metadata] = true
			s.mu.Unlock()
		}
		if pause > 0 {
			// Not of 0: under the race detector Go 1.26 crashes where several
			// goroutines of a bubble receive from timers that have expired already.
			<-time.After(pause)
		}
	}
}

func (s *storm) close(limit time.Duration, errs *[]error) {
	ctx, bound := s.t.Context(), 150*time.Millisecond // CloseTimeout
	if limit < time.Hour {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
		bound = limit
	}
	began := time.Now()
	err := s.p.Close(ctx)
	if took := time.Since(began); took > bound+abortGrace {
		s.t.Errorf("Close took %v, its bound is %v", took, bound)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	*errs = append(*errs, err)
}

// settle judges when all calls have returned.
func (s *storm) settle(stuckCallback bool, errs []error) {
	for _, err := range errs {
		require.Equal(s.t, errs[0], err, "one shutdown, one result")
	}
	synctest.Wait()
	if stuckCallback {
		close(s.release)
	}
	advance(time.Minute) // what comes back late, and callbacks that were held up
	for _, r := range s.f.holding() {
		s.f.deliver(r)
	}
	synctest.Wait()
	stats := s.p.Stats()
	requireBalanced(s.t, stats)
	require.EqualValues(s.t, len(s.accepted), stats.Accepted)
	require.Zero(s.t, stats.InFlight+stats.Held+stats.Buffered+stats.BufferedBytes+stats.Waiting, "%+v", stats)
	require.Len(s.t, s.told, len(s.accepted))
	for m, n := range s.told {
		require.Equal(s.t, 1, n)
		require.True(s.t, s.accepted[m])
	}
	if failure, ok := errors.AsType[*CloseError](errs[0]); ok {
		require.Equal(s.t, s.aborted, failure.Undelivered, fmt.Sprint(failure))
		return
	}
	require.NoError(s.t, errs[0])
	require.Zero(s.t, s.aborted)
}
