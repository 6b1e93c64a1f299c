package producer

import (
	"context"

	"github.com/IBM/sarama"
)

// Producer is what [Sync] and [Async] have in common: enough for code that
// publishes and does not care how.
//
// It promises only what both keep. A nil error from Send means that the message
// was accepted, and for a Sync that it was stored; the outcome is known to the
// callbacks ([WithOnSuccess], [WithOnError]). Code that needs "stored" takes a
// *Sync.
//
// All methods may be called from any number of goroutines, and from callbacks.
// Each ends within its bound, whatever the brokers do.
type Producer interface {
	// Send sends one message. An error that wraps no [*DeliveryError] means
	// that nothing was accepted. msg may be sent again at once.
	Send(ctx context.Context, msg *sarama.ProducerMessage) error
	// Flush waits until every message accepted before the call has its outcome
	// and its callbacks have returned, or until ctx ends.
	Flush(ctx context.Context) error
	// Close flushes and ends the producer, at most about a second after ctx.
	Close(ctx context.Context) error
}

var (
	_ Producer = (*Sync)(nil)
	_ Producer = (*Async)(nil)
)

// SuccessFunc is told of a message that was delivered. msg is the library's own
// copy and may be kept; its Partition, Offset and Timestamp are set, Offset to
// -1 where the broker did not tell it (acks=0, or a re-send that the broker
// recognised). Its Key and Value give the bytes that were sent, which must not
// be changed; its Metadata is the caller's. See [Async] for what a callback may do.
type SuccessFunc func(ctx context.Context, msg *sarama.ProducerMessage)

// ErrorFunc is told of a message that failed. err is a [*DeliveryError]. msg is
// as for SuccessFunc, but Partition is -1 where it is not known, and Offset is
// always -1.
type ErrorFunc func(ctx context.Context, msg *sarama.ProducerMessage, err error)

// ResultFunc is told the outcome of one message, by [Async.SendFunc]: err is
// nil if it was delivered, else a [*DeliveryError].
type ResultFunc func(ctx context.Context, msg *sarama.ProducerMessage, err error)
