package kafkatest

import "time"

// DelayRequests has every request arrive at its broker later by d than it was
// sent, as over a long line. The delay counts from the moment at which the
// request comes in, so requests that are sent one behind the other are delayed
// by d each, and not one after the other. Nothing of a request is stored while
// it is delayed.
//
// Requests on a connection keep their order: those behind a delayed one wait for
// it. Other connections are not held up. When several delays match a request,
// the longest counts. A delayed request reaches its broker even if the client
// closes the connection meanwhile. Of one connection up to 64 requests wait
// here, more stay in the buffers of the network.
//
// After [Fault.Remove] and [Fault.Release] what is delayed goes on at once. When
// the broker is taken away by [Cluster.StopBroker], [Cluster.Outage] or
// [Cluster.Close], it is lost, and not stored.
func (c *Cluster) DelayRequests(d time.Duration, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: waitBefore, delay: d}, opts)
}

// DelayResponses has every answer arrive at its client later by d than the
// broker gave it. The records are stored, and the broker goes on to the next
// request, which may be delayed in its turn: answers that are given one behind
// the other are delayed by d each, and not one after the other.
//
// Answers on a connection keep their order: those behind a delayed one wait for
// it. Other connections are not held up. When several delays match, the longest
// counts. Requests with acks=0 have no answer and are no hits.
//
// After [Fault.Remove] and [Fault.Release] what is delayed goes on at once. When
// the client or the broker ends the connection, it is lost.
func (c *Cluster) DelayResponses(d time.Duration, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: waitAfter, delay: d}, opts)
}

// HoldRequests holds requests back before they reach their broker, until
// [Fault.Release] or [Fault.Remove]: nothing of them is stored before that.
// Times(1) holds one request, and leaves it held; those that come behind it on
// the same connection wait for it as with [Cluster.DelayRequests], of which this
// is the form without an end.
//
// A held request reaches its broker even if its client has closed the
// connection long ago. This is how a stray request of the past is made, which
// arrives after the one that was sent to replace it.
func (c *Cluster) HoldRequests(opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: waitBefore, hold: true}, opts)
}

// HoldResponses holds answers back, until [Fault.Release] or [Fault.Remove]. The
// records are stored before a hit is counted. It is [Cluster.DelayResponses]
// without an end.
func (c *Cluster) HoldResponses(opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: waitAfter, hold: true}, opts)
}

// TrickleResponses sends answers in slices of some bytes, the first at once and
// then one every d: over a line that carries bytes/d. The records are stored
// before that. Later answers on the connection come behind; other connections
// are not held up. Of several such faults the first counts. Requests with acks=0
// have no answer and are no hits.
//
// After [Fault.Remove] the rest of an answer goes out at once. With bytes below
// 1 slices are of one byte.
func (c *Cluster) TrickleResponses(bytes int, d time.Duration, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: trickle, bytes: max(bytes, 1), delay: max(d, 1)}, opts)
}

// CutRequests closes the connection when the first n bytes of a request have
// come in, counted from the four bytes of its length. The broker sees nothing of
// the request and stores nothing. If n is as large as the request or larger, the
// whole has come in and is lost all the same. The first 14 bytes come in in any
// case, and with OnTopic or OnPartition all of them do: they are needed to know
// what the request is.
//
// A short request is in the buffers of the network when the connection closes,
// whatever n is: its client has written all of it. Requests before it that have
// not been answered yet lose their answer, though they may be stored; those that
// are delayed or held on the connection are lost, and not stored.
func (c *Cluster) CutRequests(n int, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: cutBefore, bytes: max(n, 0)}, opts)
}

// CutResponses sends the first n bytes of an answer, counted from the four bytes
// of its length, and closes the connection. The records are stored. With n below
// 1 the connection closes without a byte, and if n is as large as the answer or
// larger, the whole answer comes first. Requests behind it on the connection may
// be stored; they get no answer. Those with acks=0 have no answer and are no
// hits.
func (c *Cluster) CutResponses(n int, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: cutAfter, bytes: max(n, 0)}, opts)
}

// Unplug keeps brokers, all of them if none is named, off the network, as if
// their cable had been pulled: nothing passes in either direction, and nobody is
// told. New connections are accepted, which the operating system does, and are
// as silent. The brokers lead their partitions still; use [Cluster.MoveLeader]
// if the cluster is to notice.
//
// Nothing is stored of requests that come after it. What a client sends stays in
// the buffers of the network, so a client that goes on sending is blocked in its
// writes when they are full. Hits count requests and answers that have come to
// the gap; the first of them on a connection stops what is behind it, which is
// not counted.
//
// After [Fault.Remove] everything goes on from where it stopped, in order, on
// the same connections: requests that were sent meanwhile are stored, also those
// of clients that have given up. StopBroker and Outage cut the connections of a
// broker without a cable as well.
func (c *Cluster) Unplug(brokers ...int32) *Fault {
	return c.install(&Fault{kinds: unplug}, []FaultOption{OnBroker(brokers...)})
}
