package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	producerotel "github.com/saramakit/producer/otel"
)

// telemetry is an SDK that keeps everything in memory. A service exports it.
type telemetry struct {
	spans  *tracetest.SpanRecorder
	traces *sdktrace.TracerProvider
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
}

func newTelemetry() *telemetry {
	t := &telemetry{spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	t.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(t.spans))
	t.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(t.reader))
	return t
}

func (t *telemetry) options() []producerotel.Option {
	return []producerotel.Option{producerotel.WithTracerProvider(t.traces), producerotel.WithMeterProvider(t.meters)}
}

func (t *telemetry) tracer() trace.Tracer { return t.traces.Tracer("observability") }

// books counts spans and metrics, which must agree.
func (t *telemetry) books(ctx context.Context) (b books, err error) {
	var all metricdata.ResourceMetrics
	if err := t.reader.Collect(ctx, &all); err != nil {
		return b, err
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			data, ok := m.Data.(metricdata.Sum[int64])
			if !ok {
				continue
			}
			for _, point := range data.DataPoints {
				_, failed := point.Attributes.Value("error.type")
				switch {
				case m.Name == "kafka.producer.rejected.messages":
					b.Rejected += point.Value
				case m.Name != "messaging.client.sent.messages":
				case failed:
					b.Failed += point.Value
				default:
					b.Delivered += point.Value
				}
			}
		}
	}
	b.Accepted = b.Delivered + b.Failed
	spans := int64(0)
	for _, span := range t.spans.Ended() {
		if span.SpanKind() == trace.SpanKindProducer {
			spans++
		}
	}
	if spans != b.Accepted+b.Rejected {
		return b, fmt.Errorf("%d spans of %+v", spans, b)
	}
	return b, nil
}

// consumed are the headers of a record, for a propagator.
type consumed map[string]string

func (c consumed) Get(key string) string { return c[key] }
func (c consumed) Set(key, value string) { c[key] = value }
func (c consumed) Keys() []string        { return slices.Sorted(maps.Keys(c)) }

// trace reads a message back as a consumer does, goes on with its trace, and
// prints that.
func (s *show) trace(ctx context.Context) error {
	records, err := s.cluster.Records(ctx)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return errors.New("nothing was stored")
	}
	ctx = s.propagator.Extract(ctx, consumed(records[0].Headers))
	_, process := s.telemetry.tracer().Start(ctx, "process orders", trace.WithSpanKind(trace.SpanKindConsumer))
	process.End()

	of := process.SpanContext().TraceID()
	s.say("\nthe trace of one order:")
	found := 0
	for _, span := range s.telemetry.spans.Ended() {
		if span.SpanContext().TraceID() != of {
			continue
		}
		found++
		s.say("  %-16s %-9s %6.1f ms", span.Name(), span.SpanKind(), span.EndTime().Sub(span.StartTime()).Seconds()*1000)
		for _, event := range span.Events() {
			s.say("    %-14s after %6.1f ms", event.Name, event.Time.Sub(span.StartTime()).Seconds()*1000)
		}
	}
	if found != 3 {
		return fmt.Errorf("the trace has %d spans, not those of the request, the producer and the consumer", found)
	}
	return nil
}
