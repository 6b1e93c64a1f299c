package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// eventually calls look, with a client at this port of the nodes, until it
// succeeds or ctx ends, and returns the last error then.
func (c *Cluster) eventually(ctx context.Context, port int, look func(context.Context, *kgo.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	var last error
	for {
		err := c.once(ctx, port, look)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%w; at last: %w", err, last)
		}
	}
}

// once calls look with a new client, so that it asks the nodes that answer now,
// for a few seconds at most: one may be frozen meanwhile.
func (c *Cluster) once(ctx context.Context, port int, look func(context.Context, *kgo.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client, err := c.client(port)
	if err != nil {
		return err
	}
	defer client.Close()
	return look(ctx, client)
}

// views asks every node that answers what it knows of a topic, "" for all.
func views(ctx context.Context, client *kgo.Client, topic string) ([]*kmsg.MetadataResponse, error) {
	request := kmsg.NewPtrMetadataRequest()
	if topic != "" {
		request.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	}
	var all []*kmsg.MetadataResponse
	for _, broker := range client.SeedBrokers() {
		response, err := request.RequestWith(ctx, broker)
		if err != nil {
			return nil, err
		}
		all = append(all, response)
	}
	return all, nil
}

// waitPartitions waits until every node knows this many partitions with leaders
// of a topic; 0: until none knows it.
func (c *Cluster) waitPartitions(ctx context.Context, topic string, want int) error {
	err := c.eventually(ctx, plaintextPort, func(ctx context.Context, client *kgo.Client) error {
		all, err := views(ctx, client, topic)
		if err != nil {
			return err
		}
		for _, view := range all {
			led := 0
			for _, p := range view.Topics[0].Partitions {
				if p.ErrorCode == 0 && p.Leader > 0 {
					led++
				}
			}
			gone := view.Topics[0].ErrorCode == kerr.UnknownTopicOrPartition.Code
			if led != want || (want == 0) != gone {
				return fmt.Errorf("%d of %d partitions have leaders", led, want)
			}
		}
		if want == 0 {
			return nil
		}
		// A broker tells of a leader a moment before that one is prepared to lead,
		// and what is sent without acknowledgements then is lost.
		ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
		return errors.Join(err, ends.Error())
	})
	if err != nil {
		return fmt.Errorf("kafka: wait for topic %s: %w", topic, err)
	}
	return nil
}

// Leader returns the id of the node that leads a partition, -1 if none does. The
// node with the latest news is believed.
func (c *Cluster) Leader(ctx context.Context, topic string, partition int32) (int32, error) {
	var latest kmsg.MetadataResponseTopicPartition
	err := c.eventually(ctx, plaintextPort, func(ctx context.Context, client *kgo.Client) (err error) {
		latest, err = partitionNow(ctx, client, topic, partition)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("kafka: find the leader of %s/%d: %w", topic, partition, err)
	}
	return latest.Leader, nil
}

// partitionNow is the latest that any node knows of a partition.
func partitionNow(
	ctx context.Context, client *kgo.Client, topic string, partition int32,
) (kmsg.MetadataResponseTopicPartition, error) {
	var found []kmsg.MetadataResponseTopicPartition
	all, err := views(ctx, client, topic)
	for _, view := range all {
		for _, p := range view.Topics[0].Partitions {
			if p.Partition == partition {
				found = append(found, p)
			}
		}
	}
	if err == nil && len(found) == 0 {
		err = kerr.UnknownTopicOrPartition
	}
	if err != nil {
		return kmsg.MetadataResponseTopicPartition{}, err
	}
	return slices.MaxFunc(found, func(a, b kmsg.MetadataResponseTopicPartition) int {
		return cmp.Compare(a.LeaderEpoch, b.LeaderEpoch)
	}), nil
}

// InSync waits until every replica of every topic is in the ISR, and every node
// that answers says so.
func (c *Cluster) InSync(ctx context.Context) error {
	err := c.eventually(ctx, plaintextPort, func(ctx context.Context, client *kgo.Client) error {
		all, err := views(ctx, client, "")
		if err != nil {
			return err
		}
		for _, view := range all {
			if len(view.Brokers) < len(c.nodes) {
				return fmt.Errorf("%d of %d brokers are there", len(view.Brokers), len(c.nodes))
			}
			for _, topic := range view.Topics {
				for _, p := range topic.Partitions {
					if p.Leader < 1 || len(p.ISR) < len(p.Replicas) {
						return fmt.Errorf("%s/%d: leader %d, replicas %v, in sync %v",
							*topic.Topic, p.Partition, p.Leader, p.Replicas, p.ISR)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("kafka: wait for replicas: %w", err)
	}
	return nil
}

// ElectPreferredLeaders gives the partitions of a topic back to the first of
// their replicas.
func (c *Cluster) ElectPreferredLeaders(ctx context.Context, topic string) error {
	err := c.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		details, err := admin.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		results, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, details.TopicsSet())
		for _, result := range results[topic] {
			if !errors.Is(result.Err, kerr.ElectionNotNeeded) {
				err = errors.Join(err, result.Err)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("kafka: elect the preferred leaders of %s: %w", topic, err)
	}
	return nil
}

// Reassign moves a partition to these nodes, the first of them being the
// preferred leader, and waits until it is there. A leader that is one of them
// stays: see ElectPreferredLeaders.
func (c *Cluster) Reassign(ctx context.Context, topic string, partition int32, replicas []int32) error {
	err := c.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		var request kadm.AlterPartitionAssignmentsReq
		request.Assign(topic, partition, replicas)
		responses, err := admin.AlterPartitionAssignments(ctx, request)
		return errors.Join(err, responses.Error())
	})
	if err == nil {
		err = c.eventually(ctx, plaintextPort, func(ctx context.Context, client *kgo.Client) error {
			p, err := partitionNow(ctx, client, topic, partition)
			if err == nil && (!slices.Equal(p.Replicas, replicas) || len(p.ISR) < len(replicas)) {
				err = fmt.Errorf("replicas %v, in sync %v", p.Replicas, p.ISR)
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("kafka: reassign %s/%d to %v: %w", topic, partition, replicas, err)
	}
	return nil
}

// MoveLeader makes one of a partition's replicas its leader, and waits until it
// is.
func (c *Cluster) MoveLeader(ctx context.Context, topic string, partition, to int32) error {
	var replicas []int32
	err := c.eventually(ctx, plaintextPort, func(ctx context.Context, client *kgo.Client) error {
		p, err := partitionNow(ctx, client, topic, partition)
		replicas = p.Replicas
		return err
	})
	if err == nil && !slices.Contains(replicas, to) {
		err = fmt.Errorf("node %d has no replica", to)
	}
	if err == nil {
		rest := slices.DeleteFunc(slices.Clone(replicas), func(id int32) bool { return id == to })
		err = c.Reassign(ctx, topic, partition, append([]int32{to}, rest...))
	}
	if err == nil {
		err = c.ElectPreferredLeaders(ctx, topic)
	}
	if err == nil {
		err = c.eventually(ctx, plaintextPort, func(ctx context.Context, client *kgo.Client) error {
			p, err := partitionNow(ctx, client, topic, partition)
			if err == nil && p.Leader != to {
				err = fmt.Errorf("node %d leads", p.Leader)
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("kafka: move the leader of %s/%d to %d: %w", topic, partition, to, err)
	}
	return nil
}
