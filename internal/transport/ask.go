package transport

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/lane"
)

const (
	// hedge is how long a broker may think about a question before the next
	// one is asked too: a frozen one must not decide for all.
	hedge = 250 * time.Millisecond
	// patience is how long all of them may think.
	patience = 3 * time.Second
	// refreshing is how long sarama is kept waiting for metadata. What comes
	// later is taken in all the same.
	refreshing = 2 * hedge
	// maxRefreshes bounds the look-ups of a borrowed client that hang, of all
	// topics together.
	maxRefreshes = 64
)

// asker is a broker that is asked about topics.
type asker struct {
	*sarama.Broker
	// open counts the questions that it has not answered yet.
	open atomic.Int32
}

// askers are the connections of an owned client for questions only.
type askers struct {
	mu   sync.Mutex // held for a few instructions
	list []*asker   // in the order in which they are asked
}

// all returns who is asked, in this order: those that still owe an answer last.
func (a *askers) all() []*asker {
	a.mu.Lock()
	list := slices.Clone(a.list)
	a.mu.Unlock()
	slices.SortStableFunc(list, func(x, y *asker) int { return int(min(x.open.Load(), 1) - min(y.open.Load(), 1)) })
	return list
}

// adopt makes the addresses the ones that are asked, the one that has just
// answered first. It returns those that are dropped.
func (a *askers) adopt(answered *asker, addrs []string) (dropped []*asker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*asker, 0, len(addrs)+1)
	if answered != nil {
		list = append(list, answered)
	}
	for _, old := range a.list {
		switch {
		case old == answered:
		case slices.Contains(addrs, old.Addr()):
			list = append(list, old)
		default:
			dropped = append(dropped, old)
		}
	}
	for _, addr := range addrs {
		if !slices.ContainsFunc(list, func(x *asker) bool { return x.Addr() == addr }) {
			list = append(list, &asker{Broker: sarama.NewBroker(addr)})
		}
	}
	a.list = list
	return dropped
}

// candidates are the brokers to ask, in this order.
func (t *Transport) candidates() (list []*asker) {
	if t.owned {
		return t.askers.all()
	}
	brokers := t.client.Brokers()
	if len(brokers) == 0 {
		if b := t.client.LeastLoadedBroker(); b != nil {
			brokers = append(brokers, b)
		}
	}
	for _, b := range brokers {
		list = append(list, &asker{Broker: b})
	}
	return list
}

// Ask asks one live broker whether a topic exists: see lane.Checker. A topic
// without a leader exists. Of one that does the metadata is known when Ask
// returns, so that its first message finds it.
func (t *Transport) Ask(ctx context.Context, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if t.owned {
		return existence(t.cluster.refresh(ctx, topic))
	}
	response, err := t.question(ctx, []string{topic})
	if err != nil {
		return lane.ErrNoAnswer
	}
	for _, of := range response.Topics {
		if of.Name == topic {
			err = existence(of.Err)
		}
	}
	if err == nil {
		t.refresh(ctx, topic)
	}
	return err
}

// existence is what an error in metadata says of a topic.
func existence(err error) error {
	// The code of the topic itself: one that is wrapped is about a connection.
	code, ok := err.(sarama.KError) //nolint:errorlint // see above
	switch {
	case err == nil:
		return nil
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

// question asks the cluster about topics: one broker, and a further one when it
// fails or is slow. The first answer counts.
func (t *Transport) question(ctx context.Context, topics []string) (*sarama.MetadataResponse, error) {
	type answer struct {
		from     *asker
		response *sarama.MetadataResponse
		err      error
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	candidates := t.candidates()
	answers := make(chan answer, len(candidates)) // as many as may come, so that none waits
	var errs []error
	next := time.NewTimer(0)
	defer next.Stop()
	for asked := 0; asked < len(candidates) || len(errs) < asked; {
		select {
		case a := <-answers:
			if a.err == nil {
				t.answered(a.from, a.response)
				return a.response, nil
			}
			errs = append(errs, a.err)
			next.Reset(0)
		case <-next.C:
			if asked == len(candidates) {
				continue // all are asked
			}
			a := candidates[asked]
			asked++
			if !t.spawn(func() {
				response, err := t.askOne(a, topics)
				answers <- answer{a, response, err}
			}) {
				return nil, sarama.ErrClosedClient
			}
			next.Reset(hedge)
		case <-ctx.Done():
			return nil, sarama.Wrap(sarama.ErrOutOfBrokers, append(errs, errNoAnswer)...)
		}
	}
	return nil, sarama.Wrap(sarama.ErrOutOfBrokers, errs...)
}

// answered notes who has answered, and which brokers there are.
func (t *Transport) answered(a *asker, response *sarama.MetadataResponse) {
	if !t.owned {
		return
	}
	addrs := slices.Clone(t.cfg.Addrs)
	for _, b := range response.Brokers {
		addrs = append(addrs, b.Addr())
	}
	for _, dropped := range t.askers.adopt(a, addrs) {
		// It waits for a question that may be open there.
		t.spawn(func() { _ = dropped.Close() })
	}
}

// askOne asks a broker. It ends when the broker answers, when its read timeout
// has passed, or when the transport is aborted.
func (t *Transport) askOne(a *asker, topics []string) (*sarama.MetadataResponse, error) {
	a.open.Add(1)
	defer a.open.Add(-1)
	conf := t.client.Config()
	request := sarama.NewMetadataRequest(conf.Version, topics)
	request.AllowAutoTopicCreation = t.cfg.Sarama.Metadata.AllowAutoTopicCreation
	for again := false; ; again = true {
		// That it is open already is as it should be; any other error comes
		// again below.
		old := a.Open(conf) != nil
		response, err := a.GetMetadata(request)
		if err == nil {
			switch {
			case !complete(response, topics):
				return nil, errIncomplete
			case t.owned && !t.cluster.same(response.ClusterID):
				return nil, errOtherCluster
			}
			return response, nil
		}
		// As sarama does: a broken connection that is not closed is never
		// opened again.
		_ = a.Close()
		// Brokers close connections on which nothing was asked for long.
		if timeout, ok := errors.AsType[net.Error](err); !old || again || ok && timeout.Timeout() {
			return nil, err
		}
	}
}

// errIncomplete is why an answer is of no use. A broker that is just starting
// knows no brokers.
var errIncomplete = errors.New("the broker's answer is incomplete")

func complete(response *sarama.MetadataResponse, topics []string) bool {
	for _, topic := range topics {
		if !slices.ContainsFunc(response.Topics, func(t *sarama.TopicMetadata) bool { return t.Name == topic }) {
			return false
		}
	}
	return len(response.Brokers) > 0
}

// refresh sees to it that the metadata of topics is fetched. It returns when
// that has succeeded or failed once, or ctx ends, and soon in any case.
func (t *Transport) refresh(ctx context.Context, topics ...string) {
	ctx, cancel := context.WithTimeout(ctx, refreshing)
	defer cancel()
	if t.owned {
		_ = t.cluster.refresh(ctx, topics...) // whoever needs it looks into the cache
		return
	}
	t.refreshBorrowed(ctx, topics)
}

// refreshBorrowed makes a borrowed client fetch metadata. It may ask a broker
// that answers nothing, and would wait for that until its read timeout, so it is
// made to ask again.
func (t *Transport) refreshBorrowed(ctx context.Context, topics []string) {
	const most = 2
	done := make(chan struct{}, most) // as many as may come, so that none waits
	timer := time.NewTimer(hedge)
	defer timer.Stop()
	for range most {
		if t.refreshes.Add(1) > maxRefreshes || !t.spawn(func() {
			defer t.refreshes.Add(-1)
			_ = t.client.RefreshMetadata(topics...) // whoever needs it looks into the cache
			done <- struct{}{}
		}) {
			t.refreshes.Add(-1)
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
		timer.Reset(hedge)
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
