package kafkatest

import (
	"cmp"
	"slices"
	"time"
)

// minIdle keeps a fault from looking for idle connections all the time.
const minIdle = time.Millisecond

// CloseIdle makes brokers close connections on which nothing has passed for d,
// in either direction, as they do by connections.max.idle.ms. A connection on
// which an answer is awaited counts as idle too, and what is delayed or held on
// it is lost. Hits count connections; those that have been idle for longest go
// first, if [Times] does not let all of them go. OnTopic, OnPartition and OnKey do
// not limit it.
//
// The time of connections that are already there begins with the fault. With d
// below a millisecond it is one.
func (c *Cluster) CloseIdle(d time.Duration, opts ...FaultOption) *Fault {
	f := c.install(&Fault{kinds: idle, delay: max(d, minIdle)}, opts)
	return c.watchIdle(f, func(conn *conn) {
		if f.reset {
			conn.reset()
		} else {
			conn.shut()
		}
	})
}

// ForgetIdle makes the network forget connections on which nothing has passed
// for d, as a firewall or a NAT gateway does. The client is not told: its end
// stays open, and nothing passes in either direction any more. What it sends
// stays in the buffers of the network, so that its writes block when those are
// full. Nothing of it is stored, and what is delayed or held on the connection is
// lost.
//
// What counts as idle, and what is counted, is as with [Cluster.CloseIdle].
// After [Fault.Remove] forgotten connections stay so: their sockets are closed
// when the broker is taken away by [Cluster.StopBroker], [Cluster.Outage] or
// [Cluster.Close].
func (c *Cluster) ForgetIdle(d time.Duration, opts ...FaultOption) *Fault {
	f := c.install(&Fault{kinds: idle, delay: max(d, minIdle)}, opts)
	return c.watchIdle(f, (*conn).strand)
}

// watchIdle has a goroutine end idle connections until the fault or the cluster
// is over. It looks for them for the first time when the fault is old enough:
// since then, traffic is noted.
func (c *Cluster) watchIdle(f *Fault, end func(*conn)) *Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return f
	}
	c.watchers.Go(func() {
		timer := time.NewTimer(f.delay)
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
			case <-f.removed:
				return
			case <-c.wire.done:
				return
			}
			next, over := c.endIdle(f, end)
			if over {
				return
			}
			timer.Reset(next)
		}
	})
	return f
}

// endIdle ends the connections that are idle, those first that have been so for
// longest. It returns when the next one can be, or that the fault is over.
func (c *Cluster) endIdle(f *Fault, end func(*conn)) (next time.Duration, over bool) {
	type candidate struct {
		*conn
		since int64
	}
	var all []candidate
	for _, l := range c.listeners {
		if f.onBroker(l.id) {
			for _, conn := range l.open() {
				all = append(all, candidate{conn, conn.active.Load()})
			}
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(a.since, b.since) })
	next = f.delay
	for _, conn := range all {
		if conn.ending() {
			continue
		}
		// Something may have passed since they were sorted.
		if idle := time.Duration(c.wire.now() - conn.active.Load()); idle < f.delay {
			next = min(next, f.delay-idle)
			continue
		}
		if !c.wire.takeOne(f) {
			return 0, true
		}
		// Whoever has waited for the hit finds that nothing passes.
		conn.silence()
		conn.letGo()
		c.wire.hit(f)
		end(conn.conn)
	}
	return next, false
}

// takeOne takes one of the times of a fault, if there is one left.
func (w *wire) takeOne(f *Fault) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.prune()
	return f.take()
}
