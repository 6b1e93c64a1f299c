package transport

import (
	"errors"

	"github.com/saramakit/producer/internal/batch"
)

// neverAppended reports whether a broker gives that code only before it has
// appended anything.
func neverAppended(err error) bool { return batch.NeverAppended(err) }

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
