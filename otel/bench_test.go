package otel

import (
	"context"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// BenchmarkHook is what the hook does for one message.
func BenchmarkHook(b *testing.B) {
	none := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	all := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()))
	for _, tc := range []struct {
		name string
		opts []Option
	}{
		{"Nothing", []Option{WithoutSpans(), WithoutMetrics()}},
		{"Metrics", []Option{WithoutSpans()}},
		{"NotSampled", []Option{WithTracerProvider(none), WithoutMetrics()}},
		{"NotSampledAndMetrics", []Option{WithTracerProvider(none)}},
		{"SampledParentsOnlyAndMetrics", []Option{WithTracerProvider(all), WithSampledParentsOnly()}},
		{"SampledAndMetrics", []Option{WithTracerProvider(all)}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
			hook, err := NewHook(append([]Option{WithMeterProvider(meter), WithPropagator(propagation.TraceContext{})}, tc.opts...)...)
			require.NoError(b, err)
			o := delivered()
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				msg := sarama.ProducerMessage{Topic: "orders", Headers: make([]sarama.RecordHeader, 0, 2)}
				ctx := hook.OnSend(ctx, &msg)
				if hook.OnDone != nil {
					hook.OnDone(ctx, &msg, o)
				}
			}
		})
	}
}
