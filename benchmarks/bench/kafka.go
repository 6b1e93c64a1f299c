package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mostPartitions is how many a node of Apache Kafka on a small machine is asked
// for: each has files of its own.
const mostPartitions = 100

func (c *Cell) suitsKafka() bool { return c.topics*c.partitions <= mostPartitions }

// create makes the topics of a cell, unless they are there.
func (c *Cell) create(addrs []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 30_000
	for _, name := range c.names() {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(c.partitions), -1 //nolint:gosec // a few
		request.Topics = append(request.Topics, topic)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for i := range response.Topics {
		if e := kerr.ErrorForCode(response.Topics[i].ErrorCode); e != nil && !errors.Is(e, kerr.TopicAlreadyExists) {
			err = errors.Join(err, fmt.Errorf("create topic %s: %w", response.Topics[i].Topic, e))
		}
	}
	return err
}
