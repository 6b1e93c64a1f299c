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
		"kafka.producer.inflight.messages", "{message}", "Messages that were accepted and whose callbacks have not returned.", false,
		func(d *producer.Details) float64 { return float64(d.InFlight) },
	},
	{
		"kafka.producer.inflight.oldest", "s", "How long the oldest message is in flight.", false,
		func(d *producer.Details) float64 { return d.OldestInFlight.Seconds() },
	},
	{
		"kafka.producer.buffer.messages", "{message}", "Messages that take room in the buffer.", false,
		func(d *producer.Details) float64 { return float64(d.Buffered) },
	},
	{
		"kafka.producer.buffer.messages.limit", "{message}", "How many messages the buffer takes.", false,
		func(d *producer.Details) float64 { return float64(d.MaxBuffered) },
	},
	{
		"kafka.producer.buffer.size", "By", "Bytes of the buffer that are taken.", false,
		func(d *producer.Details) float64 { return float64(d.BufferedBytes) },
	},
	{
		"kafka.producer.buffer.size.limit", "By", "How many bytes the buffer takes.", false,
		func(d *producer.Details) float64 { return float64(d.MaxBufferedBytes) },
	},
	{
		"kafka.producer.waiting.sends", "{send}", "Sends that wait for room.", false,
		func(d *producer.Details) float64 { return float64(d.Waiting) },
	},
	{
		"kafka.producer.callbacks.running", "{callback}", "Callbacks that run now.", false,
		func(d *producer.Details) float64 { return float64(d.CallbacksRunning) },
	},
	{
		"kafka.producer.stalled", "1", "1 while messages are in flight and nothing comes of them, else 0.", false,
		func(d *producer.Details) float64 {
			if d.Stalled {
				return 1
			}
			return 0
		},
	},
	{
		"kafka.producer.stalls", "{stall}", "How often the producer has stalled.", true,
		func(d *producer.Details) float64 { return float64(d.Stalls) },
	},
}

// figure is one of them. What only rises is a counter, the others are gauges.
type figure struct {
	name, unit, description string
	rises                   bool
	read                    func(d *producer.Details) float64
}

// Observe registers the figures of a producer itself: the use of its buffer and
// what it is doing. They are read when metrics are collected, and cost nothing
// else. The returned registration ends it; a producer that is observed is kept
// in memory until then. Of the options WithMeterProvider and WithClientID act.
// Several producers need an id each: without, their gauges overwrite one another.
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
		if f.rises {
			instruments[i], err = meter.Float64ObservableCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.description))
		} else {
			instruments[i], err = meter.Float64ObservableGauge(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.description))
		}
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
