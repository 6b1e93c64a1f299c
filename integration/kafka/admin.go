package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// adminTimeout bounds a call if its ctx does not.
const adminTimeout = time.Minute

// admin calls f with a client of its own, which knows only nodes that answer.
func (c *Cluster) admin(ctx context.Context, f func(context.Context, *kadm.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	client, err := c.client(plaintextPort)
	if err != nil {
		return err
	}
	defer client.Close()
	return f(ctx, kadm.NewClient(client))
}

// client is a client that begins with the nodes that answer, at one of their
// ports.
func (c *Cluster) client(port int, opts ...kgo.Opt) (*kgo.Client, error) {
	seeds := c.foreign
	for _, n := range c.nodes {
		if n.answers() {
			seeds = append(seeds, c.ports.addr(n.id, port))
		}
	}
	if len(seeds) == 0 {
		return nil, errors.New("kafka: no node runs")
	}
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.DialTimeout(5 * time.Second),
		kgo.RequestTimeoutOverhead(10 * time.Second),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}, opts...)...)
}

// CreateTopic creates a topic with a replica on every node, and waits until
// every node that answers knows all its leaders.
func (c *Cluster) CreateTopic(ctx context.Context, name string, partitions int32, configs map[string]string) error {
	values := make(map[string]*string, len(configs))
	for key, value := range configs {
		values[key] = &value
	}
	err := c.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		replicas := int16(len(c.nodes))
		if c.foreign != nil {
			replicas = -1 // as its brokers are set
		}
		created, err := admin.CreateTopic(ctx, partitions, replicas, values, name)
		return errors.Join(err, created.Err)
	})
	if err != nil {
		return fmt.Errorf("kafka: create topic %s: %w", name, err)
	}
	return c.waitPartitions(ctx, name, int(partitions))
}

// DeleteTopic deletes a topic, and waits until no node that answers knows it.
func (c *Cluster) DeleteTopic(ctx context.Context, name string) error {
	err := c.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		deleted, err := admin.DeleteTopic(ctx, name)
		return errors.Join(err, deleted.Err)
	})
	if err != nil {
		return fmt.Errorf("kafka: delete topic %s: %w", name, err)
	}
	return c.waitPartitions(ctx, name, 0)
}

// AddPartitions adds partitions to a topic, and waits until every node that
// answers knows their leaders.
func (c *Cluster) AddPartitions(ctx context.Context, topic string, add int) error {
	var before int
	err := c.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		details, err := admin.ListTopics(ctx, topic)
		if err == nil {
			err = details[topic].Err
		}
		if err != nil {
			return err
		}
		before = len(details[topic].Partitions)
		added, err := admin.CreatePartitions(ctx, add, topic)
		return errors.Join(err, added.Error())
	})
	if err != nil {
		return fmt.Errorf("kafka: add partitions to %s: %w", topic, err)
	}
	return c.waitPartitions(ctx, topic, before+add)
}

// AlterTopic sets some of a topic's settings.
func (c *Cluster) AlterTopic(ctx context.Context, topic string, configs map[string]string) error {
	changes := make([]kadm.AlterConfig, 0, len(configs))
	for key, value := range configs {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
	}
	err := c.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		altered, err := admin.AlterTopicConfigs(ctx, changes, topic)
		for _, a := range altered {
			err = errors.Join(err, a.Err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("kafka: alter topic %s: %w", topic, err)
	}
	return nil
}

// SetProduceQuota limits what each client id may produce through each broker,
// 0 takes the limit away. Brokers apply it within moments.
func (c *Cluster) SetProduceQuota(ctx context.Context, bytesPerSecond float64) error {
	entry := kadm.AlterClientQuotaEntry{
		Entity: kadm.ClientQuotaEntity{{Type: "client-id"}}, // without a name: everybody
		Ops: []kadm.AlterClientQuotaOp{{
			Key: "producer_byte_rate", Value: bytesPerSecond, Remove: bytesPerSecond == 0,
		}},
	}
	err := c.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		altered, err := admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry})
		for _, a := range altered {
			err = errors.Join(err, a.Err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("kafka: set a quota: %w", err)
	}
	return nil
}

// Controller returns the id of the node that leads the controllers. While there
// is none, it waits.
func (c *Cluster) Controller(ctx context.Context) (int, error) {
	request := kmsg.NewPtrDescribeQuorumRequest()
	request.Topics = []kmsg.DescribeQuorumRequestTopic{{
		Topic:      "__cluster_metadata",
		Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}},
	}}
	leader := 0
	// A broker would pass the question on to the controller that it knows, and wait
	// for half a minute if that one is frozen. The controllers themselves know.
	err := c.eventually(ctx, controllerPort, func(ctx context.Context, client *kgo.Client) (err error) {
		for _, controller := range client.SeedBrokers() {
			var one error
			if leader, one = quorumLeader(ctx, request, controller); one == nil {
				return nil
			}
			err = errors.Join(err, one)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("kafka: find the controller: %w", err)
	}
	return leader, nil
}

// quorumLeader asks one controller who leads them. Only the leader says so.
func quorumLeader(ctx context.Context, request *kmsg.DescribeQuorumRequest, controller kmsg.Requestor) (int, error) {
	response, err := request.RequestWith(ctx, controller)
	if err != nil {
		return 0, err
	}
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return 0, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return 0, errors.New("an answer about other topics")
	}
	partition := response.Topics[0].Partitions[0]
	return int(partition.LeaderID), kerr.ErrorForCode(partition.ErrorCode)
}
