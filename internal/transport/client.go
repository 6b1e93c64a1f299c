package transport

import (
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/batch"
)

// client is the sarama.Client that sarama's producer sees. It gives the
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

// Close does nothing: the transport closes the client if it owns it.
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
	var unknown time.Time // since when the cluster denies the topic
	for n := 1; ; n++ {
		if n > 1 && !t.owned {
			// Asking makes the client look it up, but may hang on a frozen
			// broker; ours does not.
			t.refresh(t.aborted, topic)
		}
		if t.isAborted() {
			return answer, ErrAborted
		}
		if answer, err = ask(); err == nil {
			return answer, nil
		}
		now := time.Now()
		switch {
		case !errors.Is(err, sarama.ErrUnknownTopicOrPartition):
			unknown = time.Time{}
		case unknown.IsZero():
			unknown = now
		case now.Sub(unknown) >= t.cfg.UnknownTopic:
			t.cfg.Suspect(topic)
			return answer, &LookupError{Err: err}
		}
		if final(err) || !t.cfg.Live(topic) || now.Sub(began) >= t.cfg.DeliveryTimeout {
			return answer, &LookupError{Err: err}
		}
		if !t.askAgain(n) {
			return answer, ErrAborted
		}
	}
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
