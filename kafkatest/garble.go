package kafkatest

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// GarbleFunc returns the bytes to send in place of an answer. It is given the
// API key and the version of the request, and the answer as the broker gave it:
// four bytes of length, four of correlation id, and what the version says. It
// may change the answer in place. If it returns nothing, nothing is sent. It is
// called by several goroutines at a time if there are several connections.
type GarbleFunc func(key, version int16, answer []byte) []byte

// GarbleResponses sends something else in place of answers. The records are
// stored before that. The connection stays open, and later requests on it are
// answered as usual, if the client still wants to know. Several such faults work
// one upon the other. Requests with acks=0 have no answer and are no hits.
//
// What to send is up to a function. There are ready ones: [WrongLength],
// [WrongCorrelationID], [RandomBytes], [OmitPartitions] and [RepeatPartitions].
func (c *Cluster) GarbleResponses(with GarbleFunc, opts ...FaultOption) *Fault {
	return c.install(&Fault{kinds: garble, garble: with}, opts)
}

// WrongLength gives an answer that begins with another length than it has, for
// example -1, or [math.MaxInt32] for 2 GiB that never come.
func WrongLength(n int32) GarbleFunc {
	return func(_, _ int16, answer []byte) []byte {
		binary.BigEndian.PutUint32(answer, uint32(n))
		return answer
	}
}

// WrongCorrelationID gives an answer to a request that was never sent: all bits
// of the id are inverted.
func WrongCorrelationID() GarbleFunc {
	return func(_, _ int16, answer []byte) []byte {
		id := answer[sizeBytes:]
		binary.BigEndian.PutUint32(id, ^binary.BigEndian.Uint32(id))
		return answer
	}
}

// RandomBytes gives an answer of the right length and correlation id, and
// random bytes in place of the rest. They follow from the seed and from the
// correlation id.
func RandomBytes(seed uint64) GarbleFunc {
	return func(_, _ int16, answer []byte) []byte {
		source := rand.NewPCG(seed, uint64(binary.BigEndian.Uint32(answer[sizeBytes:])))
		for i := sizeBytes + 4; i < len(answer); i++ {
			answer[i] = byte(source.Uint64())
		}
		return answer
	}
}

// OmitPartitions gives an answer to a produce request without the partitions of
// these numbers, or without any if none is named. A topic without partitions is
// left out. Answers to other requests stay as they are.
func OmitPartitions(partitions ...int32) GarbleFunc {
	return garbleProduce(func(resp *kmsg.ProduceResponse) {
		for i := range resp.Topics {
			topic := &resp.Topics[i]
			topic.Partitions = slices.DeleteFunc(topic.Partitions, func(p kmsg.ProduceResponseTopicPartition) bool {
				return len(partitions) == 0 || slices.Contains(partitions, p.Partition)
			})
		}
		resp.Topics = slices.DeleteFunc(resp.Topics, func(t kmsg.ProduceResponseTopic) bool {
			return len(t.Partitions) == 0
		})
	})
}

// RepeatPartitions gives an answer to a produce request that has the partitions
// of these numbers twice, or all of them if none is named. The second time comes
// behind everything else in the topic. Answers to other requests stay as they
// are.
func RepeatPartitions(partitions ...int32) GarbleFunc {
	return garbleProduce(func(resp *kmsg.ProduceResponse) {
		for i := range resp.Topics {
			topic := &resp.Topics[i]
			for _, p := range slices.Clone(topic.Partitions) {
				if len(partitions) == 0 || slices.Contains(partitions, p.Partition) {
					topic.Partitions = append(topic.Partitions, p)
				}
			}
		}
	})
}

func garbleProduce(change func(*kmsg.ProduceResponse)) GarbleFunc {
	return func(key, version int16, answer []byte) []byte {
		resp := kmsg.NewPtrProduceResponse()
		if key != int16(kmsg.Produce) {
			return answer
		}
		header, ok := decodeAnswer(resp, version, answer)
		if !ok {
			return answer // cannot happen: the broker made it
		}
		change(resp)
		return encodeAnswer(header, resp)
	}
}
