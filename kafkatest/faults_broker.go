package kafkatest

import "time"

// FailProduce makes brokers answer produce requests with an error code of the
// Kafka protocol, and not store the records. Partitions of a request that the
// fault does not match are stored and acknowledged as usual. An idempotent
// producer's sequence does not advance, as with a broker that refuses a batch.
//
// Code 0 stands for no error: the records are acknowledged and lost. A request
// with acks=0 is not answered, and its records are lost.
func (c *Cluster) FailProduce(code int16, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: failBefore, code: code}, opts)
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
	return c.install(&Fault{kinds: failAfter, code: code}, opts)
}

// LoseProduceResponse makes brokers store the records and close the connection
// in place of the answer. It happens to requests with at least one matching
// partition that was stored; those with acks=0 have no answer and are no hits.
// The answers to later requests on the connection are lost with it.
func (c *Cluster) LoseProduceResponse(opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: lose}, opts)
}

// DropProduce makes brokers close the connection on which a produce request
// comes and store nothing of it. Requests before it on the same connection that
// have not been answered yet lose their answer, though they may be stored.
func (c *Cluster) DropProduce(opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: drop}, opts)
}

// IgnoreProduce makes brokers store nothing of a produce request and never
// answer it. The connection stays open, takes whatever the client sends, and
// answers nothing that comes after the ignored request, since answers come in
// order; requests before it are answered. The client gets further on another
// connection, once it has given up on this one.
func (c *Cluster) IgnoreProduce(opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: ignore}, opts)
}

// Freeze makes brokers, all of them if none is named, accept connections and
// requests and answer nothing, as a host does that hangs. Answers that are due
// are withheld too. They lead their partitions still; use [Cluster.MoveLeader]
// if the cluster is to notice.
//
// After [Fault.Remove] the brokers serve new connections, and those on which
// nothing was withheld. The others stay silent until the client gives them up.
func (c *Cluster) Freeze(brokers ...int32) *Fault {
	return c.install(&Fault{kinds: freeze}, []FaultOption{OnBroker(brokers...)})
}

// FailMetadata makes brokers answer requests for the metadata of a topic with
// an error code, such as LEADER_NOT_AVAILABLE (5) or TOPIC_AUTHORIZATION_FAILED
// (29), and without partitions. Clients that know the partitions already can
// still produce. A topic that does not exist matches as well. Code 0 makes the
// topic one without partitions.
func (c *Cluster) FailMetadata(topic string, code int16, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: metadata, code: code}, append([]FaultOption{OnTopic(topic)}, opts...))
}

// HideTopic makes a topic look as if it did not exist, though its records stay:
// metadata and produce requests for it are answered with
// UNKNOWN_TOPIC_OR_PARTITION (3), and lists of all topics do not have it. The
// hits count requests of both kinds.
func (c *Cluster) HideTopic(name string, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: metadata | failBefore, code: unknownTopic}, append([]FaultOption{OnTopic(name)}, opts...))
}

// ThrottleProduce makes brokers ask clients, in the answers to produce requests,
// to wait for d before they send more, as brokers do when a quota is used up.
// The records are stored. Nothing enforces the wait: a client that sends at once
// is served at once. Clients get whole milliseconds. It happens to requests with
// at least one matching partition; those with acks=0 have no answer and are no
// hits.
func (c *Cluster) ThrottleProduce(d time.Duration, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: throttle, delay: max(d, 0)}, opts)
}

// ChangeClusterID makes brokers give another cluster id in their metadata, as
// when the address of a broker has passed to another cluster. All else in the
// metadata stays, and the other requests are served as usual. Hits count
// requests for metadata of version 2 or later, the first that has the id.
// OnTopic and OnPartition do not limit it.
func (c *Cluster) ChangeClusterID(id string, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: clusterID, text: id}, opts)
}
