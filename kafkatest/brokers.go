package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Leader returns the id of the broker that leads a partition.
func (c *Cluster) Leader(topic string, partition int32) (int32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return -1, ErrClosed
	}
	leader := c.fake.LeaderFor(topic, partition)
	if leader < 0 {
		return -1, fmt.Errorf("kafkatest: no partition %d of topic %q: create the topic with CreateTopic", partition, topic)
	}
	return leader, nil
}

// MoveLeader makes a running broker the leader of a partition. Clients are not
// told: they learn of it from the NOT_LEADER_OR_FOLLOWER that the old leader
// answers from then on, or from a refresh of their metadata.
func (c *Cluster) MoveLeader(topic string, partition, broker int32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if _, err := c.broker(broker); err != nil {
		return err
	}
	if c.stopped[broker] {
		return fmt.Errorf("kafkatest: broker %d is stopped: start it with StartBroker before it leads a partition", broker)
	}
	return c.moveLeader(topic, partition, broker)
}

func (c *Cluster) moveLeader(topic string, partition, broker int32) error {
	if err := c.fake.MoveTopicPartition(topic, partition, broker); err != nil {
		return fmt.Errorf("kafkatest: move leader of partition %d of topic %q to broker %d: %w", partition, topic, broker, err)
	}
	return nil
}

// ShuffleLeaders gives every partition of every topic a new leader, drawn from
// the running brokers that do not lead it now. With one running broker nothing
// changes. The partitions move one after the other.
func (c *Cluster) ShuffleLeaders() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	leaders, err := c.leaders()
	if err != nil {
		return err
	}
	running := c.running()
	for part, leader := range leaders {
		var candidates []int32
		for _, id := range running {
			if id != leader {
				candidates = append(candidates, id)
			}
		}
		if len(candidates) == 0 {
			continue
		}
		next := candidates[rand.IntN(len(candidates))]
		if err := c.moveLeader(part.topic, part.partition, next); err != nil {
			return err
		}
	}
	return nil
}

// StopBroker takes one broker away: its connections are cut, new ones are
// refused, the partitions that it led get another leader, and metadata no
// longer names it. Other partitions keep their leader. A produce request in
// flight to it may have been stored or not; none is stored any more once
// StopBroker has returned.
//
// It returns an error if the broker does not exist, is stopped already or is
// the last one running, and during an outage.
func (c *Cluster) StopBroker(id int32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, err := c.changeBroker(id)
	if err != nil {
		return err
	}
	if c.stopped[id] {
		return fmt.Errorf("kafkatest: broker %d is stopped already", id)
	}
	if len(c.running()) == 1 {
		return fmt.Errorf("kafkatest: broker %d is the last one running: use Outage to take the whole cluster away", id)
	}
	c.stopped[id] = true
	// Before its connections end, so that no client that comes back is told
	// to use this broker.
	c.wire.setStopped(id, true)
	l.down()
	if err := c.flush(); err != nil {
		return err
	}
	return c.evacuate(id)
}

// evacuate gives the partitions of a stopped broker to the others in turn.
func (c *Cluster) evacuate(id int32) error {
	leaders, err := c.leaders()
	if err != nil {
		return err
	}
	running := c.running()
	for part, leader := range leaders {
		if leader != id {
			continue
		}
		next := running[int(part.partition)%len(running)]
		if err := c.moveLeader(part.topic, part.partition, next); err != nil {
			return err
		}
	}
	return nil
}

// StartBroker brings a stopped broker back on its old port. It leads nothing
// until [Cluster.MoveLeader], [Cluster.ShuffleLeaders] or a new topic gives it
// a partition. It returns an error if the broker does not exist or is running,
// during an outage, and if another process has taken the port and keeps it for
// five seconds.
func (c *Cluster) StartBroker(id int32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, err := c.changeBroker(id)
	if err != nil {
		return err
	}
	if !c.stopped[id] {
		return fmt.Errorf("kafkatest: broker %d is running already", id)
	}
	if err := l.up(); err != nil {
		return err
	}
	delete(c.stopped, id)
	c.wire.setStopped(id, false)
	return nil
}

// Outage takes the whole cluster away: connections are cut and new ones are
// refused until [Cluster.Return]. A produce request in flight may have been
// stored or not; none is stored any more once Outage has returned. Records,
// leaders and the state of idempotent producers are kept. It returns an error
// if there is an outage already.
func (c *Cluster) Outage() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.outage {
		return errors.New("kafkatest: the cluster is in an outage already: end it with Return")
	}
	c.outage = true
	for _, l := range c.listeners {
		l.down()
	}
	return c.flush()
}

// Return ends an outage: the brokers listen on their old ports again, except
// those that [Cluster.StopBroker] had stopped. It returns an error if there is
// no outage, and if another process has taken a port and keeps it for five
// seconds; the outage then goes on for that broker and Return can be called
// again.
func (c *Cluster) Return() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if !c.outage {
		return errors.New("kafkatest: the cluster is not in an outage: start one with Outage")
	}
	for _, id := range c.running() {
		if err := c.listeners[id].up(); err != nil {
			return err
		}
	}
	c.outage = false
	return nil
}

// broker returns the listener of a broker, or an error that names the ids there
// are.
func (c *Cluster) broker(id int32) (*listener, error) {
	if id < 0 || int(id) >= len(c.listeners) {
		return nil, fmt.Errorf("kafkatest: no broker %d: the ids are 0 to %d", id, len(c.listeners)-1)
	}
	return c.listeners[id], nil
}

// changeBroker is broker for a call that starts or stops it.
func (c *Cluster) changeBroker(id int32) (*listener, error) {
	if c.closed {
		return nil, ErrClosed
	}
	if c.outage {
		return nil, errors.New("kafkatest: the cluster is in an outage: end it with Return before starting or stopping a broker")
	}
	return c.broker(id)
}

type partitionID struct {
	topic     string
	partition int32
}

// leaders returns the leader of every partition there is. Topics that clients
// created are known to the brokers only, hence the request.
func (c *Cluster) leaders() (map[partitionID]int32, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 8 // the last with plain headers
	resp := kmsg.NewPtrMetadataResponse()
	if err := c.ask(context.Background(), req, resp); err != nil {
		return nil, fmt.Errorf("kafkatest: list partitions: %w", err)
	}
	leaders := make(map[partitionID]int32)
	for _, topic := range resp.Topics {
		if topic.Topic == nil {
			continue
		}
		for _, p := range topic.Partitions {
			leaders[partitionID{*topic.Topic, p.Partition}] = p.Leader
		}
	}
	return leaders, nil
}

// flush returns when the brokers have dealt with everything that connections
// handed to them before: they take requests from one queue, in order.
func (c *Cluster) flush() error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 0
	if err := c.ask(context.Background(), req, kmsg.NewPtrApiVersionsResponse()); err != nil {
		return fmt.Errorf("kafkatest: wait for requests in flight: %w", err)
	}
	return nil
}
