package otel

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func attributesOf(attrs []attribute.KeyValue) map[string]any {
	all := map[string]any{}
	for _, kv := range attrs {
		all[string(kv.Key)] = kv.Value.AsInterface()
	}
	return all
}

func TestSpan_saysWhatTheConventionsSayOfADeliveredMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithClientID("me"))
	parent, end := r.tracer.Tracer("test").Start(t.Context(), "parent")
	r.message(parent, order(), delivered())
	span := r.only()
	require.Equal(t, "send orders", span.Name())
	require.Equal(t, trace.SpanKindProducer, span.SpanKind())
	require.Equal(t, end.SpanContext().SpanID(), span.Parent().SpanID())
	require.Equal(t, map[string]any{
		"messaging.system": "kafka", "messaging.operation.name": "send", "messaging.operation.type": "send",
		"messaging.destination.name": "orders", "messaging.client.id": "me",
		"messaging.destination.partition.id": "3", "messaging.kafka.offset": int64(42),
	}, attributesOf(span.Attributes()))
	require.Equal(t, delivered().Done, span.EndTime())
	require.Equal(t, codes.Unset, span.Status().Code)
	require.Equal(t, "https://opentelemetry.io/schemas/1.43.0", span.InstrumentationScope().SchemaURL)
	times := map[string]time.Time{}
	for _, event := range span.Events() {
		times[event.Name] = event.Time
	}
	require.Equal(t, map[string]time.Time{
		"accepted": delivered().Accepted, "encoded": delivered().Encoded, "acknowledged": delivered().Acknowledged,
	}, times)
}

func TestSpan_ofAFailureHasItsKindAndNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := failed(sarama.ErrNotEnoughReplicas)
	o.Attempts = 3
	r.message(t.Context(), &sarama.ProducerMessage{Topic: "orders"}, o)
	span := r.only()
	require.Equal(t, codes.Error, span.Status().Code)
	require.Equal(t, "NOT_ENOUGH_REPLICAS", span.Status().Description)
	attrs := attributesOf(span.Attributes())
	require.Equal(t, "NOT_ENOUGH_REPLICAS", attrs["error.type"])
	require.Equal(t, int64(3), attrs["kafka.producer.attempts"])
	require.Equal(t, true, attrs["messaging.kafka.message.tombstone"])
	require.NotContains(t, attrs, "messaging.kafka.offset")
}

func TestSpan_ofARejectedMessageEndsToo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.message(t.Context(), &sarama.ProducerMessage{}, rejected(errors.New("secret text")))
	span := r.only()
	require.Equal(t, "send", span.Name())
	require.Equal(t, "_OTHER", span.Status().Description)
	require.NotContains(t, attributesOf(span.Attributes()), "messaging.destination.name")
	require.Empty(t, span.Events())
}

func TestSpan_samplersSeeTheAttributesOfTheStart(t *testing.T) {
	t.Parallel()
	var seen []attribute.KeyValue
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler(func(p sdktrace.SamplingParameters) { seen = p.Attributes })))
	r := newRig(t, WithTracerProvider(tracers))
	r.message(t.Context(), order(), delivered())
	attrs := attributesOf(seen)
	require.Equal(t, []string{
		"messaging.destination.name", "messaging.operation.name", "messaging.operation.type", "messaging.system",
	}, slices.Sorted(maps.Keys(attrs)))
}

// sampler is a sdktrace.Sampler that samples nothing and looks at what it could.
type sampler func(p sdktrace.SamplingParameters)

//nolint:gocritic // the signature is given
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	s(p)
	return sdktrace.SamplingResult{Decision: sdktrace.Drop}
}
func (sampler) Description() string { return "drops everything" }

func TestSpan_aTemplateStandsForTheTopicInNamesAndIsBesideIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithTopicTemplate(func(string) string { return "orders-{customer}" }))
	r.message(t.Context(), order(), delivered())
	span := r.only()
	require.Equal(t, "send orders-{customer}", span.Name())
	attrs := attributesOf(span.Attributes())
	require.Equal(t, "orders-{customer}", attrs["messaging.destination.template"])
	require.Equal(t, "orders", attrs["messaging.destination.name"])
	require.Equal(t, map[string]int64{"messaging.destination.template=orders-{customer}": 1}, r.sums("messaging.client.sent.messages"))
}

func header(msg *sarama.ProducerMessage, key string) (values []string) {
	for _, h := range msg.Headers {
		if string(h.Key) == key {
			values = append(values, string(h.Value))
		}
	}
	return values
}

func TestPropagation_theSpanIsWrittenOnceIntoTheHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bag, err := baggage.Parse("tenant=7")
	require.NoError(t, err)
	ctx, parent := r.tracer.Tracer("test").Start(baggage.ContextWithBaggage(t.Context(), bag), "parent")
	msg := order()
	msg.Headers = []sarama.RecordHeader{{Key: []byte("own"), Value: []byte("1")}}
	// The message has been through a hook of the same trace before, as one that is
	// sent again.
	propagation.TraceContext{}.Inject(ctx, headers{msg})
	msg.Headers = append(msg.Headers, sarama.RecordHeader{Key: []byte("tracestate"), Value: []byte("stale=1")})
	r.message(ctx, msg, delivered())
	span := r.only()
	require.Equal(t, []string{"00-" + span.SpanContext().TraceID().String() + "-" + span.SpanContext().SpanID().String() + "-01"},
		header(msg, "traceparent"))
	require.Equal(t, []string{"tenant=7"}, header(msg, "baggage"))
	require.Equal(t, []string{"1"}, header(msg, "own"))
	require.Empty(t, header(msg, "tracestate"))
	require.Equal(t, parent.SpanContext().TraceID(), span.SpanContext().TraceID())
	require.Empty(t, span.Links())
}

func TestPropagation_aMessageThatWasCreatedElsewhereKeepsItsHeadersAndIsLinkedTo(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]Option{"WithSpans": nil, "WithoutSpans": {WithoutSpans()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, opts...)
			_, origin := r.tracer.Tracer("test").Start(context.Background(), "creation")
			msg := order()
			propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), origin), headers{msg})
			before := slices.Clone(msg.Headers)
			ctx, _ := r.tracer.Tracer("test").Start(t.Context(), "parent")
			r.message(ctx, msg, delivered())
			require.Equal(t, before, msg.Headers)
			if opts == nil {
				links := r.only().Links()
				require.Len(t, links, 1)
				require.Equal(t, origin.SpanContext().SpanID(), links[0].SpanContext.SpanID())
				require.NotEqual(t, origin.SpanContext().TraceID(), r.only().SpanContext().TraceID())
			}
		})
	}
}

func TestPropagation_baggageThatSomebodySetIsKeptIfTheCtxHasNone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	msg := order()
	msg.Headers = []sarama.RecordHeader{{Key: []byte("baggage"), Value: []byte("a=b")}}
	r.message(t.Context(), msg, delivered())
	require.Equal(t, []string{"a=b"}, header(msg, "baggage"))
	require.Len(t, header(msg, "traceparent"), 1)
}

// As of a record that is passed on without its traceparent.
func TestPropagation_whatIsLeftOfAnotherContextIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bag, err := baggage.Parse("tenant=7")
	require.NoError(t, err)
	ctx, parent := r.tracer.Tracer("test").Start(baggage.ContextWithBaggage(t.Context(), bag), "process")
	msg := order()
	msg.Headers = []sarama.RecordHeader{
		{Key: []byte("tracestate"), Value: []byte("other=1")}, {Key: []byte("baggage"), Value: []byte("tenant=8")},
	}
	r.message(ctx, msg, delivered())
	require.Equal(t, parent.SpanContext().SpanID(), r.only().Parent().SpanID())
	require.Len(t, header(msg, "traceparent"), 1)
	require.Contains(t, header(msg, "traceparent")[0], r.only().SpanContext().SpanID().String())
	require.Empty(t, header(msg, "tracestate"))
	require.Equal(t, []string{"tenant=7"}, header(msg, "baggage"))
	require.Empty(t, r.only().Links())
}

func TestPropagation_withoutSpansTheTraceOfTheSenderGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithoutSpans(), WithoutMetrics())
	require.Nil(t, r.hook.OnDone)
	require.Nil(t, r.hook.OnLate)
	ctx, parent := r.tracer.Tracer("test").Start(t.Context(), "parent")
	msg := order()
	r.message(ctx, msg, delivered())
	require.Contains(t, header(msg, "traceparent")[0], parent.SpanContext().SpanID().String())
	require.Empty(t, r.spans.Ended())
}

func TestSpan_withSampledParentsOnlyThereAreNoOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithSampledParentsOnly())
	none := order()
	r.message(t.Context(), none, delivered())
	require.Empty(t, none.Headers)
	dropped := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	unsampled := order()
	r.message(trace.ContextWithSpanContext(t.Context(), dropped), unsampled, delivered())
	require.Len(t, header(unsampled, "traceparent"), 1, "the consumer must not decide anew")
	require.Empty(t, r.spans.Ended())
	ctx, _ := r.tracer.Tracer("test").Start(t.Context(), "parent")
	r.message(ctx, order(), delivered())
	require.Equal(t, "send orders", r.only().Name())
	require.EqualValues(t, 3, r.sums("messaging.client.sent.messages")["messaging.destination.name=orders"], "all are counted")
}
