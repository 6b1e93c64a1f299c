package transport

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// cluster is what is known of the cluster of an owned client: which partitions
// a topic has, who leads them, and the connections to the leaders.
//
// It stands in the place of sarama's own client, which asks for metadata on the
// connections that messages go over. A sarama.Broker is locked while it waits
// for such an answer, and sarama's client looks into the locks of all brokers to
// choose one, with its own lock held: one broker that has stopped answering
// would stop every look-up for as long as the read timeout. Here questions go
// over connections of their own, and no lock is held while one is open.
type cluster struct {
	conf  *sarama.Config
	seeds []string // the addresses that were configured
	// question asks the cluster about topics, and adopt makes addresses the
	// ones that are asked: see askers.
	question func(ctx context.Context, topics []string, late func(*sarama.MetadataResponse)) (*sarama.MetadataResponse, error)
	adopt    func(addrs []string)
	// spawn runs a goroutine that Close waits for, see Transport.spawn, and
	// hangUp closes a connection after a while, see Transport.hangUp.
	spawn  func(func()) bool
	hangUp func(b *sarama.Broker, after time.Duration)
	// wait waits that long, or until the transport is aborted.
	wait func(time.Duration) bool
	ctx  context.Context //nolint:containedctx // ends the questions; it belongs to the transport, not to a call

	// mu is held for as long as it takes to put in what is learned, never
	// while a broker is waited for.
	mu     sync.RWMutex
	id     string // the cluster's; empty: not told yet
	topics map[string]*topology
	// brokers are the connections to leaders, by id. One of them is opened
	// with mu held, and one that is taken out is closed after that: so none is
	// opened that nobody will close.
	brokers map[int32]*sarama.Broker
	// asked and learned number the questions: the one that was asked last, and
	// the last one of which the answer was taken in.
	asked, learned int
	// version changes after each answer that was taken in.
	version atomic.Int64

	// next collects the topics that are to be asked for. It is asked when the
	// question before it is answered, so that a thousand partitions that look
	// for their leaders are one question. nil: nothing to ask.
	next   *flight
	flying bool
	closed bool

	// initial is whom a producer id is asked of, and turn counts how often.
	initial *sarama.Broker
	turn    int
}

// topology is what is known of a topic. It is never changed, only replaced.
type topology struct {
	id         sarama.Uuid // zero from old brokers
	partitions map[int32]*sarama.PartitionMetadata
	all        []int32 // their ids, in order
	writable   []int32 // without those that have no leader
}

// close closes the connections. They are to be cut before: else it waits for
// what is on its way on them.
func (c *cluster) close() {
	c.mu.Lock()
	c.closed = true
	open := append(slices.Collect(maps.Values(c.brokers)), c.initial)
	c.mu.Unlock()
	for _, b := range open {
		_ = b.Close() // one that is closed already says so
	}
}

// topic returns what is known of a topic, nil if it is not known.
func (c *cluster) topic(name string) *topology {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.topics[name]
}

// open begins to connect, unless the broker has been replaced: what uses it
// after that must not open what was closed. It does not wait with mu held:
// sarama connects in the background.
func (c *cluster) open(b *sarama.Broker) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed || c.brokers[b.ID()] != b {
		return sarama.ErrNotConnected
	}
	return b.Open(c.conf)
}

// knownLeader returns the broker that leads a partition. It asks nobody.
func (c *cluster) knownLeader(topic string, partition int32) (*sarama.Broker, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, sarama.ErrClosedClient
	}
	t := c.topics[topic]
	if t == nil {
		return nil, sarama.ErrUnknownTopicOrPartition
	}
	p := t.partitions[partition]
	if p == nil {
		return nil, sarama.ErrUnknownTopicOrPartition
	}
	b := c.brokers[p.Leader]
	if b == nil || leaderless(p) {
		return nil, sarama.ErrLeaderNotAvailable
	}
	return b, nil
}

func leaderless(p *sarama.PartitionMetadata) bool {
	return p.Err == sarama.ErrLeaderNotAvailable || p.Leader < 0
}

// identifier is whom to ask for a producer id: first the broker that has answered
// already, then each in turn, those that were learned too: the addresses that were
// configured may have gone.
func (c *cluster) identifier() *sarama.Broker {
	c.mu.Lock()
	old, turn := c.initial, c.turn
	c.turn++
	if turn > 0 {
		addrs := slices.Clone(c.seeds)
		for _, id := range slices.Sorted(maps.Keys(c.brokers)) {
			addrs = append(addrs, c.brokers[id].Addr())
		}
		c.initial = sarama.NewBroker(addrs[turn%len(addrs)])
	}
	b := c.initial
	c.mu.Unlock()
	if turn > 0 {
		c.hangUp(old, 0)
	}
	_ = b.Open(c.conf)
	return b
}

// flight is one question to the cluster.
type flight struct {
	topics map[string]struct{}
	done   chan struct{}
	// err is why there was no answer, codes what was wrong with topics. Written
	// before done is closed, read after it.
	err   error
	codes map[string]sarama.KError
}

// failure is what became of some of the topics.
func (f *flight) failure(topics []string) error {
	if f.err != nil {
		return f.err
	}
	for _, topic := range topics {
		if code, ok := f.codes[topic]; ok {
			return code
		}
	}
	return nil
}

// refresh asks the cluster about topics, and returns what is wrong with the first
// one of them that is not in order. Who leaves early, because ctx ends, finds the
// answer later.
func (c *cluster) refresh(ctx context.Context, topics ...string) error {
	f, err := c.join(topics)
	if err != nil {
		return err
	}
	select {
	case <-f.done:
		return f.failure(topics)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// join adds topics to the next question, and sees to it that it is asked.
func (c *cluster) join(topics []string) (*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, sarama.ErrClosedClient
	}
	if c.next == nil {
		c.next = &flight{topics: make(map[string]struct{}), done: make(chan struct{})}
	}
	for _, topic := range topics {
		c.next.topics[topic] = struct{}{}
	}
	f := c.next
	if !c.flying {
		if !c.spawn(c.fly) {
			return nil, sarama.ErrClosedClient
		}
		c.flying = true
	}
	return f, nil
}

// fly asks one question after the other until there is none.
func (c *cluster) fly() {
	for {
		c.mu.Lock()
		f := c.next
		c.next = nil
		c.flying = f != nil
		c.asked++
		number := c.asked
		c.mu.Unlock()
		if f == nil {
			return
		}
		topics := slices.Collect(maps.Keys(f.topics))
		response, err := c.question(c.ctx, topics, func(late *sarama.MetadataResponse) { c.learn(late, topics, number) })
		if err != nil {
			f.err = err
		} else {
			f.codes = c.learn(response, topics, number)
		}
		close(f.done)
	}
}

// keepFresh asks again for all topics that are known, every so often, so that
// partitions that are added are found.
func (c *cluster) keepFresh() {
	for c.conf.Metadata.RefreshFrequency > 0 && c.wait(c.conf.Metadata.RefreshFrequency) {
		c.mu.RLock()
		topics := slices.Collect(maps.Keys(c.topics))
		c.mu.RUnlock()
		if len(topics) > 0 {
			_ = c.refresh(c.ctx, topics...) // whoever needs them asks again
		}
	}
}
