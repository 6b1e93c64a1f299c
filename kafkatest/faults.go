package kafkatest

import (
	"context"
	"slices"
)

// Fault is a way in which the brokers misbehave, from the call that made it
// until it is removed, has happened as often as [Times] says, or the cluster is
// closed. It applies to connections and requests that are already there as
// well, and it lives on through StopBroker, Outage and what follows them.
//
// All methods are safe for concurrent use.
type Fault struct {
	wire       *wire
	kinds      kind
	code       int16
	topics     []string
	partitions []int32
	brokers    []int32

	// Guarded by wire.mu.
	left    int           // how many requests it still takes; negative: no limit
	count   int           // hits so far
	changed chan struct{} // closed and replaced with every hit
}

// Hits returns how many requests the fault has spoiled so far. A request is
// counted when its fate is sealed, which is after its records have been stored,
// if they are, and before its client can notice anything. A request for several
// partitions counts once.
func (f *Fault) Hits() int {
	f.wire.mu.Lock()
	defer f.wire.mu.Unlock()
	return f.count
}

// Wait returns nil when the fault has n hits or more. Before that it returns
// the cause when ctx ends, or [ErrClosed] when the cluster is closed. A removed
// fault keeps its hits and gets no more: only ctx ends a wait for them.
func (f *Fault) Wait(ctx context.Context, n int) error {
	for {
		f.wire.mu.Lock()
		enough, changed := f.count >= n, f.changed
		f.wire.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-f.wire.done:
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Remove ends the fault. A request that it has caught keeps its fate: one that
// was left without an answer stays so. Removing a fault again does nothing.
func (f *Fault) Remove() {
	f.wire.mu.Lock()
	defer f.wire.mu.Unlock()
	f.left = 0
	f.wire.prune()
}

// hit counts. Callers hold wire.mu.
func (f *Fault) hit() {
	f.count++
	close(f.changed)
	f.changed = make(chan struct{})
}

// FaultOption narrows down what a fault applies to. Options of different kinds
// must all match; without one a fault applies to all topics, partitions and
// brokers, until it is removed.
type FaultOption interface {
	applyFault(f *Fault)
}

type faultOptionFunc func(*Fault)

func (fn faultOptionFunc) applyFault(f *Fault) { fn(f) }

// Times makes a fault end by itself after n requests. The default is to go on
// until it is removed. With n below 1 the fault never happens.
func Times(n int) FaultOption {
	return faultOptionFunc(func(f *Fault) { f.left = max(n, 0) })
}

// OnTopic limits a fault to some topics, which need not exist. The default is
// all. Given twice, the names add up.
func OnTopic(names ...string) FaultOption {
	return faultOptionFunc(func(f *Fault) { f.topics = append(f.topics, names...) })
}

// OnPartition limits a fault to partitions with these numbers. The default is
// all. Given twice, the numbers add up. Faults on metadata, which concern a
// whole topic, are not limited by it.
func OnPartition(partitions ...int32) FaultOption {
	return faultOptionFunc(func(f *Fault) { f.partitions = append(f.partitions, partitions...) })
}

// OnBroker limits a fault to requests to brokers with these ids. The default is
// all. Given twice, the ids add up.
func OnBroker(ids ...int32) FaultOption {
	return faultOptionFunc(func(f *Fault) { f.brokers = append(f.brokers, ids...) })
}

// FailProduce makes brokers answer produce requests with an error code of the
// Kafka protocol, and not store the records. Partitions of a request that the
// fault does not match are stored and acknowledged as usual. An idempotent
// producer's sequence does not advance, as with a broker that refuses a batch.
//
// Code 0 stands for no error: the records are acknowledged and lost. A request
// with acks=0 is not answered, and its records are lost.
func (c *Cluster) FailProduce(code int16, opts ...FaultOption) *Fault {
	return c.install(failBefore, code, opts)
}

// FailProduceAfterAppend makes brokers store the records and answer with an
// error code all the same, as a broker does that times out waiting for its
// replicas (REQUEST_TIMED_OUT, 7) or finds too few of them afterwards
// (NOT_ENOUGH_REPLICAS_AFTER_APPEND, 20). A plain producer that tries again
// writes duplicates; an idempotent one must not.
//
// It happens to batches that were stored or recognized as already stored: what
// the broker refuses for a reason of its own is answered with that reason, and
// is no hit. Requests with acks=0 have no answer and are no hits.
func (c *Cluster) FailProduceAfterAppend(code int16, opts ...FaultOption) *Fault {
	return c.install(failAfter, code, opts)
}

// LoseProduceResponse makes brokers store the records and close the connection
// in place of the answer. It happens to requests with at least one matching
// partition that was stored; those with acks=0 have no answer and are no hits.
// The answers to later requests on the connection are lost with it.
func (c *Cluster) LoseProduceResponse(opts ...FaultOption) *Fault {
	return c.install(lose, 0, opts)
}

// DropProduce makes brokers close the connection on which a produce request
// comes and store nothing of it. Requests before it on the same connection that
// have not been answered yet lose their answer, though they may be stored.
func (c *Cluster) DropProduce(opts ...FaultOption) *Fault {
	return c.install(drop, 0, opts)
}

// IgnoreProduce makes brokers store nothing of a produce request and never
// answer it. The connection stays open, takes whatever the client sends, and
// answers nothing that comes after the ignored request, since answers come in
// order; requests before it are answered. The client gets further on another
// connection, once it has given up on this one.
func (c *Cluster) IgnoreProduce(opts ...FaultOption) *Fault {
	return c.install(ignore, 0, opts)
}

// Freeze makes brokers, all of them if none is named, accept connections and
// requests and answer nothing, as a host does that hangs. Answers that are due
// are withheld too. They lead their partitions still; use [Cluster.MoveLeader]
// if the cluster is to notice.
//
// After [Fault.Remove] the brokers serve new connections, and those on which
// nothing was withheld. The others stay silent until the client gives them up.
func (c *Cluster) Freeze(brokers ...int32) *Fault {
	return c.install(freeze, 0, []FaultOption{OnBroker(brokers...)})
}

// FailMetadata makes brokers answer requests for the metadata of a topic with
// an error code, such as LEADER_NOT_AVAILABLE (5) or TOPIC_AUTHORIZATION_FAILED
// (29), and without partitions. Clients that know the partitions already can
// still produce. A topic that does not exist matches as well. Code 0 makes the
// topic one without partitions.
func (c *Cluster) FailMetadata(topic string, code int16, opts ...FaultOption) *Fault {
	return c.install(metadata, code, append([]FaultOption{OnTopic(topic)}, opts...))
}

// HideTopic makes a topic look as if it did not exist, though its records stay:
// metadata and produce requests for it are answered with
// UNKNOWN_TOPIC_OR_PARTITION (3), and lists of all topics do not have it. The
// hits count requests of both kinds.
func (c *Cluster) HideTopic(name string, opts ...FaultOption) *Fault {
	return c.install(metadata|failBefore, unknownTopic, append([]FaultOption{OnTopic(name)}, opts...))
}

func (c *Cluster) install(kinds kind, code int16, opts []FaultOption) *Fault {
	f := &Fault{wire: c.wire, kinds: kinds, code: code, left: -1, changed: make(chan struct{})}
	for _, opt := range opts {
		opt.applyFault(f)
	}
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	c.wire.faults = append(c.wire.faults, f)
	c.wire.prune() // of Times(0)
	return f
}

// matches reports whether the fault is about this partition of this topic.
func (f *Fault) matches(topic string, partition int32) bool {
	return f.onTopic(topic) &&
		(len(f.partitions) == 0 || slices.Contains(f.partitions, partition))
}

func (f *Fault) onTopic(topic string) bool {
	return len(f.topics) == 0 || slices.Contains(f.topics, topic)
}

func (f *Fault) onBroker(id int32) bool {
	return len(f.brokers) == 0 || slices.Contains(f.brokers, id)
}
