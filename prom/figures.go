package prom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/saramakit/producer"
)

const namespace = "kafka_producer_"

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// figure is a metric that is read from T.
type figure[T any] struct {
	name, help string
	kind       prometheus.ValueType
	label      []string
	send       func(of *T, value func(value float64, labels ...string))
}

type details = producer.Details

// one is a figure with one value.
func one[T any, N int64 | float64](name, help string, kind prometheus.ValueType, read func(of *T) N) figure[T] {
	return figure[T]{name, help, kind, nil, func(of *T, value func(float64, ...string)) { value(float64(read(of))) }}
}

// byKind is a counter with a value for each kind of error.
func byKind[T any](name, help string, read func(of *T) map[string]int64) figure[T] {
	return figure[T]{name, help, counter, []string{"kind"}, func(of *T, value func(float64, ...string)) {
		for kind, n := range read(of) {
			value(float64(n), kind)
		}
	}}
}

// figures are those of a producer.
var figures = []figure[details]{ //nolint:gochecknoglobals // a table, never written to
	one("accepted_total", "Messages that a send took over.", counter, func(d *details) int64 { return d.Accepted }),
	one("delivered_total", "Messages that were delivered.", counter, func(d *details) int64 { return d.Delivered }),
	one("failed_total", "Messages that were accepted and failed.", counter, func(d *details) int64 { return d.Failed }),
	byKind("failures_total", "Messages that were accepted and failed, by the kind of the error.",
		func(d *details) map[string]int64 { return d.Failures }),
	one("rejected_total", "Messages that were not accepted.", counter, func(d *details) int64 { return d.Rejected }),
	byKind("rejections_total", "Messages that were not accepted, by the kind of the error.",
		func(d *details) map[string]int64 { return d.Rejections }),
	one("late_total", "Messages that were stored after they had been reported as failed.", counter,
		func(d *details) int64 { return d.Late }),

	one("in_flight_messages", "Messages that were accepted and whose callbacks have not returned.", gauge,
		func(d *details) int64 { return d.InFlight }),
	one("in_flight_oldest_seconds", "How long the oldest message is in flight.", gauge,
		func(d *details) float64 { return d.OldestInFlight.Seconds() }),
	one("held_messages", "Messages with an outcome that sarama has not let go of.", gauge,
		func(d *details) int64 { return d.Held }),
	one("buffer_messages", "Messages that take room in the buffer.", gauge, func(d *details) int64 { return d.Buffered }),
	one("buffer_messages_limit", "How many messages the buffer takes.", gauge,
		func(d *details) int64 { return d.MaxBuffered }),
	one("buffer_bytes", "Bytes of the buffer that are taken.", gauge, func(d *details) int64 { return d.BufferedBytes }),
	one("buffer_limit_bytes", "How many bytes the buffer takes.", gauge,
		func(d *details) int64 { return d.MaxBufferedBytes }),
	one("waiting_sends", "Sends that wait for room in the buffer.", gauge, func(d *details) int64 { return d.Waiting }),

	one("callbacks_running", "Callbacks that run now.", gauge, func(d *details) int64 { return d.CallbacksRunning }),
	one("slow_callbacks_total", "Callbacks that ran for longer than WithSlowCallback.", counter,
		func(d *details) int64 { return d.SlowCallbacks }),
	one("callback_panics_total", "Callbacks and hooks that panicked or ended their goroutine.", counter,
		func(d *details) int64 { return d.CallbackPanics }),

	one("stalled", "1 while messages are in flight and nothing comes of them, else 0.", gauge,
		func(d *details) float64 { return is(d.Stalled) }),
	one("stalls_total", "How often the producer has stalled.", counter, func(d *details) int64 { return d.Stalls }),
	one("last_outcome_timestamp_seconds", "When brokers last decided messages; 0: not yet.", gauge,
		func(d *details) float64 { return timestamp(d.LastOutcome) }),
	one("start_timestamp_seconds", "When the producer was made.", gauge,
		func(d *details) float64 { return timestamp(d.Started) }),
}

// topicFigures are those of a topic. A topic that is gone takes its series along;
// figures without a label are complete in any case.
var topicFigures = []figure[producer.TopicStats]{ //nolint:gochecknoglobals // a table, never written to
	one("topic_accepted_total", "Messages of a topic that a send took over.", counter,
		func(t *producer.TopicStats) int64 { return t.Accepted }),
	one("topic_delivered_total", "Messages of a topic that were delivered.", counter,
		func(t *producer.TopicStats) int64 { return t.Delivered }),
	byKind("topic_failures_total", "Messages of a topic that were accepted and failed, by the kind of the error.",
		func(t *producer.TopicStats) map[string]int64 { return t.Failures }),
	one("topic_in_flight_messages", "Messages of a topic that are in flight.", gauge,
		func(t *producer.TopicStats) int64 { return t.InFlight }),
}

const (
	latencyName = "delivery_seconds"
	latencyHelp = "How long delivered messages took, from their acceptance to the answer of the broker."
	stateName   = "state"
	stateHelp   = "1 for what the producer is doing, else 0."
)

// bounds are those of the histogram: what OpenTelemetry's conventions advise for
// messaging, and three below for clusters that are near.
var bounds = []time.Duration{ //nolint:gochecknoglobals // a table, never written to
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 75 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 7500 * time.Millisecond, 10 * time.Second,
	30 * time.Second, 60 * time.Second, 120 * time.Second,
}

// timestamp is a moment as Prometheus counts.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / float64(time.Second)
}
