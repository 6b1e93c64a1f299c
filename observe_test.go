package producer

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// probed is a producer that can be probed.
type probed interface {
	Ready(ctx context.Context) error
	Ping(ctx context.Context) error
}

func TestStall_isNoticedLoggedAndCountedOnceAndSoIsItsEnd(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{}
		p, f := open(known, log.option(), WithStallTimeout(10*time.Second))
		probe := p.(probed) //nolint:errcheck,forcetypeassert // both are
		advance(5 * time.Second)
		beginSend(t, p, text("t", "v"))
		beginSend(t, p, text("t", "v"))
		advance(10*time.Second - 1)
		require.Zero(t, p.Stats().Stalls)
		require.NoError(t, probe.Ready(t.Context()))
		advance(1)
		require.True(t, p.Stats().Stalled)
		require.EqualValues(t, 1, p.Stats().Stalls)
		require.ErrorIs(t, probe.Ready(t.Context()), ErrStalled)
		require.NoError(t, probe.Ping(t.Context()))
		advance(30 * time.Second)
		require.EqualValues(t, 1, p.Stats().Stalls)
		warnings := log.lines(t, slog.LevelWarn)
		require.Len(t, warnings, 1)
		require.Contains(t, warnings[0]["msg"], "producer: stalled")
		require.EqualValues(t, 2, warnings[0]["in_flight"])
		require.EqualValues(t, 10*time.Second, warnings[0]["oldest"])
		require.EqualValues(t, 15*time.Second, warnings[0]["since_outcome"])

		f.deliver(f.first(t))
		advance(stallLooks)
		require.False(t, p.Stats().Stalled)
		require.NoError(t, probe.Ready(t.Context()))
		infos := log.lines(t, slog.LevelInfo)
		require.Equal(t, "producer: recovered", infos[0]["msg"])
		require.InDelta(t, 31*time.Second, infos[0]["stalled_for"], float64(time.Second))
		advance(10 * time.Second) // the other one
		require.EqualValues(t, 2, p.Stats().Stalls)
	})
}

func TestStall_isNoneWhileOutcomesComeOrNothingIsInFlight(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		release := make(chan struct{})
		defer close(release)
		p, f := open(known, WithStallTimeout(10*time.Second),
			WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { <-release }))
		beginSend(t, p, text("t", "stays"))
		for range 10 {
			beginSend(t, p, text("t", "v"))
			advance(6 * time.Second)
			f.deliver(f.holding()[1])
		}
		f.deliver(f.first(t))
		advance(time.Hour) // a callback that is stuck is none either
		require.Zero(t, p.Stats().Stalls)
	})
}

// What refuses because it was given up is no sign of life.
func TestStall_doesNotEndWithMessagesThatAreGivenUp(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known, WithDeliveryTimeout(20*time.Second))
		for range 30 {
			beginSend(t, p, text("t", "v"))
			advance(time.Second)
			for _, r := range f.holding() {
				if r.Completed() {
					f.fail(r, record.ErrRefused)
				}
			}
		}
		require.True(t, p.Stats().Stalled)
		require.EqualValues(t, 1, p.Stats().Stalls)
		advance(30 * time.Second)
		require.Zero(t, p.Stats().InFlight)
		require.False(t, p.Stats().Stalled, "nothing is left to wait for")
	})
}

func TestReady_failsWhenClosingAndWhenNoBrokerAnswers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(known)
		probe := p.(probed) //nolint:errcheck,forcetypeassert // both are
		away := errors.New("away")
		f.pings = func(context.Context) error { return away }
		require.ErrorIs(t, probe.Ready(t.Context()), away)
		require.ErrorIs(t, probe.Ping(t.Context()), away)
		why := errors.New("why")
		require.ErrorIs(t, probe.Ping(deadCtx(t, why)), why)
		f.pings = func(ctx context.Context) error { <-ctx.Done(); return away }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := probe.Ready(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, away)
		require.NoError(t, p.Close(t.Context()))
		require.ErrorIs(t, probe.Ready(t.Context()), ErrClosed)
		require.ErrorIs(t, probe.Ping(t.Context()), ErrClosed)
	})
	for _, probe := range []probed{new(Sync), new(Async), (*Sync)(nil), (*Async)(nil)} {
		require.ErrorIs(t, probe.Ready(t.Context()), ErrClosed)
		require.ErrorIs(t, probe.Ping(t.Context()), ErrClosed)
	}
}

func TestLog_saysWhatAProducerDoes(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{}
		p, f := open(known, log.option())
		beginSend(t, p, text("t", "v"))
		beginSend(t, p, text("t", "v"))
		f.fail(f.first(t), sarama.ErrMessageSizeTooLarge)
		synctest.Wait() // until it is counted
		closing := beginClose(t.Context(), t, p)
		f.deliver(f.first(t))
		require.NoError(t, closing.result())
		infos := log.lines(t, slog.LevelInfo)
		require.Len(t, infos, 2)
		require.Equal(t, "producer: closing", infos[0]["msg"])
		require.EqualValues(t, 1, infos[0]["in_flight"])
		require.Equal(t, "producer: closed", infos[1]["msg"])
		require.EqualValues(t, 1, infos[1]["delivered"])
		require.EqualValues(t, 1, infos[1]["failed"])
	})
}

func TestLog_anAbortIsLoggedBeforeCloseReturns(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{}
		p, f := open(known, log.option())
		f.stuck = true
		beginSend(t, p, text("t", "v"))
		beginSend(t, p, text("t", "v"))
		require.Error(t, p.Close(deadCtx(t, nil)))
		log.mu.Lock()
		written := log.buf.String()
		log.mu.Unlock()
		require.Contains(t, written, "producer: aborted")
		warnings := log.lines(t, slog.LevelWarn)
		require.Len(t, warnings, 1, "not one for each topic, too")
		require.EqualValues(t, 2, warnings[0]["undelivered"])
		require.EqualValues(t, 0, warnings[0]["callbacks_running"])
	})
}

func TestLog_failuresOfEachTopicAreLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{}
		var told reports
		p, f := open(WithTopics("a", "b"), log.option(), told.options())
		fail := func(topic string) {
			beginSend(t, p, text(topic, canary))
			f.fail(f.first(t), sarama.ErrNotEnoughReplicas)
		}
		for range 10 {
			fail("a")
			fail("b")
		}
		warnings := log.lines(t, slog.LevelWarn)
		require.Len(t, warnings, 2)
		for i, topic := range []string{"a", "b"} {
			require.Equal(t, "producer: messages of a topic fail", warnings[i]["msg"])
			require.Equal(t, topic, warnings[i]["topic"])
			require.EqualValues(t, 0, warnings[i]["failures_not_logged"])
		}
		advance(time.Minute)
		fail("a")
		warnings = log.lines(t, slog.LevelWarn)
		require.Len(t, warnings, 3)
		require.EqualValues(t, 9, warnings[2]["failures_not_logged"])
		require.NotContains(t, log.text(), canary)
	})
}

func TestLog_ofManyTopicsOnlySomeAreToldApart(t *testing.T) {
	t.Parallel()
	l := newLogger(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { <-l.Stop() })
	for i := range 3 * mostTopics {
		l.failing(&DeliveryError{Topic: string(rune('a' + i)), Err: ErrDeliveryTimeout})
	}
	require.Len(t, l.topics, mostTopics+1)
	require.EqualValues(t, 2*mostTopics-1, l.topics[""].held)
}

func TestLog_theEndOfACallersCtxIsNoFailureOfATopic(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{}
		p, _ := open(known, log.option())
		ctx, cancel := context.WithCancel(t.Context())
		begin(t, func() error { return p.Send(ctx, text("t", "v")) })
		cancel()
		advance(time.Second)
		require.Empty(t, log.lines(t, slog.LevelWarn))
	})
}
