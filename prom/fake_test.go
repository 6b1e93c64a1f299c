package prom

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
)

// source is a producer with figures of the test's choice.
type source producer.Details

func (s *source) Details() producer.Details { return producer.Details(*s) }

// busy is a producer whose every figure is another number.
func busy() *source {
	return &source{
		Stats: producer.Stats{
			Accepted: 100, Delivered: 60, Failed: 30, InFlight: 10, Rejected: 7, Late: 2, Held: 3, Buffered: 13,
			BufferedBytes: 1300, Waiting: 4, OldestInFlight: 1500 * time.Millisecond, CallbackPanics: 5, SlowCallbacks: 6,
			CallbacksRunning: 1, Stalls: 8, Stalled: true,
		},
		State: producer.StateClosing, Started: time.Unix(1000, 0), LastOutcome: time.Unix(2000, 5e8),
		MaxBuffered: 1000, MaxBufferedBytes: 10000,
		Failures:   map[string]int64{"delivery_timeout": 20, "NOT_ENOUGH_REPLICAS": 10},
		Rejections: map[string]int64{"buffer_full": 7},
		Topics: []producer.TopicStats{
			{Topic: "orders", Accepted: 90, Delivered: 60, Failed: 20, InFlight: 10, Failures: map[string]int64{"delivery_timeout": 20}},
			{Topic: "idle"},
		},
		OtherTopics: producer.TopicStats{Accepted: 10, Failed: 10, Failures: map[string]int64{"NOT_ENOUGH_REPLICAS": 10}},
	}
}

// gather collects everything that is registered, as "name{label="value",…}" with
// its value; of histograms and summaries the count.
func gather(t *testing.T, collectors ...prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		require.NoError(t, registry.Register(c))
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			all[strings.TrimPrefix(family.GetName(), namespace)+labels(m)] = value(m)
		}
	}
	return all
}

func labels(m *dto.Metric) string {
	if len(m.GetLabel()) == 0 {
		return ""
	}
	var pairs []string
	for _, pair := range m.GetLabel() {
		pairs = append(pairs, pair.GetName()+"="+pair.GetValue())
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	default:
		return float64(m.Summary.GetSampleCount())
	}
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
