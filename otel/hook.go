package otel

import (
	"context"
	"slices"

	"github.com/IBM/sarama"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/saramakit/producer"
)

// scope is the name of the tracer and of the meter.
const scope = "github.com/saramakit/producer/otel"

// NewHook returns a hook that makes spans and metrics. One serves any number of
// producers, unless they are to be told apart: see [WithClientID]. A hook with
// metrics is kept in memory as long as its meter provider, since that reads it.
// The error is that of a meter that refuses an instrument.
func NewHook(opts ...Option) (producer.Hook, error) {
	c := configOf(opts)
	h := &hook{
		config: c, names: newNames(&c), propagator: &propagator{TextMapPropagator: c.propagator},
		tracer: c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
	}
	var err error
	if !c.noMetrics {
		if h.metrics, err = newMetrics(&c); err != nil {
			return producer.Hook{}, err
		}
	}
	made := producer.Hook{OnSend: h.onSend}
	if !c.noSpans || !c.noMetrics {
		made.OnDone = h.onDone
	}
	if !c.noMetrics {
		made.OnLate = h.onLate
	}
	return made, nil
}

type hook struct {
	config
	names      *names
	tracer     trace.Tracer
	propagator *propagator
	metrics    *metrics // nil: none
}

// sent is the ctx of a message with its span: the one that this hook began,
// whatever other hooks have put into the ctx since.
type sent struct {
	context.Context //nolint:containedctx // it is one
	hook            *hook
	span            trace.Span
}

// Value answers the hook itself with what it began.
func (s *sent) Value(key any) any {
	if h, ok := key.(*hook); ok && h == s.hook {
		return s
	}
	return s.Context.Value(key)
}

func (h *hook) onSend(ctx context.Context, msg *sarama.ProducerMessage) context.Context {
	origin := created(ctx, h.propagator, msg)
	if h.noSpans || h.sampled && !trace.SpanContextFromContext(ctx).IsSampled() {
		if !origin.IsValid() {
			inject(ctx, h.propagator, msg)
		}
		return h.with(ctx, noop.Span{})
	}
	start := h.names.start(msg.Topic)
	options := start.options
	if origin.IsValid() {
		options = append(slices.Clip(options), trace.WithLinks(trace.Link{SpanContext: origin}))
	}
	ctx, span := h.tracer.Start(ctx, start.name, options...)
	if !origin.IsValid() {
		inject(ctx, h.propagator, msg)
	}
	return h.with(ctx, span)
}

// with returns ctx with the span of a message. One that records nothing need not
// be found again, unless another would be found in its place: that of a message
// whose ctx this one was sent with.
func (h *hook) with(ctx context.Context, span trace.Span) context.Context {
	if !span.IsRecording() && ctx.Value(h) == nil {
		return ctx
	}
	return &sent{ctx, h, span}
}

//nolint:gocritic // the signature is given
func (h *hook) onDone(ctx context.Context, msg *sarama.ProducerMessage, o producer.Outcome) {
	if s, ok := ctx.Value(h).(*sent); ok {
		finish(s.span, msg, &o)
	}
	if h.metrics != nil {
		h.metrics.done(ctx, msg.Topic, &o)
	}
}

//nolint:gocritic // the signature is given
func (h *hook) onLate(ctx context.Context, msg *sarama.ProducerMessage, o producer.Outcome) {
	h.metrics.wasLate(ctx, msg.Topic, &o)
}
