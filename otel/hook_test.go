package otel

import (
	"context"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/saramakit/producer"
)

func TestHook_twoHooksEndTheSpansThatTheyBegan(t *testing.T) {
	t.Parallel()
	a, b := newRig(t), newRig(t)
	msg := order()
	ctx := b.hook.OnSend(a.hook.OnSend(t.Context(), msg), msg)
	a.hook.OnDone(ctx, msg, delivered())
	require.Len(t, a.spans.Ended(), 1)
	require.Empty(t, b.spans.Ended())
	b.hook.OnDone(ctx, msg, failed(producer.ErrAborted))
	require.Equal(t, codes.Error, b.only().Status().Code)
	require.Equal(t, codes.Unset, a.only().Status().Code)
	require.Equal(t, a.only().SpanContext().SpanID(), b.only().Parent().SpanID())
}

// Another hook may send a message of its own with the ctx of the one that it was
// told of.
func TestHook_aMessageWithoutASpanEndsNoneOfTheMessageWhoseCtxItWasSentWith(t *testing.T) {
	t.Parallel()
	unsampled := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	for name, tc := range map[string]struct {
		opts  []Option
		inner func(ctx context.Context) context.Context
	}{
		"NotSampled": {
			[]Option{WithClientID("me")},
			func(ctx context.Context) context.Context { return ctx },
		},
		"WithSampledParentsOnly": {
			[]Option{WithSampledParentsOnly()},
			func(ctx context.Context) context.Context { return trace.ContextWithSpanContext(ctx, unsampled) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans), sdktrace.WithSampler(allBut("send inner")))
			hook, err := NewHook(append(append(r.options(), WithTracerProvider(tracers)), tc.opts...)...)
			require.NoError(t, err)
			ctx, _ := tracers.Tracer("test").Start(t.Context(), "parent")
			msg, inner := order(), order()
			inner.Topic = "inner"
			ctx = hook.OnSend(ctx, msg)
			of := hook.OnSend(tc.inner(ctx), inner)
			hook.OnDone(of, inner, failed(producer.ErrAborted))
			require.Empty(t, r.spans.Ended())
			hook.OnDone(ctx, msg, delivered())
			require.Equal(t, "send orders", r.only().Name())
			require.Equal(t, codes.Unset, r.only().Status().Code)
		})
	}
}

// allBut samples all spans but those of a name.
type allBut string

//nolint:gocritic // the signature is given
func (a allBut) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Name == string(a) {
		return sdktrace.SamplingResult{Decision: sdktrace.Drop}
	}
	return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
}
func (a allBut) Description() string { return "all but " + string(a) }

//nolint:paralleltest // allocations are counted for the whole process
func TestHook_allocatesNothingForMetrics(t *testing.T) {
	for name, opts := range map[string][]Option{
		"WithoutSpans": {WithoutSpans()}, "WithSampledParentsOnly": {WithSampledParentsOnly()}, "WithPartitions": {WithoutSpans(), WithPartitions()},
	} {
		//nolint:paralleltest // allocations are counted for the whole process
		t.Run(name, func(t *testing.T) {
			r := newRig(t, opts...)
			msg, o := &sarama.ProducerMessage{Topic: "orders"}, delivered()
			ctx := context.Background()
			require.Zero(t, testing.AllocsPerRun(1000, func() {
				r.hook.OnDone(r.hook.OnSend(ctx, msg), msg, o)
			}))
		})
	}
}

//nolint:paralleltest // allocations are counted for the whole process
func TestHook_allocatesNothingBesideTheTracerAndThePropagatorIfNothingIsSampled(t *testing.T) {
	r := newRig(t)
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	c := configOf(append(r.options(), WithTracerProvider(tracers)))
	hook, err := NewHook(append(r.options(), WithTracerProvider(tracers))...)
	require.NoError(t, err)
	ctx, msg, o := context.Background(), &sarama.ProducerMessage{Topic: "orders"}, delivered()
	room := make([]sarama.RecordHeader, 0, 1)
	tracer, start := tracers.Tracer("test"), newNames(&c).start("orders")
	theirs := testing.AllocsPerRun(1000, func() {
		ctx, span := tracer.Start(ctx, start.name, start.options...)
		msg.Headers = room
		c.propagator.Inject(ctx, headers{msg})
		span.End()
	})
	require.Equal(t, theirs, testing.AllocsPerRun(1000, func() { //nolint:testifylint // whole numbers
		msg.Headers = room
		hook.OnDone(hook.OnSend(ctx, msg), msg, o)
	}))
}
