package producer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/lane"
	"github.com/saramakit/producer/internal/transport"
)

// detailed is a producer with Details.
type detailed interface{ Details() Details }

// detailsOf waits until nothing moves.
func detailsOf(p any) Details {
	synctest.Wait()
	return p.(detailed).Details() //nolint:errcheck,forcetypeassert // all are
}

func TestDetails_countByTopicAndKind(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithTopics("a", "b"), WithDeliveryTimeout(time.Minute))
		for _, topic := range []string{"a", "b", "b", "b"} {
			beginSend(t, p, text(topic, "v"))
		}
		f.deliver(f.first(t))
		f.fail(f.first(t), sarama.ErrNotEnoughReplicas)
		f.fail(f.first(t), errors.New("odd"))
		require.Error(t, p.Send(t.Context(), text("", "v")))
		require.Error(t, p.Send(deadCtx(t, nil), text("a", "v")))
		d := detailsOf(p)
		require.Equal(t, p.Stats(), d.Stats)
		require.Equal(t, []TopicStats{
			{Topic: "a", Accepted: 1, Delivered: 1},
			{Topic: "b", Accepted: 3, Failed: 2, InFlight: 1, Failures: map[string]int64{"NOT_ENOUGH_REPLICAS": 1, "other": 1}},
		}, d.Topics)
		require.Equal(t, TopicStats{}, d.OtherTopics)
		require.Equal(t, map[string]int64{"NOT_ENOUGH_REPLICAS": 1, "other": 1}, d.Failures)
		require.Equal(t, map[string]int64{"invalid_message": 1, "canceled": 1}, d.Rejections)
		require.EqualValues(t, 100_000, d.MaxBuffered)
		require.EqualValues(t, 64<<20, d.MaxBufferedBytes)
	})
}

// Messages that nobody is told of are counted a whole answer at a time.
func TestDetails_oneAnswerMayBeOfManyTopics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openAsync(t, WithTopics("a", "b", "c"))
		topics := []string{"a", "a", "b", "a", "c", "c", "c"}
		for range 100 {
			for _, topic := range topics {
				require.NoError(t, p.Send(t.Context(), text(topic, "v")))
			}
		}
		f.first(t)
		var answer []transport.Outcome
		for _, r := range f.holding() {
			require.True(t, f.batch(r))
			answer = append(answer, transport.Outcome{Record: r})
		}
		f.c.returned(answer)
		require.Equal(t, []TopicStats{
			{Topic: "a", Accepted: 300, Delivered: 300}, {Topic: "b", Accepted: 100, Delivered: 100}, {Topic: "c", Accepted: 300, Delivered: 300},
		}, detailsOf(p).Topics)
		require.EqualValues(t, 700, p.Stats().Delivered)
	})
}

func TestDetails_topicsThatDoNotExistAreCountedTogether(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithUnknownTopicTimeout(time.Second))
		f.answers = func(topic string) error {
			if topic == "real" {
				return nil
			}
			return lane.ErrUnknown
		}
		for i := range 50 {
			beginSend(t, p, text(fmt.Sprintf("misspelt-%d", i), "v"))
		}
		beginSend(t, p, text("real", "v"))
		advance(0)
		d := detailsOf(p)
		require.Equal(t, []TopicStats{{Topic: "real", Accepted: 1, InFlight: 1}}, d.Topics)
		require.Equal(t, TopicStats{Accepted: 50, InFlight: 50}, d.OtherTopics)
		advance(2 * time.Second)
		f.deliver(f.first(t))
		d = detailsOf(p)
		require.Equal(t, []TopicStats{{Topic: "real", Accepted: 1, Delivered: 1}}, d.Topics)
		require.Equal(t, TopicStats{Accepted: 50, Failed: 50, Failures: map[string]int64{"unknown_topic": 50}}, d.OtherTopics)
	})
}

func TestDetails_aTopicThatIsDeletedIsCountedWithTheOthers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithTopics("t"), WithUnknownTopicTimeout(time.Second))
		beginSend(t, p, text("t", "v"))
		f.deliver(f.first(t))
		f.answers = func(string) error { return lane.ErrUnknown }
		f.c.lanes.Suspect("t")
		beginSend(t, p, text("t", "v"))
		require.Len(t, detailsOf(p).Topics, 1)
		advance(2 * time.Second)
		d := detailsOf(p)
		require.Empty(t, d.Topics)
		require.Equal(t, TopicStats{Accepted: 2, Delivered: 1, Failed: 1, Failures: map[string]int64{"unknown_topic": 1}}, d.OtherTopics)
	})
}

func TestDetails_latencyIsFromTheAcceptanceToTheAnswer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		release := make(chan struct{})
		p, f := open(known, WithMaxBuffered(10), WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { <-release }))
		defer close(release)
		require.Zero(t, detailsOf(p).Latency.Quantile(0.5))
		advance(time.Hour) // nothing is accepted yet
		for range 10 {
			beginSend(t, p, text("t", "v"))
		}
		advance(0)
		for range 9 {
			advance(time.Millisecond)
			f.deliver(f.first(t))
		}
		before := detailsOf(p).Latency
		advance(time.Minute)
		f.deliver(f.first(t))
		l := detailsOf(p).Latency
		require.EqualValues(t, 10, l.Count)
		require.Equal(t, 45*time.Millisecond+time.Minute+9*time.Millisecond, l.Sum)
		require.Equal(t, 5*time.Millisecond, l.Quantile(0.5))
		require.Equal(t, 9*time.Millisecond, l.Quantile(0.9))
		require.Equal(t, time.Millisecond, l.Quantile(0))
		require.InDelta(t, time.Minute, l.Quantile(1), float64(time.Minute)/8)
		added := l.Since(before)
		require.EqualValues(t, 1, added.Count)
		require.Equal(t, time.Minute+9*time.Millisecond, added.Sum)
		require.Equal(t, l.Quantile(1), added.Quantile(0))
		require.Equal(t, l, l.Since(Latency{}))
	})
}

func TestLatency_cumulativeEndsWithAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openAsync(t, known, WithDeliveryTimeout(24*time.Hour), WithLinger(0))
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		f.deliver(f.first(t))
		advance(time.Hour)
		f.deliver(f.first(t))
		var last time.Duration
		var counts []int64
		for bound, count := range p.Details().Latency.Cumulative() {
			require.Greater(t, bound, last)
			last = bound
			counts = append(counts, count)
		}
		require.EqualValues(t, math.MaxInt64, last)
		require.EqualValues(t, 1, counts[0])
		require.EqualValues(t, 1, counts[len(counts)-2])
		require.EqualValues(t, 2, counts[len(counts)-1])
		require.EqualValues(t, math.MaxInt64, p.Details().Latency.Quantile(1))
		for range (Latency{}).Cumulative() {
			break // an empty one can be walked, too, and left
		}
	})
}

func TestDetails_sayWhatTheProducerIsDoing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		release := make(chan struct{})
		start := time.Now()
		p, f := open(known, WithSlowCallback(time.Second),
			WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { <-release }))
		require.Zero(t, detailsOf(p).LastOutcome)
		beginSend(t, p, text("t", "v"))
		advance(time.Second)
		f.deliver(f.first(t))
		advance(2 * time.Second)
		d := detailsOf(p)
		require.Equal(t, StateRunning, d.State)
		require.Equal(t, start, d.Started)
		require.Equal(t, start.Add(time.Second), d.LastOutcome)
		require.Contains(t, d.SlowCallback, "sayWhatTheProducerIsDoing")
		closing := beginClose(t.Context(), t, p)
		require.Equal(t, StateClosing, detailsOf(p).State)
		close(release)
		require.NoError(t, closing.result())
		require.Equal(t, StateClosed, detailsOf(p).State)
	})
}

func TestDetails_ofTheZeroValueAreOfAClosedProducer(t *testing.T) {
	t.Parallel()
	for _, p := range []detailed{new(Sync), new(Async), (*Sync)(nil), (*Async)(nil)} {
		require.Equal(t, Details{State: StateClosed}, p.Details())
	}
}

func TestDetails_settingsAreThoseInForceAndHoldNoSecret(t *testing.T) {
	t.Parallel()
	cfg := asyncDefaults()
	Options{
		WithSaramaConfig(func(c *sarama.Config) {
			c.Net.SASL.Enable, c.Net.SASL.User, c.Net.SASL.Password = true, "user-"+canary, "password-"+canary
			c.Net.TLS.Enable, c.Net.TLS.Config = true, &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is what is shown
			c.Producer.Flush.Frequency = 7 * time.Millisecond
		}),
		WithOnError(func(context.Context, *sarama.ProducerMessage, error) {}),
		WithTopics("a", "b"), WithMaxBufferedPerTopic(5), WithClientID("me"),
	}.apply(cfg)
	conf, err := cfg.sarama(nil)
	require.NoError(t, err)
	settings := map[string]string{}
	for _, s := range cfg.describe(conf, []string{"k1:9092", "k2:9092"}) {
		settings[s.Name] = s.Value
		require.NotContains(t, s.Value, canary)
	}
	for name, want := range map[string]string{
		"Brokers": "k1:9092, k2:9092", "ClientID": "me", "SASL": "PLAIN", "TLS": "on, without verifying the brokers",
		"Acks": "all", "Linger": "7ms", "Topics": "a, b", "MaxBufferedPerTopic": "5", "OnSuccess": "none", "Compression": "snappy",
	} {
		require.Equal(t, want, settings[name], name)
	}
	require.Contains(t, settings["OnError"], "settingsAreThoseInForce")
	require.Len(t, settings, 25)
}
