package transport

import (
	"cmp"
	"context"
	"slices"
	"sync"
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
	// Client is nil. sarama's producer calls none of the methods that are not
	// defined below; those of transactions are to be added with them.
	sarama.Client

	conf *sarama.Config
	// question asks the cluster about topics, see Transport.question.
	question func(ctx context.Context, topics []string) (*sarama.MetadataResponse, error)
	// spawn runs a goroutine that Close waits for, see Transport.spawn.
	spawn func(func()) bool
	// initial are the brokers that may be asked for a producer id.
	initial func() []*sarama.Broker
	ctx     context.Context //nolint:containedctx // ends the questions; it belongs to the transport, not to a call

	mu     sync.RWMutex // held for a few instructions, never while a broker is waited for
	id     string       // the cluster's; empty: not told yet
	topics map[string]*topology
	// brokers are the leaders' connections by id. One that the cluster no
	// longer names, or at another address, becomes former: an answer may still
	// be on its way to it.
	brokers map[int32]*sarama.Broker
	former  []formerBroker
	turn    int // of initial

	// next collects the topics that are to be asked for. It is asked when the
	// question before it is answered, so that a thousand partitions that look
	// for their leaders are one question. nil: nothing to ask.
	next   *flight
	flying bool
	closed bool
}

// topology is what is known of a topic. It is never changed, only replaced.
type topology struct {
	id         sarama.Uuid // zero from old brokers
	partitions map[int32]*sarama.PartitionMetadata
	all        []int32 // their ids, in order
	writable   []int32 // without those that have no leader
}

type formerBroker struct {
	broker *sarama.Broker
	since  time.Time
}

func newCluster(t *Transport) *cluster {
	return &cluster{
		conf: t.connections, question: t.question, spawn: t.spawn, ctx: t.aborted,
		initial: func() (list []*sarama.Broker) {
			for _, a := range t.askers.all() {
				list = append(list, a.Broker)
			}
			return list
		},
		topics: make(map[string]*topology), brokers: make(map[int32]*sarama.Broker),
	}
}

// Config is that of the connections.
func (c *cluster) Config() *sarama.Config { return c.conf }

// Closed reports whether Close was called.
func (c *cluster) Closed() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.closed
}

// Close closes the connections. They are to be cut before: else it waits for
// what is on its way on them.
func (c *cluster) Close() error {
	c.mu.Lock()
	c.closed = true
	open := make([]*sarama.Broker, 0, len(c.brokers)+len(c.former))
	for _, b := range c.brokers {
		open = append(open, b)
	}
	for _, f := range c.former {
		open = append(open, f.broker)
	}
	c.mu.Unlock()
	for _, b := range open {
		_ = b.Close() // one that is closed already says so
	}
	return nil
}

// Partitions returns all partitions of a topic. It asks for a topic that is not
// known.
func (c *cluster) Partitions(topic string) ([]int32, error) {
	return c.lookUp(topic, func(t *topology) []int32 { return t.all })
}

// WritablePartitions returns those that have a leader.
func (c *cluster) WritablePartitions(topic string) ([]int32, error) {
	return c.lookUp(topic, func(t *topology) []int32 { return t.writable })
}

func (c *cluster) lookUp(topic string, of func(*topology) []int32) ([]int32, error) {
	if t := c.topic(topic); t != nil && len(of(t)) > 0 {
		return of(t), nil
	}
	err := c.RefreshMetadata(topic)
	// What is wrong may be wrong with others of its partitions only.
	if t := c.topic(topic); t != nil && len(of(t)) > 0 {
		return of(t), nil
	}
	if err == nil {
		err = sarama.ErrLeaderNotAvailable
	}
	return nil, err
}

func (c *cluster) topic(name string) *topology {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.topics[name]
}

// Leader returns the connection to the leader of a partition, and begins to
// connect if that is not done. It asks if no leader is known.
func (c *cluster) Leader(topic string, partition int32) (*sarama.Broker, error) {
	b, err := c.knownLeader(topic, partition)
	if err != nil {
		refreshErr := c.RefreshMetadata(topic)
		// What is wrong may be wrong with others of its partitions only.
		if b, err = c.knownLeader(topic, partition); err != nil {
			return nil, cmp.Or(refreshErr, err)
		}
	}
	// Without a lock: it connects in the background. What is opened while the
	// transport ends is refused by the dialer.
	_ = b.Open(c.conf)
	return b, nil
}

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

// LeastLoadedBroker is whom sarama asks for a producer id: each in turn, because
// one that fails is not asked again. The first is the one that has answered
// already.
func (c *cluster) LeastLoadedBroker() *sarama.Broker {
	brokers := c.initial()
	if len(brokers) == 0 {
		return nil
	}
	c.mu.Lock()
	b := brokers[c.turn%len(brokers)]
	c.turn++
	c.mu.Unlock()
	_ = b.Open(c.conf)
	return b
}

// flight is one question to the cluster.
type flight struct {
	topics []string
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

// RefreshMetadata asks the cluster about topics, and returns what is wrong with
// the first one of them that is not in order.
func (c *cluster) RefreshMetadata(topics ...string) error { return c.refresh(c.ctx, topics...) }

// refresh is RefreshMetadata for a caller who may leave earlier. The answer is
// taken in all the same.
func (c *cluster) refresh(ctx context.Context, topics ...string) error {
	f, err := c.board(topics)
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

// board adds topics to the next question, and sees to it that it is asked.
func (c *cluster) board(topics []string) (*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, sarama.ErrClosedClient
	}
	if c.next == nil {
		c.next = &flight{done: make(chan struct{})}
	}
	for _, topic := range topics {
		if !slices.Contains(c.next.topics, topic) {
			c.next.topics = append(c.next.topics, topic)
		}
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
		c.mu.Unlock()
		if f == nil {
			return
		}
		response, err := c.question(c.ctx, f.topics)
		if err != nil {
			f.err = err
		} else {
			f.codes = c.learn(response, f.topics)
		}
		close(f.done)
	}
}

// keepFresh asks again for all topics that are known, every so often, so that
// partitions that are added are found.
func (c *cluster) keepFresh(wait func(time.Duration) bool) {
	for c.conf.Metadata.RefreshFrequency > 0 && wait(c.conf.Metadata.RefreshFrequency) {
		c.mu.RLock()
		topics := make([]string, 0, len(c.topics))
		for topic := range c.topics {
			topics = append(topics, topic)
		}
		c.mu.RUnlock()
		if len(topics) > 0 {
			_ = c.RefreshMetadata(topics...) // whoever needs them asks again
		}
	}
}
