package transport

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/lane"
)

const (
	// hedge is how long a broker may think about a question before the next
	// one is asked too: a frozen one must not decide for all.
	hedge = 500 * time.Millisecond
	// patience is how long all of them may think.
	patience = 3 * time.Second
)

// Ask asks one live broker whether a topic exists: see lane.Checker. It asks a
// further one when the first fails or is slow. A topic without a leader exists.
func (t *Transport) Ask(ctx context.Context, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	brokers := t.candidates()
	answers := make(chan error, len(brokers)) // as many as may come, so that none waits
	asked, failed := 0, 0
	for {
		var next <-chan time.Time
		if asked < len(brokers) {
			b := brokers[asked]
			asked++
			t.asks.Go(func() { answers <- t.askOne(b, topic) })
			timer := time.NewTimer(hedge)
			defer timer.Stop() //nolint:gocritic // at most one for each broker
			next = timer.C
		} else if failed == asked {
			return lane.ErrNoAnswer
		}
		select {
		case err := <-answers:
			if !errors.Is(err, lane.ErrNoAnswer) {
				return err
			}
			failed++
		case <-next:
		case <-ctx.Done():
			return lane.ErrNoAnswer
		}
	}
}

// candidates are the brokers to ask, each once.
func (t *Transport) candidates() []*sarama.Broker {
	brokers := t.client.Brokers()
	if t.seed != nil {
		brokers = append(brokers, t.seed)
	}
	if len(brokers) == 0 {
		if b := t.client.LeastLoadedBroker(); b != nil {
			brokers = append(brokers, b)
		}
	}
	return brokers
}

// askOne asks a broker. It ends when the broker answers, when its read timeout
// has passed, or when the transport is aborted.
func (t *Transport) askOne(b *sarama.Broker, topic string) error {
	conf := t.client.Config()
	// Already open is what it should be; any other error comes again below.
	_ = b.Open(conf)
	request := sarama.NewMetadataRequest(conf.Version, []string{topic})
	request.AllowAutoTopicCreation = t.cfg.Sarama.Metadata.AllowAutoTopicCreation
	response, err := b.GetMetadata(request)
	if err != nil {
		// As sarama does: a broken connection that is not closed is never
		// opened again.
		_ = b.Close()
		return lane.ErrNoAnswer
	}
	for _, topicMetadata := range response.Topics {
		if topicMetadata.Name != topic {
			continue
		}
		switch err := topicMetadata.Err; err {
		case sarama.ErrNoError, sarama.ErrLeaderNotAvailable, sarama.ErrReplicaNotAvailable:
			return nil
		case sarama.ErrUnknownTopicOrPartition:
			return lane.ErrUnknown
		case sarama.ErrInvalidTopic, sarama.ErrTopicAuthorizationFailed, sarama.ErrClusterAuthorizationFailed:
			return err
		default:
			return lane.ErrNoAnswer
		}
	}
	return lane.ErrNoAnswer
}

// Warm fetches the metadata of topics that exist, so that the first message
// does not wait for it.
func (t *Transport) Warm(topics []string) error { return t.client.RefreshMetadata(topics...) }
