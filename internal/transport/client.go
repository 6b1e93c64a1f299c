package transport

import (
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/batch"
)

// client is a borrowed client as sarama's producer sees it. It gives the
// producer our configuration instead of the client's, and asks for leaders as
// long as it is worth it: a producer of sarama's fails a message for good when
// its one look-up fails, and while it looks up inside a broker's goroutine all
// partitions of that broker wait.
type client struct {
	sarama.Client
	t *Transport
}

// Config returns the producer's configuration.
func (c *client) Config() *sarama.Config { return c.t.cfg.Sarama }

// Close does nothing: the client is not ours.
func (*client) Close() error { return nil }

// RefreshMetadata asks once and does not tell if it fails. sarama calls it
// before it looks for a leader, also where waiting would hold up partitions
// that have nothing to do with it; Leader is where the waiting is done, and the
// failures are told.
func (c *client) RefreshMetadata(topics ...string) error {
	if c.t.isAborted() {
		return ErrAborted
	}
	c.t.refresh(c.t.aborted, topics...)
	return nil
}

// Leader waits until there is a leader, see persist.
func (c *client) Leader(topic string, partition int32) (*sarama.Broker, error) {
	return persist(c.t, topic, func() (*sarama.Broker, error) { return c.Client.Leader(topic, partition) })
}

// Partitions waits until the topic is known, see persist. It is called for every
// message, so the first question is asked without ceremony.
func (c *client) Partitions(topic string) ([]int32, error) {
	if partitions, err := c.Client.Partitions(topic); err == nil {
		return partitions, nil
	}
	return persist(c.t, topic, func() ([]int32, error) { return c.Client.Partitions(topic) })
}

// WritablePartitions is Partitions without those that have no leader.
func (c *client) WritablePartitions(topic string) ([]int32, error) {
	if partitions, err := c.Client.WritablePartitions(topic); err == nil {
		return partitions, nil
	}
	return persist(c.t, topic, func() ([]int32, error) { return c.Client.WritablePartitions(topic) })
}

// LookupError says that it could not be found where to send a message.
type LookupError = batch.LookupError

// persist asks about a topic until there is an answer. It ends without one when
// that is final, when no message of the topic is left to wait for it, when the
// delivery timeout has passed, or when the transport is aborted. It runs in the
// goroutine of one partition or one topic, so it holds up nothing else.
func persist[A any](t *Transport, topic string, ask func() (A, error)) (answer A, err error) {
	began := time.Now()
	over := func() error {
		if t.isAborted() {
			return ErrAborted
		}
		return nil
	}
	questions := batch.Questions{
		UnknownTopic: t.cfg.UnknownTopic, Suspect: t.cfg.Suspect, Final: final, Over: over,
		Wait: func(n int) error {
			t.wait(t.cfg.Backoff.wait(n))
			return over()
		},
	}
	var last error
	err = questions.Repeat(topic, func() error {
		if last != nil {
			// Asking makes the client look it up, but may hang on a frozen
			// broker; ours does not.
			t.refresh(t.aborted, topic)
		}
		if last = over(); last == nil {
			answer, last = ask()
		}
		return last
	}, func() bool { return t.cfg.Live(topic) && time.Since(began) < t.cfg.DeliveryTimeout })
	if err == batch.ErrNobody { //nolint:errorlint // nobody wraps it
		err = &LookupError{Err: last}
	}
	return answer, err
}

// final reports whether asking again cannot help.
func final(err error) bool {
	for _, e := range []error{
		sarama.ErrTopicAuthorizationFailed, sarama.ErrClusterAuthorizationFailed,
		sarama.ErrSASLAuthenticationFailed, sarama.ErrInvalidTopic, sarama.ErrClosedClient, ErrOtherCluster,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
