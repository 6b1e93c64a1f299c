package transport

import (
	"errors"

	"github.com/IBM/sarama"
)

// neverAppended reports whether a broker gives that code only before it has
// appended anything. It proves something only for a record that was sent once:
// an earlier copy of it may have been appended.
//
// NOT_LEADER_OR_FOLLOWER is not among them (KAFKA-13574), nor is any time-out.
func neverAppended(err error) bool {
	// Only the code itself: what is wrapped was said in answer to another
	// question, or about another record.
	code, ok := err.(sarama.KError) //nolint:errorlint // see above
	if !ok {
		return false
	}
	switch code {
	case sarama.ErrMessageSizeTooLarge, // 10
		sarama.ErrInvalidTopic,                // 17
		sarama.ErrMessageSetSizeTooLarge,      // 18
		sarama.ErrNotEnoughReplicas,           // 19
		sarama.ErrInvalidRequiredAcks,         // 21
		sarama.ErrTopicAuthorizationFailed,    // 29
		sarama.ErrClusterAuthorizationFailed,  // 31
		sarama.ErrInvalidTimestamp,            // 32
		sarama.ErrUnsupportedForMessageFormat, // 43
		sarama.ErrUnsupportedCompressionType,  // 76
		sarama.ErrInvalidRecord,               // 87
		sarama.ErrThrottlingQuotaExceeded:     // 89
		return true
	default:
		return false
	}
}

// breakerText is the error of an open circuit breaker in sarama. It comes from
// a module that this one does not require, so it is known by its text; a test
// compares the two.
const breakerText = "circuit breaker is open"

// UnavailableError is what a message gets while sarama refuses a partition or a
// topic for some seconds after repeated failures.
type UnavailableError struct {
	Breaker error // sarama's own
	Last    error // why: the last failure of the topic, nil if none was seen
}

func (e *UnavailableError) Error() string {
	if e.Last == nil {
		return breakerText
	}
	return breakerText + " after: " + e.Last.Error()
}

// Unwrap returns both errors.
func (e *UnavailableError) Unwrap() []error {
	if e.Last == nil {
		return []error{e.Breaker}
	}
	return []error{e.Breaker, e.Last}
}

// causes remembers the last failed look-up of each topic, which is what opens
// sarama's breakers, for the errors that do not say why. It belongs to the drain.
type causes map[string]error

func (c causes) explain(topic string, err error) error {
	if err.Error() == breakerText {
		return &UnavailableError{Breaker: err, Last: c[topic]}
	}
	if _, ok := errors.AsType[*LookupError](err); ok {
		c[topic] = err
	}
	return err
}
