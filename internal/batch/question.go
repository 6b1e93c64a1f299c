package batch

import (
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// ErrNobody ends a question that nobody waits for any more.
var ErrNobody = errors.New("nobody waits for the outcome any more")

// Questions is how often the cluster is asked about a topic, and how long.
type Questions struct {
	// UnknownTopic is how long a cluster may deny a topic that it had before;
	// then Suspect is told.
	UnknownTopic time.Duration
	Suspect      func(topic string)
	// Final reports whether it is no use to ask again after that error.
	Final func(error) bool
	// Wait waits before the n-th repetition, n >= 1. It returns why nothing is to
	// be asked any more, if so.
	Wait func(n int) error
	// Over is that without the wait.
	Over func() error
}

// Repeat asks about a topic until there is an answer. It ends without one when
// that is final, when nobody waits for it any more, or when it is over.
func (q *Questions) Repeat(topic string, ask func() error, live func() bool) error {
	var unknown time.Time // since when the cluster denies the topic
	for n := 1; ; n++ {
		err := ask()
		if err == nil {
			return nil
		}
		if over := q.Over(); over != nil {
			return over
		}
		now := time.Now()
		switch {
		case !errors.Is(err, sarama.ErrUnknownTopicOrPartition):
			unknown = time.Time{}
		case unknown.IsZero():
			unknown = now
		case now.Sub(unknown) >= q.UnknownTopic:
			q.Suspect(topic)
			return &LookupError{Err: err}
		}
		if q.Final(err) {
			return &LookupError{Err: err}
		}
		if !live() {
			return ErrNobody
		}
		if err := q.Wait(n); err != nil {
			return err
		}
	}
}
