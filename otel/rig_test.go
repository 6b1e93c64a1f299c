package otel

import (
	"context"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/saramakit/producer"
)

// rig is a hook with everything that it records.
type rig struct {
	t      *testing.T
	hook   producer.Hook
	spans  *tracetest.SpanRecorder
	tracer *sdktrace.TracerProvider
	reader *sdkmetric.ManualReader
	meter  *sdkmetric.MeterProvider
}

func newRig(t *testing.T, opts ...Option) *rig {
	t.Helper()
	r := &rig{t: t, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	r.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans))
	r.meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	hook, err := NewHook(append(r.options(), opts...)...)
	require.NoError(t, err)
	r.hook = hook
	return r
}

func (r *rig) options() []Option {
	return []Option{
		WithTracerProvider(r.tracer), WithMeterProvider(r.meter),
		WithPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})),
	}
}

// message sends a message through the hook, without a producer.
//
//nolint:gocritic // as hooks get it
func (r *rig) message(ctx context.Context, msg *sarama.ProducerMessage, o producer.Outcome) {
	r.t.Helper()
	ctx = r.hook.OnSend(ctx, msg)
	if r.hook.OnDone != nil {
		r.hook.OnDone(ctx, msg, o)
	}
}

// only is the one span that has ended.
func (r *rig) only() sdktrace.ReadOnlySpan {
	r.t.Helper()
	ended := r.spans.Ended()
	require.Len(r.t, ended, 1)
	return ended[0]
}

// collected are the metrics by name.
func (r *rig) collected() map[string]metricdata.Metrics {
	r.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(r.t, r.reader.Collect(context.Background(), &all))
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// sums are the values of a counter by the encoded attributes of its series.
func (r *rig) sums(name string) map[string]int64 {
	r.t.Helper()
	sums := map[string]int64{}
	m, ok := r.collected()[name]
	if !ok {
		return sums
	}
	sum, ok := m.Data.(metricdata.Sum[int64])
	require.True(r.t, ok)
	for _, point := range sum.DataPoints {
		sums[text(point.Attributes)] = point.Value
	}
	return sums
}

// text is a set of attributes without those that all have.
func text(set attribute.Set) string {
	rest, _ := set.Filter(func(kv attribute.KeyValue) bool {
		switch kv.Key {
		case "messaging.system", "messaging.operation.name", "messaging.operation.type":
			return false
		default:
			return true
		}
	})
	return rest.Encoded(attribute.DefaultEncoder())
}

// delivered is the outcome of a message that took a second.
func delivered() producer.Outcome {
	start := time.Unix(1000, 0)
	return producer.Outcome{
		Partition: 3, Offset: 42, Attempts: 1,
		Sent: start, Accepted: start, Encoded: start.Add(time.Second / 2), Acknowledged: start.Add(time.Second), Done: start.Add(time.Second),
	}
}

// failed is the same of one that failed.
func failed(err error) producer.Outcome {
	o := delivered()
	o.Offset, o.Err = -1, &producer.DeliveryError{Topic: "orders", Err: err}
	return o
}

// rejected is the outcome of one that was not accepted.
func rejected(err error) producer.Outcome {
	at := time.Unix(1000, 0)
	return producer.Outcome{Err: err, Partition: -1, Offset: -1, Sent: at, Done: at}
}

func order() *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("v")}
}
