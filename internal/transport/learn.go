package transport

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// errOtherCluster is why an answer is not believed. Addresses are used again: a
// broker that has taken over the one of ours would lead messages to a cluster
// that they are not meant for.
var errOtherCluster = errors.New("the broker belongs to another cluster than the one that answered first; " +
	"if the cluster was replaced on purpose, start the producer anew")

// same reports whether that is the cluster that has answered first. Old brokers
// do not tell.
func (c *cluster) same(id *string) bool {
	if id == nil || *id == "" {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == "" {
		c.id = *id
	}
	return c.id == *id
}

// learn takes in what the cluster has answered to a question about topics. It
// returns what is wrong with those of them that are not in order.
func (c *cluster) learn(response *sarama.MetadataResponse, asked []string) map[string]sarama.KError {
	codes := make(map[string]sarama.KError)
	for _, topic := range asked {
		codes[topic] = sarama.ErrUnknownTopicOrPartition // unless the answer says otherwise
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return codes
	}
	c.learnBrokers(response.Brokers)
	for _, topic := range response.Topics {
		switch topic.Err {
		case sarama.ErrNoError, sarama.ErrLeaderNotAvailable, sarama.ErrReplicaNotAvailable:
			t := learnTopic(topic, c.topics[topic.Name])
			c.topics[topic.Name] = t
			delete(codes, topic.Name)
			// Those that do have a leader are of use all the same.
			if topic.Err == sarama.ErrLeaderNotAvailable || len(t.writable) < len(t.all) {
				codes[topic.Name] = sarama.ErrLeaderNotAvailable
			}
		default:
			delete(c.topics, topic.Name)
			codes[topic.Name] = topic.Err
		}
	}
	return codes
}

// learnTopic makes the topology of a topic. A broker that lags behind may name
// the leader of an earlier epoch: then what is known stays, unless the topic was
// created again, with which epochs begin anew.
func learnTopic(from *sarama.TopicMetadata, known *topology) *topology {
	t := &topology{id: from.Uuid, partitions: make(map[int32]*sarama.PartitionMetadata, len(from.Partitions))}
	same := known != nil && known.id == t.id && t.id != sarama.Uuid{}
	for _, p := range from.Partitions {
		if same {
			if k := known.partitions[p.ID]; k != nil && p.LeaderEpoch >= 0 && p.LeaderEpoch < k.LeaderEpoch {
				p = k
			}
		}
		t.partitions[p.ID] = p
	}
	t.all = slices.Sorted(maps.Keys(t.partitions))
	for _, id := range t.all {
		if !leaderless(t.partitions[id]) {
			t.writable = append(t.writable, id)
		}
	}
	return t
}

// learnBrokers makes the brokers of an answer the ones that are known. A broker
// that is known at the same address keeps its connection. Requires: mu held.
func (c *cluster) learnBrokers(named []*sarama.Broker) {
	now := time.Now()
	for _, b := range named {
		known := c.brokers[b.ID()]
		if known != nil && known.Addr() == b.Addr() {
			continue
		}
		if known != nil {
			c.former = append(c.former, formerBroker{known, now})
		}
		c.brokers[b.ID()] = b
	}
	for id, b := range c.brokers {
		if !slices.ContainsFunc(named, func(n *sarama.Broker) bool { return n.ID() == id }) {
			delete(c.brokers, id)
			c.former = append(c.former, formerBroker{b, now})
		}
	}
	// By then every request that was on its way to it has timed out.
	old := now.Add(-2 * c.conf.Net.ReadTimeout)
	c.former = slices.DeleteFunc(c.former, func(f formerBroker) bool {
		gone := f.since.Before(old)
		return gone && c.spawn(func() { _ = f.broker.Close() })
	})
}
