package kafkatest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

// ErrClosed is returned by the methods of a [Cluster] that has been closed, as
// far as they return errors and except Close, and by [Fault.Wait] when the
// cluster is closed meanwhile.
var ErrClosed = errors.New("kafkatest: cluster closed")

// Cluster is a Kafka cluster that runs inside this process and listens on free
// loopback ports. Make one with [Start] or [New]; the zero value is not usable.
//
// All methods are safe for concurrent use.
type Cluster struct {
	wire      *wire
	listeners []*listener // by broker id

	// mu serializes whatever looks at or changes the shape of the cluster.
	// It is held while the broker goroutine is asked to do something, because
	// that goroutine must not be asked anything once it has been closed. The
	// goroutines that serve connections never take it.
	mu     sync.Mutex
	fake   *kfake.Cluster
	closed bool
	outage bool
	// stopped holds the brokers of StopBroker; an outage leaves it alone.
	stopped map[int32]bool

	// readers counts calls that talk to the brokers without holding mu.
	readers sync.WaitGroup
	// watchers counts the goroutines of faults.
	watchers sync.WaitGroup
}

// New starts a cluster of three brokers without topics, or as the options say.
// It returns when the brokers accept connections. The caller must Close it.
//
// The error joins everything that is wrong with the options.
func New(opts ...Option) (*Cluster, error) {
	cfg := defaultConfig()
	for _, opt := range opts {
		opt.apply(&cfg)
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}

	c := &Cluster{wire: newWire(), stopped: make(map[int32]bool)}
	fakeOpts := []kfake.Opt{
		kfake.NumBrokers(cfg.brokers),
		kfake.ListenFn(c.listen),
		kfake.ClusterID(rand.Text()),
		// A released version. It also keeps produce requests below
		// version 13, which name topics by id and so cannot be matched by
		// OnTopic without asking the broker.
		kfake.MaxVersions(kversion.V4_0_0()),
	}
	if cfg.autoCreate {
		fakeOpts = append(fakeOpts, kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(cfg.autoPartitions))
	}
	fake, err := kfake.NewCluster(fakeOpts...)
	if err != nil {
		for _, l := range c.listeners {
			l.wait()
		}
		return nil, fmt.Errorf("kafkatest: start brokers: %w", err)
	}
	c.fake = fake
	for _, spec := range cfg.topics {
		if err := c.createTopic(spec); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Start is [New] for tests: it fails the test if the cluster cannot be started,
// and closes the cluster when the test and its subtests have ended. Close
// clients before: in the test, or with a Cleanup that is registered after Start.
func Start(tb testing.TB, opts ...Option) *Cluster {
	tb.Helper()
	c, err := New(opts...)
	if err != nil {
		tb.Fatalf("kafkatest: start: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("kafkatest: close: %v", err)
		}
	})
	return c
}

// listen is called by kfake once for each broker, in the order of their ids.
func (c *Cluster) listen(_, addr string) (net.Listener, error) {
	l, err := newListener(c.wire, int32(len(c.listeners)), addr)
	if err != nil {
		return nil, err
	}
	c.listeners = append(c.listeners, l)
	return l, nil
}

// Close cuts all connections, ends the brokers and drops what they stored. It
// ends calls to [Cluster.Records] and [Fault.Wait], and waits until nothing
// uses the sockets of the cluster any more. A second call does nothing. The
// error is always nil at present.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	close(c.wire.done)
	c.fake.Close()
	for _, l := range c.listeners {
		l.wait()
	}
	c.readers.Wait()
	c.watchers.Wait()
	return nil
}

// Addrs returns the bootstrap addresses of the brokers, in the order of their
// ids. They stay the same for the life of the cluster, whichever brokers are
// running.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, 0, len(c.listeners))
	for _, l := range c.listeners {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// ProduceRequests returns the number of produce requests that the brokers have
// received from clients so far, including those that a fault then spoiled. Those
// that a fault has cut are not among them, nor those that are delayed or held on
// their way. A request carries a batch for one or more partitions.
func (c *Cluster) ProduceRequests() int {
	return int(c.wire.produced.Load())
}

// CreateTopic creates a topic, at any time: the brokers need not be running.
// Partition p is led by the p-th running broker, counting around. It returns an
// error if the topic exists, if the name is not a valid one or if there is less
// than one partition.
func (c *Cluster) CreateTopic(name string, partitions int, opts ...TopicOption) error {
	return c.createTopic(newTopicSpec(name, partitions, opts))
}

func (c *Cluster) createTopic(spec topicSpec) error {
	if err := spec.validate(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if err := c.fake.CreateTopic(spec.name, int32(spec.partitions), spec.configs()); err != nil {
		return fmt.Errorf("kafkatest: create topic %q: %w", spec.name, err)
	}
	// kfake draws leaders at random. A fixed spread makes tests repeatable and
	// keeps leaders off brokers that are stopped.
	running := c.running()
	for p := range int32(spec.partitions) {
		if err := c.moveLeader(spec.name, p, running[int(p)%len(running)]); err != nil {
			return err
		}
	}
	return nil
}

// DeleteTopic deletes a topic and its records. It returns an error if there is
// no such topic. Faults that name the topic stay, and match a new topic of the
// same name.
func (c *Cluster) DeleteTopic(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if err := c.fake.DeleteTopic(name); err != nil {
		return fmt.Errorf("kafkatest: delete topic %q: %w", name, err)
	}
	return nil
}

// running returns the ids of the brokers that StopBroker has not stopped, in
// order; there is always one. Callers hold mu.
func (c *Cluster) running() []int32 {
	ids := make([]int32, 0, len(c.listeners))
	for _, l := range c.listeners {
		if !c.stopped[l.id] {
			ids = append(ids, l.id)
		}
	}
	return slices.Clip(ids)
}
