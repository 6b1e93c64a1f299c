package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/saramakit/producer"
)

// Source is a producer: a *producer.Sync or a *producer.Async.
type Source interface{ Details() producer.Details }

// observed are the figures of a producer itself.
var observed = []figure{ //nolint:gochecknoglobals // a table, never written to
	{
		"kafka.producer.inflight.messages", "{message}", "Messages that were accepted and whose callbacks have not returned.", upDown,
		func(d *producer.Details) float64 { return float64(d.InFlight) },
	},
	{
		"kafka.producer.inflight.oldest", "s", "How long the oldest message is in flight.", gauge,
		func(d *producer.Details) float64 { return d.OldestInFlight.Seconds() },
	},
	{
		"kafka.producer.buffer.messages.usage", "{message}", "Messages that take room in the buffer.", upDown,
		func(d *producer.Details) float64 { return float64(d.Buffered) },
	},
	{
		"kafka.producer.buffer.messages.limit", "{message}", "How many messages the buffer takes.", upDown,
		func(d *producer.Details) float64 { return float64(d.MaxBuffered) },
	},
	{
		"kafka.producer.buffer.size.usage", "By", "Bytes of the buffer that are taken.", upDown,
		func(d *producer.Details) float64 { return float64(d.BufferedBytes) },
	},
	{
		"kafka.producer.buffer.size.limit", "By", "How many bytes the buffer takes.", upDown,
		func(d *producer.Details) float64 { return float64(d.MaxBufferedBytes) },
	},
	{
		"kafka.producer.waiting.sends", "{send}", "Sends that wait for room.", upDown,
		func(d *producer.Details) float64 { return float64(d.Waiting) },
	},
	{
		"kafka.producer.callbacks.running", "{callback}", "Callbacks that run now.", upDown,
		func(d *producer.Details) float64 { return float64(d.CallbacksRunning) },
	},
	{
		"kafka.producer.stalled", "1", "1 while messages are in flight and nothing comes of them, else 0.", gauge,
		func(d *producer.Details) float64 {
			if d.Stalled {
				return 1
			}
			return 0
		},
	},
	{
		"kafka.producer.stalls", "{stall}", "How often the producer has stalled.", counter,
		func(d *producer.Details) float64 { return float64(d.Stalls) },
	},
}

// kind is how a figure behaves: what can be added up over producers goes up and
// down, or only up, the others are gauges.
type kind int

const (
	gauge kind = iota
	upDown
	counter
)

// figure is one of them.
type figure struct {
	name, unit, description string
	kind                    kind
	read                    func(d *producer.Details) float64
}

// Observe registers the figures of a producer itself: the use of its buffer and
// what it is doing. They are read when metrics are collected, and cost nothing
// else. The returned registration ends it; a producer that is observed is kept
// in memory until then. Of the options WithMeterProvider and WithClientID act.
// Several producers need an id each: without, their gauges overwrite one another,
// and all else is added up.
func Observe(p Source, opts ...Option) (metric.Registration, error) {
	c := configOf(opts)
	meter := c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	attrs := []attribute.KeyValue{semconv.MessagingSystemKafka}
	if c.clientID != "" {
		attrs = append(attrs, semconv.MessagingClientID(c.clientID))
	}
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	instruments := make([]metric.Float64Observable, len(observed))
	all := make([]metric.Observable, len(observed))
	for i, f := range observed {
		var err error
		instruments[i], err = f.instrument(meter)
		if err != nil {
			return nil, err
		}
		all[i] = instruments[i]
	}
	return meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		d := p.Details()
		for i, f := range observed {
			to.ObserveFloat64(instruments[i], f.read(&d), set)
		}
		return nil
	}, all...)
}

func (f *figure) instrument(meter metric.Meter) (metric.Float64Observable, error) {
	unit, description := metric.WithUnit(f.unit), metric.WithDescription(f.description)
	switch f.kind {
	case counter:
		return meter.Float64ObservableCounter(f.name, unit, description)
	case upDown:
		return meter.Float64ObservableUpDownCounter(f.name, unit, description)
	default:
		return meter.Float64ObservableGauge(f.name, unit, description)
	}
}
