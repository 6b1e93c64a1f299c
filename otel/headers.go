package otel

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/IBM/sarama"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// headers are those of a message, for a propagator. Names are compared as they
// are: Kafka's headers are bytes, and consumers look for what the propagator
// wrote.
type headers struct{ msg *sarama.ProducerMessage }

var _ propagation.TextMapCarrier = headers{}

// Get returns the last header of that name, which is the one that counts in
// Kafka.
func (h headers) Get(key string) string {
	for _, header := range slices.Backward(h.msg.Headers) {
		if string(header.Key) == key {
			return string(header.Value)
		}
	}
	return ""
}

// Set puts a header in place of all of that name. Both parts share their memory.
func (h headers) Set(key, value string) {
	h.msg.Headers = slices.DeleteFunc(h.msg.Headers, func(header sarama.RecordHeader) bool {
		return string(header.Key) == key
	})
	both := make([]byte, 0, len(key)+len(value))
	both = append(append(both, key...), value...)
	h.msg.Headers = append(h.msg.Headers, sarama.RecordHeader{Key: both[:len(key):len(key)], Value: both[len(key):]})
}

// Keys lists the names.
func (h headers) Keys() []string {
	keys := make([]string, len(h.msg.Headers))
	for i, header := range h.msg.Headers {
		keys[i] = string(header.Key)
	}
	return keys
}

// propagator is one that remembers the names of its headers, which to ask for
// costs most of all else. The global one has none until it is set.
type propagator struct {
	propagation.TextMapPropagator
	fields atomic.Pointer[[]string]
}

// Fields are the names of the headers that it may write.
func (p *propagator) Fields() []string {
	if known := p.fields.Load(); known != nil {
		return *known
	}
	fields := p.TextMapPropagator.Fields()
	if len(fields) > 0 {
		p.fields.Store(&fields)
	}
	return fields
}

// created is the context that the message was created in, if that is another
// than the one of ctx: what is found in its headers.
func created(ctx context.Context, p propagation.TextMapPropagator, msg *sarama.ProducerMessage) trace.SpanContext {
	if len(msg.Headers) == 0 {
		return trace.SpanContext{}
	}
	found := trace.SpanContextFromContext(p.Extract(context.Background(), headers{msg}))
	now := trace.SpanContextFromContext(ctx)
	if found.TraceID() == now.TraceID() && found.SpanID() == now.SpanID() {
		return trace.SpanContext{}
	}
	return found
}

// inject writes the context of ctx into the headers of msg. What is there of
// another context, such as the state of a trace, is taken out; but baggage is
// what somebody has put there on purpose, if ctx has none.
func inject(ctx context.Context, p propagation.TextMapPropagator, msg *sarama.ProducerMessage) {
	if len(msg.Headers) > 0 {
		fields := p.Fields()
		msg.Headers = slices.DeleteFunc(msg.Headers, func(header sarama.RecordHeader) bool {
			key := string(header.Key)
			return key != "baggage" && slices.Contains(fields, key)
		})
	}
	p.Inject(ctx, headers{msg})
}
