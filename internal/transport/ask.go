package transport

import (
	"context"
	"errors"
	"slices"
	"sync"
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

	// refreshHedge is how long sarama may look for metadata before it is made
	// to look again, and refreshes how often. It may ask a broker that answers
	// nothing, and would wait for that until its read timeout.
	refreshHedge = 250 * time.Millisecond
	refreshes    = 2
	// maxRefreshing bounds the look-ups that hang, of all topics together.
	maxRefreshing = 64
)

// askers are the brokers that are asked whether topics exist. An owned client
// has connections of their own for it: a sarama.Broker is locked while it waits
// for an answer, and the client looks into all its brokers' locks whenever it
// chooses one.
type askers struct {
	mu      sync.Mutex // held for a few instructions
	brokers []*sarama.Broker
}

// add makes brokers out of addresses that are not known yet.
func (a *askers) add(addrs ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, addr := range addrs {
		if !slices.ContainsFunc(a.brokers, func(b *sarama.Broker) bool { return b.Addr() == addr }) {
			a.brokers = append(a.brokers, sarama.NewBroker(addr))
		}
	}
}

// promote makes the one that answered the first to be asked.
func (a *askers) promote(b *sarama.Broker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.brokers, b); i > 0 {
		a.brokers = append([]*sarama.Broker{b}, slices.Delete(slices.Clone(a.brokers), i, i+1)...)
	}
}

func (a *askers) all() []*sarama.Broker {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.brokers)
}

// candidates are the brokers to ask, in this order.
func (t *Transport) candidates() []*sarama.Broker {
	if t.owned {
		return t.askers.all()
	}
	brokers := t.client.Brokers()
	if len(brokers) == 0 {
		if b := t.client.LeastLoadedBroker(); b != nil {
			brokers = append(brokers, b)
		}
	}
	return brokers
}

// Ask asks one live broker whether a topic exists: see lane.Checker. It asks a
// further one when the first fails or is slow. A topic without a leader exists.
// Of one that does the metadata is fetched before Ask returns, so that its first
// message finds it.
func (t *Transport) Ask(ctx context.Context, topic string) error {
	err := t.ask(ctx, topic)
	if err == nil {
		t.refresh(ctx, topic)
	}
	return err
}

func (t *Transport) ask(ctx context.Context, topic string) error {
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
			if !t.spawn(func() { answers <- t.askOne(b, topic) }) {
				return lane.ErrNoAnswer
			}
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
	if t.owned {
		for _, broker := range response.Brokers {
			t.askers.add(broker.Addr())
		}
		t.askers.promote(b)
	}
	for _, topicMetadata := range response.Topics {
		if topicMetadata.Name == topic {
			return existence(topicMetadata.Err)
		}
	}
	return lane.ErrNoAnswer
}

// existence is what a code in metadata says of a topic.
func existence(code sarama.KError) error {
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

// refresh makes sarama fetch the metadata of topics. It returns when that has
// succeeded or failed once, or ctx ends, and after half a second in any case: what comes
// later goes into the client's cache all the same.
func (t *Transport) refresh(ctx context.Context, topics ...string) {
	done := make(chan struct{}, refreshes) // as many as may come, so that none waits
	timer := time.NewTimer(refreshHedge)
	defer timer.Stop()
	for range refreshes {
		if t.refreshing.Add(1) > maxRefreshing || !t.spawn(func() {
			defer t.refreshing.Add(-1)
			_ = t.client.RefreshMetadata(topics...) // whoever needs it looks into the cache
			done <- struct{}{}
		}) {
			t.refreshing.Add(-1)
		}
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-t.aborted.Done():
			return
		case <-timer.C:
		}
		timer.Reset(refreshHedge)
	}
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
