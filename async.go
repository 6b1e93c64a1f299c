package producer

import (
	"context"

	"github.com/IBM/sarama"
)

// Async is a producer whose Send returns when the message is accepted.
//
// Use it where throughput counts. What became of a message is told to
// callbacks: [WithOnSuccess] and [WithOnError] for all messages,
// [Async.SendFunc] for one. Either Send returns an error, or exactly one
// outcome is reported, SendFunc's function first. Without an OnError a failure
// that no SendFunc is told of is logged, at most once a second.
//
// # Callbacks
//
// Callbacks run on goroutines of the library, with no lock held and while
// acknowledgements are still read, so they may block, panic and end their
// goroutine, and call any method of the producer. One that panics is contained,
// counted and logged with its stack. With one worker, the default, they run one
// after the other; with [WithCallbackWorkers] in order per partition.
//
// A message holds its room in the buffer until its callbacks have returned, so
// slow callbacks slow down Send and never let memory grow. A Send from a
// callback does not wait for room, which perhaps only that callback can free:
// it may overdraw the buffer by as much again, and then gets ErrBufferFull.
// Flush and Close from a callback answer ErrInCallback at once; Close has begun
// then. (A callback is known by its ctx or its goroutine. One that waits for
// another goroutine which sends must pass its ctx on.)
//
// The ctx of a callback has the values of the ctx that the message was sent
// with, and no deadline. None is called after Close has returned nil.
//
// The zero value is a closed producer.
type Async struct{ core *core }

// Send accepts msg for delivery.
//
// nil means that the message was accepted: exactly one outcome will be reported.
// Send waits while there is no room ([WithMaxBuffered], [WithMaxBufferedBytes],
// [WithMaxBufferedPerTopic]), in the order of arrival, until there is, or ctx
// ends, [WithMaxBlock] has passed, or Close begins; it never waits for brokers
// or for metadata. ctx bounds only the call: its end has no effect on a message
// that was accepted.
//
// An error means that nothing was accepted and no callback will be called:
// ErrClosed, ErrBufferFull (with ctx's error if that ended the wait),
// ErrInvalidMessage, ErrMessageTooLarge, or ctx's own error with its
// [context.Cause] if it had ended before.
//
// Key, value and headers are encoded and copied before Send returns; msg may be
// changed and sent again at once, also from several goroutines, and is never
// written to. A zero Timestamp becomes the time of Send; no other is possible than
// those of the years 1970 to 2261. A nil Value is a tombstone, as is an Encoder
// that returns nil; an empty one is not.
//
// Messages that one goroutine sends to one partition are stored in that order,
// also across retries (with [WithIdempotence], the default). The first message
// for a topic does not wait for metadata either: it is parked, with those that
// follow, while a broker is asked, see [WithUnknownTopicTimeout].
//
// A message that sarama gives up is not sent again, as that would break the
// order: codes that sarama does not retry, and a Producer.Retry.Max that a
// [WithSaramaConfig] lowered, end it before the delivery timeout.
func (p *Async) Send(ctx context.Context, msg *sarama.ProducerMessage) error {
	return p.send(ctx, msg, delivery{})
}

// TrySend is Send without waiting for room: if there is none, or others wait
// for it, it returns ErrBufferFull at once.
func (p *Async) TrySend(ctx context.Context, msg *sarama.ProducerMessage) error {
	return p.send(ctx, msg, delivery{try: true})
}

// SendFunc is Send with a function that is told the outcome of this message,
// before OnSuccess or OnError are. done may be nil.
func (p *Async) SendFunc(ctx context.Context, msg *sarama.ProducerMessage, done ResultFunc) error {
	return p.send(ctx, msg, delivery{onResult: done})
}

func (p *Async) send(ctx context.Context, msg *sarama.ProducerMessage, d delivery) error {
	if p == nil || p.core == nil {
		return ErrClosed
	}
	_, err := p.core.accept(ctx, msg, d)
	return err
}

// Flush waits until every message accepted before the call has its outcome and
// its callbacks have returned. Messages sent later do not prolong it.
//
// It returns nil also if some of them failed: their errors went to the
// callbacks. If ctx ends first it returns a [*FlushError] with the number left;
// call it again to go on. When nothing is left it returns nil, also with a ctx
// that has ended. From a callback it returns ErrInCallback at once. It does not
// shorten [WithLinger].
func (p *Async) Flush(ctx context.Context) error {
	if p == nil || p.core == nil {
		return nil
	}
	return p.core.flush(ctx)
}

// Close ends the producer. New sends get ErrClosed, sends that wait for room
// are woken with it. Then Close waits until everything accepted has its outcome
// and its callbacks have returned, with the producer fully at work, closes the
// connections and returns nil. After that no callback is called and nothing of
// the producer is left (sarama leaves a timer for up to 10 s and a goroutine for
// its meters).
//
// Close waits until ctx ends, or for [WithCloseTimeout] if it has no deadline.
// When that time is over it aborts: all connections are cut, and every message
// left gets ErrAborted with its persistence status, exactly once. Then Close
// returns, at most about a second after ctx, with a [*CloseError] that counts
// what was cut short; or nil, if it turns out that nothing was. A callback that
// does not return is left behind and counted; callbacks that found no time are
// called after that, each once.
//
// A ctx that has ended aborts at once: `defer p.Close(ctx)` with the ctx of a
// signal gives up what is on its way. Use a fresh one:
//
//	defer func() {
//		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
//		defer cancel()
//		if err := p.Close(ctx); err != nil { … }
//	}()
//
// Close may be called often and from many goroutines: all calls wait for the
// same end, the first whose time is over aborts, later ones return the first
// result. From a callback it returns ErrInCallback at once, and the closing goes
// on for at most CloseTimeout.
//
// A client that was borrowed is never closed. Its connections are not ours to
// cut either: after an abort sarama may need its network timeouts until it has
// let go of what it was sending, in the background.
func (p *Async) Close(ctx context.Context) error {
	if p == nil || p.core == nil {
		return nil
	}
	return p.core.close(ctx)
}

// Stats returns the producer's figures.
func (p *Async) Stats() Stats {
	if p == nil || p.core == nil {
		return Stats{}
	}
	return p.core.stats()
}

// Details returns all figures that there are of the producer.
func (p *Async) Details() Details {
	if p == nil || p.core == nil {
		return Details{State: StateClosed}
	}
	return p.core.details()
}

// Ping asks the brokers whether one of them is there, over connections that are
// made if need be, with TLS and SASL as configured. nil means that one answered
// just now. It ends when ctx does, and after at most half a minute without an
// answer; after Close has begun it returns ErrClosed.
func (p *Async) Ping(ctx context.Context) error {
	if p == nil || p.core == nil {
		return ErrClosed
	}
	return p.core.ping(ctx)
}

// Ready returns nil if messages can be sent: Close has not begun, the producer
// has not stalled (see [WithStallTimeout]), and a broker answers. It is for
// readiness probes, and waits as [Async.Ping] does; give it a ctx that ends
// before the probe does. Else it returns ErrClosed, [ErrStalled] or the error of
// Ping. A buffer that is full does not count: Stats tells it.
func (p *Async) Ready(ctx context.Context) error {
	if p == nil || p.core == nil {
		return ErrClosed
	}
	return p.core.ready(ctx)
}
