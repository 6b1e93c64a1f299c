package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/transport"
)

// What Send, TrySend, SendFunc and SendAll answer when they accept nothing, and
// what a [DeliveryError] gives as its cause. Compare with [errors.Is].
var (
	// ErrClosed: Close has begun. Returned by the sends; nothing was accepted.
	ErrClosed = errors.New("producer: closed")
	// ErrBufferFull: there was no room for the message, not within
	// [WithMaxBlock], or at all for TrySend. Nothing was accepted; send it
	// again later, or shed load. If a ctx ended the wait, its error is wrapped
	// too.
	ErrBufferFull = errors.New("producer: buffer full")
	// ErrInvalidMessage: the message, its Encoders or the ctx are unusable.
	// Nothing was accepted, and sending it again will not help.
	ErrInvalidMessage = errors.New("producer: invalid message")
	// ErrMessageTooLarge: the message is larger than [WithMaxMessageBytes], or
	// than the whole of [WithMaxBufferedBytes]. Nothing was accepted.
	ErrMessageTooLarge = errors.New("producer: message too large")
	// ErrInvalidConfig: an option or the list of brokers is unusable. Returned
	// by the constructors, which report all problems at once.
	ErrInvalidConfig = errors.New("producer: invalid configuration")
	// ErrUnknownTopic: the cluster says that the topic does not exist. The
	// cause of a DeliveryError that is NotPersisted, or the error of a
	// constructor with [WithTopics].
	ErrUnknownTopic = errors.New("producer: unknown topic")
	// ErrOtherCluster: the brokers that answer at the known addresses have
	// another cluster id than those that the producer began with, as when an
	// address was given to another cluster. The cause of a DeliveryError. If the
	// cluster was replaced on purpose, make a new producer. It is noticed when
	// the cluster is asked about topics, not with every message, and not on a
	// borrowed client.
	ErrOtherCluster = transport.ErrOtherCluster
	// ErrDeliveryTimeout: no outcome within [WithDeliveryTimeout]. The cause of
	// a DeliveryError.
	ErrDeliveryTimeout = errors.New("producer: delivery timed out")
	// ErrAborted: Close ran out of time before the message had an outcome. The
	// cause of a DeliveryError.
	ErrAborted = errors.New("producer: aborted by Close")
	// ErrStalled: messages are in flight and nothing has come of any for as long as
	// [WithStallTimeout]. Returned by Ready.
	ErrStalled = errors.New("producer: stalled")
	// ErrInCallback: Flush or Close was called by a callback of the same
	// producer, which they would have to wait for.
	ErrInCallback = errors.New("producer: called from a callback")
)

// Persistence tells whether a failed message can be in the log.
type Persistence uint8

const (
	// PossiblyPersisted means that the message may be in the log, now or a little later.
	// It is the zero value: what is not proved is possible.
	PossiblyPersisted Persistence = iota
	// NotPersisted means that the message is not in the log and never will be. This is a
	// proof, not a guess: its bytes never left the process, or the broker
	// refused its only attempt with a code that is given before anything is
	// stored.
	NotPersisted
)

// String returns "possibly persisted" or "not persisted".
func (p Persistence) String() string {
	if p == NotPersisted {
		return "not persisted"
	}
	return "possibly persisted"
}

// DeliveryError is the failure of a message that was accepted. An error of a
// send that wraps none means that nothing was accepted.
//
// Its text names the cause and the status only, so that logs can be grouped by
// it; what varies is in the fields. Neither holds key or value.
type DeliveryError struct {
	Topic     string
	Partition int32 // -1 if not known
	Status    Persistence
	// Pending: a sync Send gave up waiting because its ctx ended. The outcome
	// is still open, and will reach the callbacks and Stats.
	Pending bool
	// Attempts is how often the message was put into a batch. Re-sends of a
	// whole batch, which is what an idempotent producer does, do not show.
	Attempts int
	Elapsed  time.Duration // since the message was accepted
	// Err is the cause: a sarama.KError, a net.Error, ErrDeliveryTimeout,
	// ErrUnknownTopic, ErrAborted, or the error of a ctx. Never nil.
	Err error
}

// Error says what happened and whether the message may be in the log.
func (e *DeliveryError) Error() string {
	state := e.Status.String()
	if e.Pending {
		state = "outcome still open, " + state
	}
	return fmt.Sprintf("producer: delivery failed (%s): %v", state, e.Err)
}

// Unwrap returns the cause.
func (e *DeliveryError) Unwrap() error { return e.Err }

// BatchError tells which messages of a SendAll failed.
type BatchError struct {
	// Errs has one entry per message, in the order of SendAll's argument; nil
	// means delivered. An entry is what Send would have returned.
	Errs []error
}

// Error names the first cause; the others are in Errs.
func (e *BatchError) Error() string {
	for _, err := range e.Errs {
		if err != nil {
			return "producer: a batch was not delivered as a whole, first failure: " + err.Error()
		}
	}
	return "producer: a batch was not delivered as a whole"
}

// Unwrap returns the errors that are not nil.
func (e *BatchError) Unwrap() []error {
	var errs []error
	for _, err := range e.Errs {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// FlushError says that Flush ended before everything was done.
type FlushError struct {
	Left int   // messages accepted before the call that are not done
	Err  error // the ctx's error, with its cause
}

// Error says why Flush ended. The number is in Left.
func (e *FlushError) Error() string {
	return fmt.Sprintf("producer: flush ended before all messages were done: %v", e.Err)
}

// Unwrap returns the error of the ctx.
func (e *FlushError) Unwrap() error { return e.Err }

// CloseError says that Close ran out of time and had to cut something short.
// All counts are of messages, since Close began.
type CloseError struct {
	Delivered   int // delivered while Close waited
	Failed      int // failed for reasons of their own while Close waited
	Undelivered int // given up by Close: their outcome is ErrAborted
	// CallbacksRunning is how many callbacks had not returned when Close did.
	// What is queued behind them is called if they ever return.
	CallbacksRunning int
	Err              error // what ended the time: the ctx's error, or context.DeadlineExceeded
}

// Error says why Close was cut short. The counts are in the fields.
func (e *CloseError) Error() string {
	return fmt.Sprintf("producer: close ran out of time: %v", e.Err)
}

// Unwrap returns what ended the time.
func (e *CloseError) Unwrap() error { return e.Err }

// SafeToRetry reports whether sending the message again may help and cannot
// duplicate it. It is the first question to ask of an error. For a BatchError
// it speaks of all failed messages together.
func SafeToRetry(err error) bool { return IsRetriable(err) && !MayHaveBeenWritten(err) }

// MayHaveBeenWritten reports whether the message may be in the log although it
// failed: sending it again may duplicate it. For a BatchError, and for errors that
// were joined: any of them.
func MayHaveBeenWritten(err error) bool {
	// Not errors.As: it stops at the first of several that were joined.
	switch e := err.(type) { //nolint:errorlint // see above
	case *DeliveryError:
		return e.Status != NotPersisted
	case interface{ Unwrap() error }:
		return MayHaveBeenWritten(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), MayHaveBeenWritten)
	}
	return false
}

// IsRetriable reports whether the cause is transient: sending the message again
// may help, and may duplicate it if [MayHaveBeenWritten]. It is true for time-outs, a full
// buffer, ErrAborted, network errors and the codes that brokers give while
// something moves or restarts; false for what is wrong with the message, the
// configuration or the permissions, for ErrClosed and ErrUnknownTopic, and for
// nil. For a BatchError: all failed messages.
func IsRetriable(err error) bool {
	if err == nil {
		return false
	}
	if batch, ok := errors.AsType[*BatchError](err); ok {
		failed := batch.Unwrap()
		permanent := func(e error) bool { return !IsRetriable(e) }
		return len(failed) > 0 && !slices.ContainsFunc(failed, permanent)
	}
	for _, permanent := range []error{
		ErrInvalidMessage, ErrMessageTooLarge, ErrInvalidConfig, ErrClosed, ErrUnknownTopic, ErrInCallback, ErrOtherCluster,
		// Sarama joins these with its ErrOutOfBrokers.
		sarama.ErrSASLAuthenticationFailed, sarama.ErrUnsupportedSASLMechanism,
		sarama.ErrClusterAuthorizationFailed, sarama.ErrTopicAuthorizationFailed,
	} {
		if errors.Is(err, permanent) {
			return false
		}
	}
	for _, transient := range []error{
		ErrDeliveryTimeout, ErrBufferFull, ErrAborted, context.DeadlineExceeded,
		sarama.ErrOutOfBrokers, sarama.ErrNotConnected, sarama.ErrClosedClient, sarama.ErrShuttingDown,
		sarama.ErrIncompleteResponse, transport.ErrAborted,
	} {
		if errors.Is(err, transient) {
			return true
		}
	}
	if unavailable, ok := errors.AsType[*transport.UnavailableError](err); ok && unavailable.Last == nil {
		return true
	}
	if code, ok := errors.AsType[sarama.KError](err); ok {
		return transientCode(code)
	}
	_, network := errors.AsType[net.Error](err)
	return network || isEOF(err)
}

// transientCode is the set of codes that Kafka's own client calls retriable, and
// the two with which a broker has lost track of the producer's sequence: sarama
// begins a new one.
func transientCode(code sarama.KError) bool {
	switch code {
	case sarama.ErrInvalidMessage, // CORRUPT_MESSAGE
		sarama.ErrUnknownTopicOrPartition,
		sarama.ErrLeaderNotAvailable,
		sarama.ErrNotLeaderForPartition,
		sarama.ErrRequestTimedOut,
		sarama.ErrBrokerNotAvailable,
		sarama.ErrReplicaNotAvailable,
		sarama.ErrNetworkException,
		sarama.ErrOffsetsLoadInProgress,
		sarama.ErrConsumerCoordinatorNotAvailable,
		sarama.ErrNotCoordinatorForConsumer,
		sarama.ErrNotEnoughReplicas,
		sarama.ErrNotEnoughReplicasAfterAppend,
		sarama.ErrNotController,
		sarama.ErrOutOfOrderSequenceNumber,
		sarama.ErrConcurrentTransactions,
		sarama.ErrKafkaStorageError,
		sarama.ErrUnknownProducerID,
		sarama.ErrListenerNotFound,
		sarama.ErrFencedLeaderEpoch,
		sarama.ErrUnknownLeaderEpoch,
		sarama.ErrThrottlingQuotaExceeded:
		return true
	default:
		return false
	}
}

// endError is the error of a ctx that has ended, with the cause that its owner
// gave if there is one.
func endError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// invalid makes a configuration error that names the option, its value and what
// to do.
func invalid(option string, value any, remedy string) error {
	var text strings.Builder
	text.WriteString(option)
	if value != nil {
		fmt.Fprintf(&text, "(%v)", value)
	}
	return fmt.Errorf("%w: %s: %s", ErrInvalidConfig, &text, remedy)
}

// isEOF reports whether a connection ended where an answer was due.
func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
