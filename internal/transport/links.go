package transport

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/batch"
)

// links is the cluster of an owned client as the batcher sees it.
type links struct{ t *Transport }

var _ batch.Cluster = links{}

// Version counts what was learned.
func (l links) Version() int64 { return l.t.cluster.version.Load() }

// Topic returns what is known of a topic.
func (l links) Topic(name string) (all, writable []int32) {
	if t := l.t.cluster.topic(name); t != nil {
		return t.all, t.writable
	}
	return nil, nil
}

// Leader returns the connection to the leader of a partition, if it is known.
func (l links) Leader(topic string, partition int32) (batch.Broker, error) {
	b, err := l.t.cluster.knownLeader(topic, partition)
	if err != nil {
		return nil, err
	}
	return link{t: l.t, broker: b}, nil
}

// Ask asks about a topic.
func (l links) Ask(ctx context.Context, topic string) error { return l.t.cluster.refresh(ctx, topic) }

// link is the connection to a leader.
type link struct {
	t      *Transport
	broker *sarama.Broker
}

// Connect connects if that is not done.
func (l link) Connect() error {
	if err := l.t.cluster.open(l.broker); err != nil && !errors.Is(err, sarama.ErrAlreadyConnected) {
		return err
	}
	ok, err := l.broker.Connected()
	if !ok && err == nil {
		err = sarama.ErrNotConnected
	}
	return err
}

// Produce sends a request.
func (l link) Produce(batches []*batch.Batch, answer func(*sarama.ProduceResponse, error)) error {
	return l.broker.AsyncProduce(batch.Request(l.t.cfg.Sarama, batches), answer)
}

// Close closes the connection, so that it can be opened again.
func (l link) Close() { _ = l.broker.Close() }

// openBatcher starts the batcher.
func (t *Transport) openBatcher(ctx context.Context) (err error) {
	conf := t.cfg.Sarama
	user := conf.Producer.Retry.BackoffFunc
	cfg := &batch.Config{
		Aborted: t.aborted, Sarama: conf, Cluster: links{t}, Sink: t.cfg.Sink, Suspect: t.cfg.Suspect,
		Identify: t.identify, AskWait: t.askWait,
		RetryWait:    t.cfg.Backoff.wait,
		MostRetries:  conf.Producer.Retry.Max,
		UnknownTopic: t.cfg.UnknownTopic,
		Final:        final,
	}
	if user != nil {
		cfg.RetryWait = func(n int) time.Duration { return t.sane(user(n, conf.Producer.Retry.Max), n) }
	}
	if cfg.MostRetries >= t.cfg.Backoff.Retries(t.cfg.DeliveryTimeout) {
		cfg.MostRetries = -1 // it is not the user's: the delivery timeout is the end
	}
	t.batches, err = batch.New(ctx, cfg)
	return err
}

// identify asks the brokers for a producer id, one after the other, until one of
// them has an answer or ctx ends.
func (t *Transport) identify(ctx context.Context) (batch.Identity, error) {
	request := &sarama.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1, Version: idVersion(t.cfg.Sarama.Version)}
	for n := 1; ; n++ {
		response, err := t.cluster.identifier().InitProducerID(request)
		if err == nil {
			if response.Err == sarama.ErrNoError {
				return batch.Identity{ID: response.ProducerID, Epoch: response.ProducerEpoch}, nil
			}
			err = response.Err
			if !askAgainForID(response.Err) {
				return batch.Identity{}, err
			}
		}
		select {
		case <-time.After(t.cfg.Backoff.wait(n)):
		case <-ctx.Done():
			return batch.Identity{}, errors.Join(context.Cause(ctx), err)
		}
	}
}

// askAgainForID reports whether another broker, or the same one later, may give
// another answer.
func askAgainForID(code sarama.KError) bool {
	switch code {
	case sarama.ErrClusterAuthorizationFailed, sarama.ErrTransactionalIDAuthorizationFailed, sarama.ErrUnsupportedVersion:
		return false
	default:
		return true
	}
}

// idVersion is the version of the question that sarama would use.
func idVersion(v sarama.KafkaVersion) int16 {
	switch {
	case v.IsAtLeast(sarama.V2_7_0_0):
		return 4
	case v.IsAtLeast(sarama.V2_5_0_0):
		return 3
	case v.IsAtLeast(sarama.V2_4_0_0):
		return 2
	case v.IsAtLeast(sarama.V2_0_0_0):
		return 1
	default:
		return 0
	}
}
