package livepage

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
)

func TestRates_areDifferencesOverTheTimeBetweenTwoReadings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := New(), &fake{}
		p.Add("a", f)
		f.deliver(1_000_000, time.Second) // of before: in no rate
		w := serve(t, p).watch(t)
		w.next()
		first := w.figures().Producers[0]
		require.Nil(t, first.LastSecond)
		require.Nil(t, first.LastSeconds)

		// Second n delivers n messages of n ms each, fails 2n and rejects 3n.
		for n := range int64(30) {
			f.deliver(n, time.Duration(n)*time.Millisecond)
			f.fail(2*n, "network")
			f.set(func(d *producer.Details) { d.Rejected += 3 * n })
			advance(time.Second)
			all := w.figures().Producers[0]

			require.InDelta(t, 1, all.LastSecond.Seconds, 1e-9)
			require.InDelta(t, n, all.LastSecond.Delivered, 1e-6)
			require.InDelta(t, 2*n, all.LastSecond.Failed, 1e-6)
			require.InDelta(t, 3*n, all.LastSecond.Rejected, 1e-6)
			require.InDelta(t, 3*n, all.LastSecond.Accepted, 1e-6)
			require.Equal(t, n, all.LastSecond.Latency.Count)

			seconds := min(n+1, 10)
			sum := int64(0)
			for i := n + 1 - seconds; i <= n; i++ {
				sum += i
			}
			require.InDelta(t, seconds, all.LastSeconds.Seconds, 1e-9)
			require.InDelta(t, float64(sum)/float64(seconds), all.LastSeconds.Delivered, 1e-6)
			require.Equal(t, sum, all.LastSeconds.Latency.Count)
			require.Equal(t, all.Delivered, all.Latency.Count)
			require.LessOrEqual(t, remembered(p), 12)
		}
	})
}

func TestLatency_isOfTheWindowAndOfAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := New(), &fake{}
		p.Add("a", f)
		f.deliver(900, 2*time.Second)
		w := serve(t, p).watch(t)
		w.next()
		w.figures()
		f.deliver(94, 10*time.Millisecond)
		f.deliver(4, 20*time.Millisecond)
		f.deliver(1, 50*time.Millisecond)
		f.deliver(1, 700*time.Millisecond)
		advance(time.Second)
		all := w.figures().Producers[0]
		second := all.LastSecond.Latency
		require.EqualValues(t, 100, second.Count)
		require.InDelta(t, 1.77, second.Sum, 1e-9)
		require.InDelta(t, 0.01, *second.P50, 0)
		require.InDelta(t, 0.02, *second.P95, 0)
		require.InDelta(t, 0.05, *second.P99, 0)
		require.InDelta(t, 0.7, *second.Max, 0)
		require.EqualValues(t, 1000, all.Latency.Count)
		require.InDelta(t, 2, *all.Latency.P50, 0)

		advance(time.Second)
		all = w.figures().Producers[0]
		require.Nil(t, all.LastSecond.Latency.P50, "none of nothing")
		require.InDelta(t, 0.05, *all.LastSeconds.Latency.P99, 0)

		f.deliver(1, time.Hour)
		advance(time.Second)
		require.Nil(t, w.figures().Producers[0].LastSecond.Latency.Max, "more than the last bucket")
	})
}

func TestJSON_hasRatesWhileSomebodyWatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := New(), &fake{}
		p.Add("a", f)
		serve(t, p).watch(t)
		advance(9500 * time.Millisecond)
		f.deliver(300, time.Millisecond)
		got := figures(t, get(t, p, "/json").Body.String()).Producers[0]
		require.EqualValues(t, 300, got.Delivered)
		// The reading before the last one is the one that is a second old, about.
		require.InDelta(t, 0.5, got.LastSecond.Seconds, 1e-9)
		require.InDelta(t, 600, got.LastSecond.Delivered, 1e-6)
		require.InDelta(t, 9.5, got.LastSeconds.Seconds, 1e-9)

		advance(400 * time.Millisecond)
		require.InDelta(t, 0.9, figures(t, get(t, p, "/json").Body.String()).Producers[0].LastSecond.Seconds, 1e-9)
		advance(200 * time.Millisecond)
		require.InDelta(t, 1.1, figures(t, get(t, p, "/json").Body.String()).Producers[0].LastSecond.Seconds, 1e-9)
	})
}

func TestTopics_areThoseWithMostInFlightAndTheSumOfTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := New(), &fake{}
		p.Add("a", f)
		f.set(func(d *producer.Details) {
			for i := range int64(300) {
				d.Topics = append(d.Topics, producer.TopicStats{
					Topic: fmt.Sprintf("t%03d", i), Accepted: 2*i + 3, Delivered: i, Failed: i, InFlight: 3, Failures: map[string]int64{"network": i},
				})
			}
			d.Topics[5].InFlight = 4
			d.OtherTopics.Delivered = 9
		})
		w := serve(t, p).watch(t)
		w.next()
		first := w.figures().Producers[0]
		require.Nil(t, first.Topics[0].DeliveredRate)
		f.set(func(d *producer.Details) {
			for i := range d.Topics {
				d.Topics[i].Delivered += 7
			}
			d.OtherTopics.Delivered = 14
		})
		advance(time.Second)
		got := w.figures().Producers[0]
		require.Len(t, got.Topics, 200)
		require.Equal(t, "t005", got.Topics[0].Topic)
		require.Equal(t, "t299", got.Topics[1].Topic)
		require.Equal(t, "t101", got.Topics[199].Topic)
		require.InDelta(t, 7, *got.Topics[0].DeliveredRate, 1e-9)
		require.Equal(t, map[string]int64{"network": 299}, got.Topics[1].Failures)

		// Those of t000 to t100, but for t005.
		sum := int64(100*101/2 - 5)
		require.Equal(t, 100, got.MoreTopics.Count)
		require.Equal(t, sum+700, got.MoreTopics.Delivered)
		require.Equal(t, sum, got.MoreTopics.Failed)
		require.Equal(t, 2*sum+300, got.MoreTopics.Accepted)
		require.EqualValues(t, 300, got.MoreTopics.InFlight)
		require.Equal(t, map[string]int64{"network": sum}, got.MoreTopics.Failures)
		require.InDelta(t, 700, *got.MoreTopics.DeliveredRate, 1e-9)
		require.InDelta(t, 5, *got.OtherTopics.DeliveredRate, 1e-9)

		// A topic that is deleted moves its figures: no rate is negative.
		f.set(func(d *producer.Details) { d.OtherTopics.Delivered = 0 })
		advance(time.Second)
		require.Zero(t, *w.figures().Producers[0].OtherTopics.DeliveredRate)
	})
}

func TestJudge_saysHowAProducerDoesAndWhy(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		name   string
		change func(since, now *producer.Details)
		want   status
		reason string
	}{
		{"nothing", func(_, _ *producer.Details) {}, healthy, ""},
		{"old figures", func(s, n *producer.Details) {
			n.Failed, n.Rejected, n.Late, n.CallbackPanics, n.SlowCallbacks, n.Stalls = 1, 2, 3, 4, 5, 6
			s.Stats = n.Stats
		}, healthy, ""},
		{"closed", func(_, n *producer.Details) { n.State = producer.StateClosed }, closed, ""},
		{
			"closed and sent to", func(_, n *producer.Details) {
				n.State, n.Rejected, n.Rejections = producer.StateClosed, 1, map[string]int64{"closed": 1}
			},
			attention, "1 send was rejected in the last 10 s, mostly closed",
		},
		{"closing", func(_, n *producer.Details) { n.State, n.InFlight = producer.StateClosing, 3 }, attention, "closing, with 3 in flight"},
		{
			"stalled", func(_, n *producer.Details) {
				n.Stalled, n.Stalls, n.LastOutcome, n.OldestInFlight = true, 1, now.Add(-9*time.Second), 9500*time.Millisecond
			},
			bad, "stalled: nothing has come of any message for 9 s",
		},
		{
			"stalled after a pause", func(_, n *producer.Details) {
				n.Stalled, n.LastOutcome, n.OldestInFlight = true, now.Add(-time.Hour), 8*time.Second
			},
			bad, "stalled: nothing has come of any message for 8 s",
		},
		{
			"stalled from the start", func(_, n *producer.Details) { n.Stalled, n.OldestInFlight = true, 7*time.Second },
			bad, "stalled: nothing has come of any message for 7 s",
		},
		{"a stall that is over", func(_, n *producer.Details) { n.Stalls = 1 }, attention, "was stalled in the last 10 s"},
		{
			"half fails", func(s, n *producer.Details) {
				s.Delivered, n.Delivered, n.Failed = 100, 105, 5
				s.Failures, n.Failures = map[string]int64{"other": 9}, map[string]int64{"other": 10, "network": 4}
			},
			bad, "5 messages failed in the last 10 s, mostly network",
		},
		{"less than half fails", func(_, n *producer.Details) {
			n.Delivered, n.Failed, n.Failures = 6, 1, map[string]int64{"aborted": 1}
		}, attention, "1 message failed in the last 10 s, mostly aborted"},
		{"wait", func(_, n *producer.Details) { n.Waiting = 1 }, attention, "1 send waits for room in the buffer"},
		{"nearly full", func(_, n *producer.Details) { n.Buffered, n.MaxBuffered = 80, 100 }, attention, "the buffer is 80 % full of messages"},
		{"not full", func(_, n *producer.Details) {
			n.Buffered, n.MaxBuffered, n.BufferedBytes, n.MaxBufferedBytes = 799, 1000, 799, 1000
		}, healthy, ""},
		{"full of bytes", func(_, n *producer.Details) { n.BufferedBytes, n.MaxBufferedBytes = 9, 9 }, attention, "the buffer is 100 % full of bytes"},
		{"old message", func(_, n *producer.Details) { n.OldestInFlight = 10 * time.Second }, attention, "a message is in flight for 10 s"},
		{"young message", func(_, n *producer.Details) { n.OldestInFlight = 9999 * time.Millisecond }, healthy, ""},
		{"panic", func(_, n *producer.Details) { n.CallbackPanics = 2 }, attention, "2 callbacks panicked in the last 10 s"},
		{"slow", func(_, n *producer.Details) { n.SlowCallbacks = 1 }, attention, "1 slow callback in the last 10 s"},
		{"late", func(_, n *producer.Details) { n.Late = 1 }, attention, "1 message was found stored in the last 10 s after being reported as failed"},
	} {
		before, after := &value{at: now.Add(-10 * time.Second)}, &value{at: now}
		before.State, after.State = producer.StateRunning, producer.StateRunning
		c.change(&before.Details, &after.Details)
		got, reasons := judge(after, &window{since: before, now: after})
		require.Equal(t, c.want, got, c.name)
		if c.reason == "" {
			require.Empty(t, reasons, c.name)
		} else {
			require.Equal(t, []string{c.reason}, reasons, c.name)
		}
	}
}

func TestJudge_theWorstReasonCounts(t *testing.T) {
	t.Parallel()
	now := &value{at: time.Now()}
	now.Stalled, now.Waiting = true, 2
	got, reasons := judge(now, nil)
	require.Equal(t, bad, got)
	require.Equal(t, []string{"stalled: nothing has come of any message for 0 s", "2 sends wait for room in the buffer"}, reasons)
}
