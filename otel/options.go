package otel

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Option changes what [NewHook] and [Observe] record. A nil Option is ignored.
type Option func(*config)

type config struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
	template   func(topic string) string // nil: none
	clientID   string
	partitions bool
	noSpans    bool
	sampled    bool // only spans of sampled parents
	noMetrics  bool
}

func configOf(opts []Option) config {
	c := config{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider(), propagator: otel.GetTextMapPropagator()}
	for _, option := range opts {
		if option != nil {
			option(&c)
		}
	}
	return c
}

// WithTracerProvider sets where spans go, overriding the default of the global
// provider. nil is ignored.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(c *config) {
		if p != nil {
			c.tracers = p
		}
	}
}

// WithMeterProvider sets where metrics go, overriding the default of the global
// provider. nil is ignored.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(c *config) {
		if p != nil {
			c.meters = p
		}
	}
}

// WithPropagator sets how a context is written into headers, overriding the
// default of the global propagator, which writes nothing unless
// otel.SetTextMapPropagator was called. nil is ignored.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return func(c *config) {
		if p != nil {
			c.propagator = p
		}
	}
}

// WithTopicTemplate sets what stands for a topic in the names of spans and in
// metrics, for those who have a topic for each customer: "orders-{customer}".
// Spans have the topic as well. A topic for which it returns "" is named by
// itself. It is called for each message, from any goroutine; it must not panic,
// and always return the same for a topic. nil is ignored.
func WithTopicTemplate(template func(topic string) string) Option {
	return func(c *config) { c.template = template }
}

// WithClientID sets messaging.client.id, which is left out by default. With
// several producers in a process each has a hook of its own with its id.
func WithClientID(id string) Option {
	return func(c *config) { c.clientID = id }
}

// WithPartitions adds messaging.destination.partition.id to metrics. The
// conventions recommend it; here it is off by default, because it multiplies the
// series of each topic by its partitions. Of more than 1,000 such series the rest
// is counted without the partition. Spans always have it.
func WithPartitions() Option {
	return func(c *config) { c.partitions = true }
}

// WithoutSpans leaves spans out. Contexts are still written into headers, so
// that the trace goes on: from the span in Send's ctx to that of the consumer.
func WithoutSpans() Option {
	return func(c *config) { c.noSpans = true }
}

// WithSampledParentsOnly makes spans only of messages whose Send has a sampled
// span in its ctx. It is for services that decide about sampling where a request
// comes in: to ask the tracer about every message, and be told no, costs more than
// to send a small one. A message without a trace then begins none; the context of
// one that is not sampled is still written into headers.
func WithSampledParentsOnly() Option {
	return func(c *config) { c.sampled = true }
}

// WithoutMetrics leaves metrics of messages out.
func WithoutMetrics() Option {
	return func(c *config) { c.noMetrics = true }
}
