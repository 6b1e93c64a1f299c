package transport

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// bare returns a transport that has no producer: enough for what waits and asks.
func bare(cfg *Config) *Transport {
	if cfg.Sarama == nil {
		cfg.Sarama = sarama.NewConfig()
	}
	if cfg.Home == nil {
		cfg.Home = &record.Home{}
	}
	t := &Transport{cfg: *cfg, drained: make(chan struct{}), ended: make(chan struct{})}
	t.aborted, t.abort = context.WithCancel(context.Background())
	return t
}

func TestBackoff_waitsGrowFromMinToMaxAndNeverOverflow(t *testing.T) {
	t.Parallel()
	b := Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	for n := 1; n <= 2000; n++ {
		want := b.Max
		if n <= 4 {
			want = min(b.Max, b.Min<<(n-1))
		}
		got := b.wait(n)
		require.LessOrEqual(t, got, want, "wait %d", n)
		require.GreaterOrEqual(t, float64(got), float64(want)*(1-jitter)-1, "wait %d", n)
	}
}

func TestBackoff_retriesCoverTheDeliveryTimeout(t *testing.T) {
	t.Parallel()
	for _, b := range []Backoff{
		{100 * time.Millisecond, time.Second},
		{time.Millisecond, 10 * time.Millisecond}, // more than sarama can retry, so stretched
		{time.Second, time.Second},
		{time.Minute, time.Hour},
	} {
		for _, timeout := range []time.Duration{time.Second, 2 * time.Minute, time.Hour} {
			retries := b.Retries(timeout)
			require.LessOrEqual(t, retries, MaxRetries)
			var sum time.Duration
			for n := 1; n <= retries; n++ {
				sum += b.stretched(n, timeout)
			}
			require.GreaterOrEqual(t, sum, timeout, "%v over %v", b, timeout)
		}
	}
}

func TestBackoff_theFirstRetriesAreNotStretched(t *testing.T) {
	t.Parallel()
	b := Backoff{time.Millisecond, 10 * time.Millisecond}
	require.LessOrEqual(t, b.stretched(3, time.Hour), 4*time.Millisecond)
}

func TestBackoff_theFunctionsWaitThemselvesAndAnAbortEndsThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := bare(&Config{Backoff: Backoff{time.Second, time.Second}, DeliveryTimeout: time.Minute})
		tr.setBackoffs()
		retry := tr.cfg.Sarama.Producer.Retry.BackoffFunc
		began := time.Now()
		require.Zero(t, retry(1, 10))
		require.GreaterOrEqual(t, time.Since(began), 800*time.Millisecond)
		require.EqualValues(t, 1, tr.cfg.Home.Retries.Load())

		began = time.Now()
		require.Zero(t, retry(0, 10), "asked for messages that were never sent")
		require.Zero(t, time.Since(began))
		require.EqualValues(t, 1, tr.cfg.Home.Retries.Load())

		began = time.Now()
		time.AfterFunc(300*time.Millisecond, tr.Abort)
		require.Zero(t, retry(1, 10))
		require.Equal(t, 300*time.Millisecond, time.Since(began))
		require.Zero(t, retry(1, 10))
		require.Zero(t, tr.cfg.Sarama.Producer.Transaction.Retry.BackoffFunc(0, 50))
		require.Equal(t, 300*time.Millisecond, time.Since(began), "after an abort nothing waits")
	})
}

func TestBackoff_aUsersFunctionsAreKeptAndMadeAbortable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conf := sarama.NewConfig()
		hours := func(n, _ int) time.Duration { return time.Duration(1+n) * time.Hour }
		conf.Producer.Retry.BackoffFunc, conf.Metadata.Retry.BackoffFunc = hours, hours
		tr := bare(&Config{Sarama: conf})
		tr.setBackoffs()

		began := time.Now()
		require.Zero(t, conf.Producer.Retry.BackoffFunc(1, 3))
		require.Equal(t, 2*time.Hour, time.Since(began))

		began = time.Now()
		require.True(t, tr.wait(tr.askWait(1)))
		require.Equal(t, time.Hour, time.Since(began))

		time.AfterFunc(time.Second, tr.Abort)
		began = time.Now()
		require.False(t, tr.wait(tr.askWait(1)))
		require.Equal(t, time.Second, time.Since(began))
	})
}
