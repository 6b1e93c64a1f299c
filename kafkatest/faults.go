package kafkatest

import (
	"context"
	"slices"
	"time"
)

// Fault is a way in which the brokers or the network misbehave, from the call
// that made it until it is removed, has happened as often as [Times] says, or
// the cluster is closed. It applies to connections that are already there as
// well, and it lives on through StopBroker, Outage and what follows them.
//
// Faults on requests apply to those that come in from then on, and faults on
// answers to the answers of requests that reach their broker from then on:
// the records of a request that is being served may be acknowledged as usual.
//
// All methods are safe for concurrent use.
type Fault struct {
	wire       *wire
	kinds      kind
	code       int16
	topics     []string
	partitions []int32
	brokers    []int32
	keys       []int16
	text       string        // for clusterID
	bytes      int           // where to cut, or how long a slice is
	delay      time.Duration // of whatever a fault delays, or waits for
	hold       bool          // delayed until it is released
	reset      bool          // close with RST
	garble     GarbleFunc

	removed chan struct{} // closed by Remove

	// Guarded by wire.mu.
	left     int           // how many requests it still takes; negative: no limit
	count    int           // hits so far
	changed  chan struct{} // closed and replaced with every hit
	released chan struct{} // closed and replaced by Release
	gone     bool          // removed is closed
}

// Hits returns how many requests the fault has spoiled so far. A request is
// counted when its fate is sealed, which is after its records have been stored,
// if they are, and before its client can notice anything. A request for several
// partitions counts once. Faults on connections count connections.
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

// Release lets go of everything that the fault holds back or delays at the
// moment, and leaves the fault in place: what comes later is held back again.
// On each connection things go on in the order in which they came; those of
// different connections go on at the same time. Release returns before they
// have arrived. It is for [Cluster.DelayRequests], [Cluster.DelayResponses],
// [Cluster.HoldRequests] and [Cluster.HoldResponses], and does nothing to others.
func (f *Fault) Release() {
	f.wire.mu.Lock()
	defer f.wire.mu.Unlock()
	close(f.released)
	f.released = make(chan struct{})
}

// Remove ends the fault. What it holds back or delays goes on as with
// [Fault.Release]. Any other request that it has caught keeps its fate: one that
// was left without an answer stays so. Removing a fault again does nothing.
func (f *Fault) Remove() {
	f.wire.mu.Lock()
	defer f.wire.mu.Unlock()
	if f.gone {
		return
	}
	f.gone = true
	f.left = 0
	f.wire.prune()
	close(f.removed)
	close(f.released)
	f.released = make(chan struct{})
}

// take uses up one of a fault's times, and reports whether it had one left.
// Callers hold wire.mu, and prune when they have gone through the faults.
func (f *Fault) take() bool {
	if f.left > 0 {
		f.left--
		return true
	}
	return f.left < 0
}

// hit counts. Callers hold wire.mu.
func (f *Fault) hit() {
	f.count++
	close(f.changed)
	f.changed = make(chan struct{})
}

// FaultOption narrows down what a fault applies to, or says how. Options of
// different kinds must all match; without one a fault applies to all topics,
// partitions and brokers, until it is removed.
type FaultOption interface {
	applyFault(f *Fault)
}

type faultOptionFunc func(*Fault)

func (fn faultOptionFunc) applyFault(f *Fault) { fn(f) }

// Times makes a fault end by itself after n requests, or after n connections if
// that is what it counts. The default is to go on until it is removed. With n
// below 1 the fault never happens.
func Times(n int) FaultOption {
	return faultOptionFunc(func(f *Fault) { f.left = max(n, 0) })
}

// OnTopic limits a fault to some topics, which need not exist. The default is
// all. Given twice, the names add up. A fault on requests of every kind then
// applies to produce requests for one of the topics only.
func OnTopic(names ...string) FaultOption {
	return faultOptionFunc(func(f *Fault) { f.topics = append(f.topics, names...) })
}

// OnPartition limits a fault to partitions with these numbers. The default is
// all. Given twice, the numbers add up. Faults on metadata, which concern a
// whole topic, are not limited by it. A fault on requests of every kind then
// applies to produce requests for one of the partitions only.
func OnPartition(partitions ...int32) FaultOption {
	return faultOptionFunc(func(f *Fault) { f.partitions = append(f.partitions, partitions...) })
}

// OnBroker limits a fault to requests and connections to brokers with these ids.
// The default is all. Given twice, the ids add up.
func OnBroker(ids ...int32) FaultOption {
	return faultOptionFunc(func(f *Fault) { f.brokers = append(f.brokers, ids...) })
}

// OnKey limits a fault on requests of every kind to those with these API keys,
// such as 0 (Produce), 3 (Metadata), 18 (ApiVersions), 22 (InitProducerId) and
// 26 (EndTxn). The default is all. Given twice, the keys add up. Faults that
// have a kind of request in their name are not limited by it.
func OnKey(keys ...int16) FaultOption {
	return faultOptionFunc(func(f *Fault) { f.keys = append(f.keys, keys...) })
}

// Reset makes a fault that closes connections do so with a RST: the client gets
// "connection reset by peer". What it has not read by then may be lost. The
// default is a FIN, which the client reads as the end of the stream.
func Reset() FaultOption {
	return faultOptionFunc(func(f *Fault) { f.reset = true })
}

// install adds a fault that has its kind and what belongs to it.
func (c *Cluster) install(f *Fault, opts []FaultOption) *Fault {
	f.wire = c.wire
	f.left = -1
	f.changed = make(chan struct{})
	f.released = make(chan struct{})
	f.removed = make(chan struct{})
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

func (f *Fault) matchesAny(ids []partitionID) bool {
	return slices.ContainsFunc(ids, func(id partitionID) bool { return f.matches(id.topic, id.partition) })
}

// narrow reports whether the fault is not about all topics and partitions.
func (f *Fault) narrow() bool {
	return len(f.topics) > 0 || len(f.partitions) > 0
}

// onRequest is for faults on requests of every kind. It reports whether this one
// matches. The partitions are asked for only if they matter; there are none
// unless it is a produce request.
func (f *Fault) onRequest(key int16, partitions func() []partitionID) bool {
	return f.onKey(key) && (!f.narrow() || f.matchesAny(partitions()))
}

func (f *Fault) onKey(key int16) bool {
	return len(f.keys) == 0 || slices.Contains(f.keys, key)
}

func (f *Fault) onTopic(topic string) bool {
	return len(f.topics) == 0 || slices.Contains(f.topics, topic)
}

func (f *Fault) onBroker(id int32) bool {
	return len(f.brokers) == 0 || slices.Contains(f.brokers, id)
}
