package transport

import (
	"errors"
	"maps"
	"slices"

	"github.com/IBM/sarama"
)

// ErrOtherCluster is why an answer is not believed. Addresses are used again: a
// broker that has taken over one of ours would lead messages to a cluster that
// they are not meant for.
var ErrOtherCluster = errors.New("producer: the brokers belong to another cluster than the one that the producer began with")

// claim reports whether that is the id of the cluster that has answered first.
// Old brokers do not tell.
func (c *cluster) claim(id *string) bool {
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

// learn takes in what the cluster has answered to a question about topics, unless
// a later one was answered meanwhile. It returns what is wrong with those of them
// that are not in order.
func (c *cluster) learn(response *sarama.MetadataResponse, asked []string, number int) map[string]sarama.KError {
	codes := make(map[string]sarama.KError)
	for _, topic := range asked {
		codes[topic] = sarama.ErrUnknownTopicOrPartition // unless the answer says otherwise
	}
	found := make(map[string]*topology, len(response.Topics))
	for _, topic := range response.Topics {
		switch topic.Err {
		case sarama.ErrNoError, sarama.ErrLeaderNotAvailable, sarama.ErrReplicaNotAvailable:
			t := learnTopic(topic, c.topic(topic.Name))
			found[topic.Name] = t
			delete(codes, topic.Name)
			// Those that do have a leader are of use all the same.
			if topic.Err == sarama.ErrLeaderNotAvailable || len(t.writable) < len(t.all) {
				codes[topic.Name] = sarama.ErrLeaderNotAvailable
			}
		default:
			codes[topic.Name] = topic.Err
		}
	}
	named := make(map[int32]*sarama.Broker, len(response.Brokers))
	addrs := slices.Clone(c.seeds)
	for _, b := range response.Brokers {
		named[b.ID()] = b
		addrs = append(addrs, b.Addr())
	}

	c.mu.Lock()
	if c.closed || number <= c.learned {
		c.mu.Unlock()
		return codes
	}
	c.learned = number
	for _, topic := range asked {
		if t := found[topic]; t != nil {
			c.topics[topic] = t
		} else {
			delete(c.topics, topic)
		}
	}
	former := c.replaceBrokers(named)
	c.version.Add(1)
	c.mu.Unlock()

	for _, b := range former {
		// What is on its way to it may still be answered.
		c.hangUp(b, 2*c.conf.Net.ReadTimeout)
	}
	c.adopt(addrs)
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
	if same && len(known.partitions) > len(t.partitions) {
		// Partitions are never taken away: the broker has not heard of the new
		// ones yet, and keys must not move back.
		for id, p := range known.partitions {
			if t.partitions[id] == nil {
				t.partitions[id] = p
			}
		}
	}
	t.all = slices.Sorted(maps.Keys(t.partitions))
	for _, id := range t.all {
		if !leaderless(t.partitions[id]) {
			t.writable = append(t.writable, id)
		}
	}
	return t
}

// replaceBrokers makes the brokers of an answer the ones that are known, and
// returns the others. A broker that is known at the same address keeps its
// connection. Requires: mu held.
func (c *cluster) replaceBrokers(named map[int32]*sarama.Broker) (former []*sarama.Broker) {
	for id, known := range c.brokers {
		b := named[id]
		if b != nil && b.Addr() == known.Addr() {
			named[id] = known
		} else {
			former = append(former, known)
		}
	}
	c.brokers = named
	return former
}
