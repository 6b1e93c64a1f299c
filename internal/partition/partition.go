// Package partition holds the library's partitioners, and the guard around the
// users' own.
package partition

import (
	"math/rand/v2"
	"time"

	"github.com/IBM/sarama"
)

// When Sticky moves on. The bytes are Kafka's batch.size, at which KIP-794
// switches too. The time spreads traffic that is too slow to fill a batch.
const (
	stickyBytes = 16 << 10
	stickyTime  = 10 * time.Millisecond
)

// New is the library's default: keys where sarama.NewHashPartitioner puts them,
// so that nobody's keys move who comes from bare sarama, and [Sticky] for
// messages without.
func New(topic string) sarama.Partitioner {
	return &byKey{Partitioner: sarama.NewHashPartitioner(topic), sticky: NewSticky(topic)}
}

// Java puts keys where the Java client does (murmur2), and is [Sticky] for
// messages without.
func Java(topic string) sarama.Partitioner {
	return &byKey{Partitioner: sarama.NewMurmur2Partitioner(topic), sticky: NewSticky(topic)}
}

// byKey is a partitioner of sarama's for keys, and another one for messages
// without. Neither of them asks a value for more than its length.
type byKey struct {
	sarama.Partitioner
	sticky sarama.Partitioner
}

var _ sarama.DynamicConsistencyPartitioner = (*byKey)(nil)

func (p *byKey) Partition(msg *sarama.ProducerMessage, numPartitions int32) (int32, error) {
	if msg.Key == nil {
		return p.sticky.Partition(msg, numPartitions)
	}
	return p.Partitioner.Partition(msg, numPartitions)
}

// MessageRequiresConsistency is true for keys: they belong to their partition
// even while it has no leader.
func (p *byKey) MessageRequiresConsistency(msg *sarama.ProducerMessage) bool { return msg.Key != nil }

// Sticky stays on one partition until it has filled a batch there, or for a
// short time, and then moves to another one at random. So batches fill under
// load, and all partitions get their part. Use [NewSticky].
//
// It is not safe for concurrent use: sarama has one for each topic and asks it
// from one goroutine.
type Sticky struct {
	partition int32 // -1 before the first message
	bytes     int   // of the messages since it moved there
	moved     time.Time
}

// NewSticky is a sarama.PartitionerConstructor.
func NewSticky(string) sarama.Partitioner { return &Sticky{partition: -1} }

// Partition returns the partition where it is, or moves.
func (s *Sticky) Partition(msg *sarama.ProducerMessage, numPartitions int32) (int32, error) {
	if numPartitions <= 0 {
		return -1, sarama.ErrInvalidPartition
	}
	if s.partition < 0 || s.partition >= numPartitions || s.bytes >= stickyBytes || time.Since(s.moved) >= stickyTime {
		s.move(numPartitions)
	}
	if msg.Key != nil {
		s.bytes += msg.Key.Length()
	}
	if msg.Value != nil {
		s.bytes += msg.Value.Length()
	}
	return s.partition, nil
}

// RequiresConsistency is false: any partition that can be written to will do.
func (s *Sticky) RequiresConsistency() bool { return false }

// move goes to a partition at random, but not to the one where it is.
func (s *Sticky) move(numPartitions int32) {
	s.bytes, s.moved = 0, time.Now()
	here := s.partition
	if here < 0 || here >= numPartitions || numPartitions == 1 {
		s.partition = rand.Int32N(numPartitions)
		return
	}
	// One of the others: those from here on are counted one lower.
	s.partition = rand.Int32N(numPartitions - 1)
	if s.partition >= here {
		s.partition++
	}
}
