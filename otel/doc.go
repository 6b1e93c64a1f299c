// Package otel makes OpenTelemetry traces and metrics of what a producer sends.
// It is imported under another name, since it is used beside OpenTelemetry's own
// package:
//
//	import producerotel "github.com/saramakit/producer/otel"
//
//	hook, err := producerotel.NewHook()
//	…
//	p, err := producer.NewAsync(ctx, brokers, producer.WithHook(hook))
//
// # Spans
//
// Each message has a span of kind PRODUCER, "send" and the topic, from Send to
// the outcome; callbacks are not in it. Its parent is what Send's ctx says. Its
// context is written into the headers of the message by the propagator, in place
// of those with the same names, so that consumers continue the trace; callbacks
// get it in their ctx.
//
// A message that comes with a context in its headers, which is not of the span
// in Send's ctx, was created elsewhere: it keeps its headers, and the span has a
// link to that context. A service that passes records on with their headers
// leaves traceparent out if consumers are to go on from its own span.
//
// # Metrics
//
// Metrics of messages are counted when their outcome is known. Their attributes
// are few: the topic, if the message was put into a batch and so its topic exists,
// so that misspelt names make no series; and the kind of the error. Of more than
// 1,000 such pairs the rest is counted without the topic: see [WithTopicTemplate].
// Figures of the producer itself, such as the use of its buffer, are registered
// with [Observe].
//
// # Conventions
//
// Names are those of the semantic conventions for messaging, version 1.43.0,
// which are of status Development: they may change with a version of this
// package. What the conventions have no name for begins with "kafka.producer.".
// The README lists all of them.
//
// No key and no value of a message is recorded.
package otel
