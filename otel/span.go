package otel

import (
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/saramakit/producer"
)

// The operation, by its name in this library, and by the conventions.
const operation = "send"

// What the conventions have no names for.
const (
	attemptsKey       = attribute.Key("kafka.producer.attempts")
	eventAccepted     = "accepted"
	eventEncoded      = "encoded"
	eventAcknowledged = "acknowledged"
)

// beginning is how the span of a topic begins.
type beginning struct {
	name    string
	options []trace.SpanStartOption
}

// names are the beginnings of spans by topic.
type names struct {
	config *config
	made   table[string, beginning]
}

func newNames(c *config) *names { return &names{config: c} }

func (n *names) start(topic string) beginning {
	create := func() beginning { return n.config.beginning(topic) }
	if b, ok := n.made.get(topic, mostTopics, create); ok {
		return b
	}
	return create()
}

func (c *config) beginning(topic string) beginning {
	to := c.destination(topic)
	name, attrs := operation, c.attributes(to)
	if to.name != "" {
		name += " " + to.name
	}
	if to.template {
		attrs = append(attrs, semconv.MessagingDestinationName(topic))
	}
	return beginning{name, []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attrs...),
	}}
}

// destination is a topic as names and metrics have it: itself, or the template
// that stands for it. The zero value is none.
type destination struct {
	name     string
	template bool
}

func (c *config) destination(topic string) destination {
	if c.template != nil && topic != "" {
		if name := c.template(topic); name != "" {
			return destination{name, true}
		}
	}
	return destination{name: topic}
}

// attributes are those of every span and series of a destination.
func (c *config) attributes(to destination) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		semconv.MessagingSystemKafka, semconv.MessagingOperationName(operation), semconv.MessagingOperationTypeSend,
	}
	if c.clientID != "" {
		attrs = append(attrs, semconv.MessagingClientID(c.clientID))
	}
	switch {
	case to.name == "":
	case to.template:
		attrs = append(attrs, semconv.MessagingDestinationTemplate(to.name))
	default:
		attrs = append(attrs, semconv.MessagingDestinationName(to.name))
	}
	return attrs
}

// finish ends a span.
func finish(span trace.Span, msg *sarama.ProducerMessage, o *producer.Outcome) {
	if span.IsRecording() {
		describe(span, msg, o)
	}
	span.End(trace.WithTimestamp(o.Done))
}

// describe says in a span what became of its message.
func describe(span trace.Span, msg *sarama.ProducerMessage, o *producer.Outcome) {
	attrs := make([]attribute.KeyValue, 0, 5)
	if o.Partition >= 0 {
		attrs = append(attrs, semconv.MessagingDestinationPartitionID(strconv.Itoa(int(o.Partition))))
	}
	if o.Offset >= 0 {
		attrs = append(attrs, semconv.MessagingKafkaOffset(int(o.Offset)))
	}
	if msg.Value == nil {
		attrs = append(attrs, semconv.MessagingKafkaMessageTombstone(true))
	}
	if o.Attempts > 1 {
		attrs = append(attrs, attemptsKey.Int(o.Attempts))
	}
	if o.Err != nil {
		kind := errorType(o.Err)
		attrs = append(attrs, semconv.ErrorTypeKey.String(kind))
		span.SetStatus(codes.Error, kind)
	}
	span.SetAttributes(attrs...)
	for _, step := range [...]struct {
		name string
		at   time.Time
	}{
		{eventAccepted, o.Accepted}, {eventEncoded, o.Encoded}, {eventAcknowledged, o.Acknowledged},
	} {
		if !step.at.IsZero() {
			span.AddEvent(step.name, trace.WithTimestamp(step.at))
		}
	}
}

// errorType is the kind of an error as the conventions have it.
func errorType(err error) string {
	kind := producer.ErrorKind(err)
	if kind == "other" {
		return semconv.ErrorTypeOther.Value.AsString()
	}
	return kind
}
