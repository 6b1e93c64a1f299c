package livepage

import (
	"math"
	"time"

	"github.com/saramakit/producer"
)

// What is served as JSON. The package says what each field is; a pointer that is
// nil becomes null.

type allJSON struct {
	Time      time.Time      `json:"time"`
	Producers []producerJSON `json:"producers"`
}

type producerJSON struct {
	Name    string         `json:"name"`
	Status  status         `json:"status"`
	Reasons []string       `json:"reasons"`
	State   producer.State `json:"state"`
	Stalled bool           `json:"stalled"`
	Stalls  int64          `json:"stalls"`

	Accepted  int64 `json:"accepted"`
	Delivered int64 `json:"delivered"`
	Failed    int64 `json:"failed"`
	InFlight  int64 `json:"in_flight"`
	Rejected  int64 `json:"rejected"`
	Late      int64 `json:"late"`
	Held      int64 `json:"held"`

	Buffered         int64   `json:"buffered"`
	MaxBuffered      int64   `json:"max_buffered"`
	BufferedBytes    int64   `json:"buffered_bytes"`
	MaxBufferedBytes int64   `json:"max_buffered_bytes"`
	Waiting          int64   `json:"waiting"`
	OldestInFlight   float64 `json:"oldest_in_flight_seconds"`

	CallbackPanics   int64  `json:"callback_panics"`
	SlowCallbacks    int64  `json:"slow_callbacks"`
	CallbacksRunning int64  `json:"callbacks_running"`
	SlowCallback     string `json:"slow_callback"`

	Started          time.Time  `json:"started"`
	Uptime           float64    `json:"uptime_seconds"`
	LastOutcome      *time.Time `json:"last_outcome"`
	SinceLastOutcome *float64   `json:"since_last_outcome_seconds"`

	Failures   map[string]int64 `json:"failures"`
	Rejections map[string]int64 `json:"rejections"`

	Latency     latencyJSON `json:"latency"`
	LastSecond  *windowJSON `json:"last_second"`
	LastSeconds *windowJSON `json:"last_10_seconds"`

	Topics      []topicJSON   `json:"topics"`
	MoreTopics  *moreJSON     `json:"more_topics"`
	OtherTopics figuresJSON   `json:"other_topics"`
	Settings    []settingJSON `json:"settings"`
}

type latencyJSON struct {
	Count int64    `json:"count"`
	Sum   float64  `json:"sum_seconds"`
	P50   *float64 `json:"p50_seconds"`
	P95   *float64 `json:"p95_seconds"`
	P99   *float64 `json:"p99_seconds"`
	Max   *float64 `json:"max_seconds"`
}

type windowJSON struct {
	Seconds   float64     `json:"seconds"`
	Accepted  float64     `json:"accepted_per_second"`
	Delivered float64     `json:"delivered_per_second"`
	Failed    float64     `json:"failed_per_second"`
	Rejected  float64     `json:"rejected_per_second"`
	Latency   latencyJSON `json:"latency"`
}

// figuresJSON are of one topic, or the sum of several.
type figuresJSON struct {
	Accepted      int64            `json:"accepted"`
	Delivered     int64            `json:"delivered"`
	Failed        int64            `json:"failed"`
	InFlight      int64            `json:"in_flight"`
	DeliveredRate *float64         `json:"delivered_per_second"`
	Failures      map[string]int64 `json:"failures"`
}

type topicJSON struct {
	Topic string `json:"topic"`
	figuresJSON
}

type moreJSON struct {
	Count int `json:"count"`
	figuresJSON
}

type settingJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func latencyOf(l producer.Latency) latencyJSON {
	quantile := func(q float64) *float64 {
		d := l.Quantile(q)
		if l.Count == 0 || d == math.MaxInt64 {
			return nil
		}
		return new(d.Seconds())
	}
	return latencyJSON{
		Count: l.Count, Sum: l.Sum.Seconds(),
		P50: quantile(0.5), P95: quantile(0.95), P99: quantile(0.99), Max: quantile(1),
	}
}

func windowOf(w *window) *windowJSON {
	if w == nil {
		return nil
	}
	since, now := w.since, w.now
	return &windowJSON{
		Seconds:   w.seconds(),
		Accepted:  w.rate(since.Accepted, now.Accepted),
		Delivered: w.rate(since.Delivered, now.Delivered),
		Failed:    w.rate(since.Failed, now.Failed),
		Rejected:  w.rate(since.Rejected, now.Rejected),
		Latency:   latencyOf(now.Latency.Since(since.Latency)),
	}
}
