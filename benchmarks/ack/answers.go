package ack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The keys of the requests that a producer makes.
const (
	produce        = 0
	fetch          = 1
	metadata       = 3
	apiVersions    = 18
	initProducerID = 22
)

const newestAPIVersions = 3

// fromTheFuture is the answer to a client that asks for versions in a version
// that is not known: by the protocol it is in the oldest, and the client asks
// again.
func fromTheFuture() kmsg.Response {
	answer := kmsg.NewPtrApiVersionsResponse()
	answer.ErrorCode, answer.ApiKeys = kerr.UnsupportedVersion.Code, supported()
	return answer
}

// supported are the versions that are spoken, by key. Later ones of Produce and
// Metadata know topics by id only.
func supported() []kmsg.ApiVersionsResponseApiKey {
	return []kmsg.ApiVersionsResponseApiKey{
		{ApiKey: produce, MinVersion: 3, MaxVersion: 11},
		// Nobody fetches, but librdkafka makes the batches of today only for
		// brokers that say they would serve them.
		{ApiKey: fetch, MinVersion: 4, MaxVersion: 11},
		{ApiKey: metadata, MinVersion: 0, MaxVersion: 9},
		{ApiKey: apiVersions, MinVersion: 0, MaxVersion: newestAPIVersions},
		{ApiKey: initProducerID, MinVersion: 0, MaxVersion: 4},
	}
}

func (c *Cluster) respond(request kmsg.Request) (kmsg.Response, error) {
	switch r := request.(type) {
	case *kmsg.ProduceRequest:
		return c.produce(r)
	case *kmsg.MetadataRequest:
		return c.metadata(r)
	case *kmsg.ApiVersionsRequest:
		answer := r.ResponseKind().(*kmsg.ApiVersionsResponse) //nolint:errcheck,forcetypeassert // it is
		answer.ApiKeys = supported()
		return answer, nil
	case *kmsg.InitProducerIDRequest:
		answer := r.ResponseKind().(*kmsg.InitProducerIDResponse) //nolint:errcheck,forcetypeassert // it is
		answer.ProducerID = c.ids.Add(1)
		return answer, nil
	default:
		return nil, fmt.Errorf("%w: key %d", errUnknown, request.Key())
	}
}

// produce acknowledges what it is sent.
func (c *Cluster) produce(r *kmsg.ProduceRequest) (kmsg.Response, error) {
	answer := r.ResponseKind().(*kmsg.ProduceResponse) //nolint:errcheck,forcetypeassert // it is
	c.requests.Add(1)
	for i := range r.Topics {
		asked := &r.Topics[i]
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic = asked.Topic
		for j := range asked.Partitions {
			p := &asked.Partitions[j]
			n, err := count(p.Records)
			if err != nil {
				return nil, err
			}
			told := kmsg.NewProduceResponseTopicPartition()
			told.Partition = p.Partition
			told.BaseOffset = c.append(partition{asked.Topic, p.Partition}, n)
			topic.Partitions = append(topic.Partitions, told)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	if r.Acks == 0 {
		return nil, nil
	}
	return answer, nil
}

// append makes room for n messages and returns the offset of the first.
func (c *Cluster) append(p partition, n int64) int64 {
	c.messages.Add(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.ends[p]
	c.ends[p] = first + n
	return first
}

var errBatch = errors.New("ack: not a batch of records")

// count is how many records are in a batch, by its header: where Kafka's
// protocol has them since version 3 of Produce.
func count(batch []byte) (int64, error) {
	const length, magic, records, header = 8, 16, 57, 61
	if len(batch) < header || batch[magic] != 2 || len(batch) != 12+int(binary.BigEndian.Uint32(batch[length:])) {
		return 0, errBatch
	}
	return int64(binary.BigEndian.Uint32(batch[records:])), nil
}

// topics are those that a client asks for: by name, or all that anybody has asked
// for yet.
func (c *Cluster) topics(r *kmsg.MetadataRequest) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, asked := range r.Topics {
		names = append(names, *asked.Topic)
		if !slices.Contains(c.known, *asked.Topic) {
			c.known = append(c.known, *asked.Topic)
		}
	}
	if r.Topics == nil {
		names = slices.Clone(c.known)
	}
	return names
}

// metadata says that every topic is there.
func (c *Cluster) metadata(r *kmsg.MetadataRequest) (kmsg.Response, error) {
	answer := r.ResponseKind().(*kmsg.MetadataResponse) //nolint:errcheck,forcetypeassert // it is
	id := "ack"
	answer.ClusterID, answer.ControllerID = &id, 1
	for i, l := range c.listeners {
		host, text, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		port, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, err
		}
		answer.Brokers = append(answer.Brokers, kmsg.MetadataResponseBroker{NodeID: node(i), Host: host, Port: int32(port)})
	}
	for _, name := range c.topics(r) {
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = &name
		for p := range c.partitions(name) {
			leader := node(int(p) % len(c.listeners))
			led := kmsg.NewMetadataResponseTopicPartition()
			led.Partition, led.Leader, led.LeaderEpoch = p, leader, 0
			led.Replicas, led.ISR = []int32{leader}, []int32{leader}
			topic.Partitions = append(topic.Partitions, led)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return answer, nil
}

// node is the id of a broker, by its place.
func node(i int) int32 { return int32(i) + 1 } //nolint:gosec // a few
