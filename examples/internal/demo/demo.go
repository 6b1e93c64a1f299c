// Package demo gives the examples a Kafka cluster to send to.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/saramakit/producer/kafkatest"
)

// Usage is the help text of the flag -brokers.
const Usage = "`host:port,...` of a real cluster to use, with a new topic; without it a cluster is started inside this program"

// Cluster is a Kafka cluster with a topic for an example.
type Cluster struct {
	Addrs []string
	Topic string // new and empty
	// Embedded is the cluster inside this program, which can be broken on
	// request; nil if -brokers named a real one.
	Embedded *kafkatest.Cluster
}

// Open starts a cluster with a topic, or makes a new topic on the cluster that
// brokers names.
func Open(ctx context.Context, brokers, topic string, partitions int) (*Cluster, error) {
	if brokers == "" {
		embedded, err := kafkatest.New(kafkatest.WithTopic(topic, partitions))
		if err != nil {
			return nil, fmt.Errorf("start a cluster: %w", err)
		}
		return &Cluster{Addrs: embedded.Addrs(), Topic: topic, Embedded: embedded}, nil
	}
	c := &Cluster{
		Addrs: strings.Split(brokers, ","),
		// Nobody else's topic is touched. It is left for the reader to look at.
		Topic: fmt.Sprintf("producer-example-%s-%d", topic, time.Now().UnixMilli()),
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs...))
	if err != nil {
		return nil, fmt.Errorf("use %s: %w", brokers, err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// -1 is the brokers' default number of replicas.
	if _, err := kadm.NewClient(client).CreateTopic(ctx, int32(partitions), -1, nil, c.Topic); err != nil {
		return nil, fmt.Errorf("create topic %s: %w", c.Topic, err)
	}
	return c, nil
}

// String says what kind of cluster it is.
func (c *Cluster) String() string {
	if c.Embedded == nil {
		return "using the cluster at " + strings.Join(c.Addrs, ",") + ", which is not disturbed"
	}
	return fmt.Sprintf("a Kafka cluster of %d brokers runs inside this program", len(c.Addrs))
}

// Close ends an embedded cluster.
func (c *Cluster) Close() error {
	if c.Embedded == nil {
		return nil
	}
	return c.Embedded.Close()
}

// Record is a record of the cluster's topic.
type Record struct {
	Partition int32
	Offset    int64
	Value     []byte
	Headers   map[string]string
}

// Records reads the whole topic, in the order of each partition, with a client
// that is independent of the producers.
func (c *Cluster) Records(ctx context.Context) ([]Record, error) {
	if c.Embedded == nil {
		return c.consume(ctx)
	}
	stored, err := c.Embedded.Records(ctx, c.Topic)
	if err != nil {
		return nil, err
	}
	records := make([]Record, len(stored))
	for i := range stored {
		records[i] = Record{stored[i].Partition, stored[i].Offset, stored[i].Value, make(map[string]string)}
		for _, h := range stored[i].Headers {
			records[i].Headers[h.Key] = string(h.Value)
		}
	}
	return records, nil
}

// consume reads the topic of a real cluster up to where it ends now.
func (c *Cluster) consume(ctx context.Context) ([]Record, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(c.Addrs...),
		kgo.ConsumeTopics(c.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, c.Topic)
	if err := errors.Join(err, ends.Error()); err != nil {
		return nil, fmt.Errorf("where topic %s ends: %w", c.Topic, err)
	}
	left := make(map[int32]int64)
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			left[end.Partition] = end.Offset
		}
	})
	var records []Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read topic %s: %w", c.Topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			headers := make(map[string]string)
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			records = append(records, Record{r.Partition, r.Offset, r.Value, headers})
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return records, nil
}
