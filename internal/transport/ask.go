package transport

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/lane"
)

// Ask asks whether a topic exists: see lane.Checker. A topic without a leader
// exists. Of one that does the metadata is known when Ask returns, so that its
// first message finds it.
func (t *Transport) Ask(ctx context.Context, topic string) error {
	if t.owned {
		err := existence(t.cluster.refresh(ctx, topic))
		if err == lane.ErrNoAnswer && t.cluster.topic(topic) != nil { //nolint:errorlint // nobody wraps it
			return nil // the answer to an earlier question has come meanwhile
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return t.askBorrowed(ctx, topic)
}

// existence is what an error in metadata says of a topic.
func existence(err error) error {
	// The code of the topic itself: one that is wrapped is about a connection.
	code, ok := err.(sarama.KError) //nolint:errorlint // see above
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrOtherCluster):
		return ErrOtherCluster
	case !ok:
		return lane.ErrNoAnswer
	}
	switch code {
	case sarama.ErrNoError, sarama.ErrLeaderNotAvailable, sarama.ErrReplicaNotAvailable:
		return nil
	case sarama.ErrUnknownTopicOrPartition:
		return lane.ErrUnknown
	case sarama.ErrInvalidTopic, sarama.ErrTopicAuthorizationFailed, sarama.ErrClusterAuthorizationFailed:
		return code
	default:
		return lane.ErrNoAnswer
	}
}

// errIncomplete is why an answer is of no use: a broker that is just starting
// knows no brokers.
var errIncomplete = errors.New("the broker does not know the cluster yet")

// askOwned asks a broker of an owned client: see askers.
func (t *Transport) askOwned(b *sarama.Broker, topics []string) (*sarama.MetadataResponse, error) {
	for again := false; ; again = true {
		old := b.Open(t.questions) != nil // open already; any other error comes again below
		response, err := t.put(b, topics)
		switch {
		case err == nil && len(topics) == 0:
			return response, nil
		case err == nil && len(response.Brokers) == 0:
			return nil, errIncomplete
		case err == nil && !t.cluster.claim(response.ClusterID):
			return nil, ErrOtherCluster
		case err == nil:
			return response, nil
		}
		if _, unsent := errors.AsType[sarama.PacketEncodingError](err); unsent {
			return nil, err // nothing is wrong with the connection
		}
		// As sarama does: a broken connection that is not closed is never
		// opened again.
		_ = b.Close()
		// Brokers close connections on which nothing was asked for long.
		if timeout, ok := errors.AsType[net.Error](err); !old || again || ok && timeout.Timeout() {
			return nil, err
		}
	}
}

// put asks a broker about topics; without any, which would be all that there
// are, only whether it is there.
func (t *Transport) put(b *sarama.Broker, topics []string) (*sarama.MetadataResponse, error) {
	if len(topics) > 0 {
		return t.metadata(b, t.questions, topics)
	}
	return &sarama.MetadataResponse{}, hello(b)
}

// hello asks a broker for something that it always knows.
func hello(b *sarama.Broker) error {
	response, err := b.ApiVersions(&sarama.ApiVersionsRequest{})
	if err == nil && response.ErrorCode != int16(sarama.ErrNoError) {
		err = sarama.KError(response.ErrorCode)
	}
	return err
}

// Ping returns nil if a broker answers. It takes no longer than brokers may
// think about a question.
func (t *Transport) Ping(ctx context.Context) error {
	if t.owned {
		_, err := t.askers.question(ctx, nil, func(*sarama.MetadataResponse) {})
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return t.eachBorrowed(ctx, func(b *sarama.Broker) error {
		if hello(b) != nil {
			return unanswering(b)
		}
		return nil
	})
}

// metadata asks a broker about topics.
func (t *Transport) metadata(b *sarama.Broker, conf *sarama.Config, topics []string) (*sarama.MetadataResponse, error) {
	request := sarama.NewMetadataRequest(conf.Version, topics)
	request.AllowAutoTopicCreation = t.cfg.Sarama.Metadata.AllowAutoTopicCreation
	return b.GetMetadata(request)
}

// hangUp closes a connection of an owned client after a while, at the latest
// when the transport is aborted. Close waits for it. It is called before Close or
// by what spawn runs, also when that may begin nothing any more.
func (t *Transport) hangUp(b *sarama.Broker, after time.Duration) {
	t.closings.Go(func() {
		t.wait(after)
		_ = b.Close() // one that is closed already says so
	})
}

// spawn runs f in a goroutine that Close waits for. It reports false if Close
// has come that far already.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return false
	}
	t.asks.Go(f)
	return true
}
