package producer

import (
	"context"
	"time"

	"github.com/IBM/sarama"
)

// Hook is told of every message that is sent: for traces, metrics and the like.
// Functions that are nil are left out; more fields may be added later.
//
// A hook cannot break delivery: one that panics is contained, counted and logged
// like a callback that does (CallbackPanics of [Stats]). It must change nothing
// that it is given, but for the headers in OnSend.
type Hook struct {
	// OnSend is called once for each message of each Send, TrySend, SendFunc and
	// SendAll, in the goroutine of the caller and before anything else, whether
	// the message is accepted afterwards or not. A slow one makes Send slow.
	//
	// msg is a copy, and valid only during the call. Headers that OnSend adds, replaces or removes are what is
	// sent, of which those without a key are left out; other changes have no
	// effect. If they make the message too large it is sent as it was. What the
	// message's Encoders would do has not been done.
	//
	// The values of the ctx that it returns are those of the ctx of all callbacks
	// of the message; nil changes nothing. How long the call may take is up to
	// the ctx of the caller. A message that a callback sends with its own ctx
	// inherits what OnSend made of that, for 16 generations; then it starts anew
	// with the ctx of the first, so that the chain does not grow without end.
	OnSend func(ctx context.Context, msg *sarama.ProducerMessage) context.Context

	// OnDone is called exactly once for each OnSend, with its ctx and with what
	// became of the message. For one that was not accepted that is in the
	// goroutine of the caller, before its Send returns, with the msg of OnSend.
	// For the others it is where callbacks run, before the message's own
	// callbacks, and what is said of those at [Async] holds: it may block, and is
	// reported if it does for long. The message is done when it has returned.
	OnDone func(ctx context.Context, msg *sarama.ProducerMessage, o Outcome)

	// OnLate is called where callbacks run, after OnDone, with what a broker said
	// of a message that had been given up: it had timed out, its sync Send had
	// gone, or Close had aborted it. Err is nil if it was stored after all. It is not
	// called for all that were given up: only if something came.
	OnLate func(ctx context.Context, msg *sarama.ProducerMessage, o Outcome)
}

// Outcome is what became of a message.
type Outcome struct {
	// Err is nil if the message was delivered. It wraps a [*DeliveryError] if the
	// message was accepted and failed; else it is what Send returned, and nothing
	// was accepted. [ErrorKind] makes a short name of it.
	Err error

	Partition int32 // -1 if not known
	Offset    int64 // -1 if not known, or not delivered
	// Attempts is how often the message was put into a batch, see [DeliveryError].
	Attempts int

	Sent     time.Time // when Send was called
	Accepted time.Time // when it took the message over, after the wait for room; zero: it did not
	// Encoded is when the message was first put into a batch, after the look-up of
	// its topic, linger, and the wait for its partition; zero: never.
	Encoded time.Time
	// Acknowledged is when the answer of a broker was taken in, whatever it said;
	// without acks: when the batch was written. Zero: none came.
	Acknowledged time.Time
	Done         time.Time // when the outcome was decided. What follows are callbacks
}

// WithHook adds a hook. Several are called in the order of the options, each
// with the ctx that the one before it returned.
func WithHook(h Hook) Option {
	return option{"WithHook", func(c *config) {
		if h.OnSend == nil && h.OnDone == nil && h.OnLate == nil {
			c.problem("WithHook", nil, "has no function; set OnSend, OnDone or OnLate")
			return
		}
		c.hooks.add(h)
	}}
}
