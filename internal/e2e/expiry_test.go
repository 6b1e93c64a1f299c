package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

// produceKey is the API key of produce requests.
const produceKey = 0

// holds are two ways in which a message can outlive its delivery timeout on the
// wire: its request comes late, or it is stored and the answer comes late.
func holds() map[string]func(*kafkatest.Cluster) *kafkatest.Fault {
	return map[string]func(*kafkatest.Cluster) *kafkatest.Fault{
		"requests":  func(c *kafkatest.Cluster) *kafkatest.Fault { return c.HoldRequests(kafkatest.OnKey(produceKey)) },
		"responses": func(c *kafkatest.Cluster) *kafkatest.Fault { return c.HoldResponses(kafkatest.OnKey(produceKey)) },
	}
}

// Messages time out in every place: queued before sarama, in a batch that waits,
// and on the wire. Those called not persisted never come; the others may, and
// are counted as late, once each, without a second outcome.
func TestExpiry_whatComesLateIsCountedOnceAndWhatWasGivenUpBeforeNeverComes(t *testing.T) {
	t.Parallel()
	for name, hold := range holds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				const timeout = 2 * time.Second
				cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
				r := newRig(t, m, cluster, producer.WithDeliveryTimeout(timeout), networkTimeouts(15*time.Second),
					// Seven messages in sarama at a time.
					producer.WithSaramaConfig(func(c *sarama.Config) { c.ChannelBufferSize = 8 }))
				r.warm(5)
				held := hold(cluster)
				elapsed := took(func() {
					r.run(bounded(t), load{senders: 2, each: 20})
					require.NoError(t, r.p.Flush(bounded(t)))
				})
				require.Less(t, elapsed, timeout+slack)
				failures := r.failures()
				require.Len(t, failures, 40)
				status := map[producer.Persistence]int{}
				for _, err := range failures {
					require.ErrorIs(t, err, producer.ErrDeliveryTimeout)
					status[judge.DeliveryError(err).Status]++
				}
				require.Positive(t, status[producer.PossiblyPersisted], "void: nothing was on its way")
				require.Positive(t, status[producer.NotPersisted], "void: nothing was queued")
				require.Zero(t, r.p.Stats().Late)

				held.Remove()
				r.untilDelivered(bounded(t), topic) // it goes on, in order
				r.finish(held)
				s := r.p.Stats()
				require.GreaterOrEqual(t, s.Failed, int64(40), "late is not delivered")
				require.Positive(t, s.Late)
				require.Len(t, r.stored(r.snapshot()), int(s.Delivered+s.Late))
			})
		})
	}
}

// scratch is the memory of a caller who uses it again as soon as Send returns.
type scratch struct{ key, value, headerKey, headerValue []byte }

// poison overwrites all of it.
func (s *scratch) poison() {
	for _, b := range [][]byte{s.key, s.value, s.headerKey, s.headerValue} {
		for i := range b[:cap(b)] {
			b[:cap(b)][i] = 0xdb
		}
	}
}

// message has the bytes of msg in the scratch memory.
func (s *scratch) message(msg *sarama.ProducerMessage) *sarama.ProducerMessage {
	key, _ := msg.Key.Encode() // a ByteEncoder does not fail
	value, _ := msg.Value.Encode()
	s.key, s.value = append(s.key[:0], key...), append(s.value[:0], value...)
	s.headerKey, s.headerValue = append(s.headerKey[:0], "topic"...), append(s.headerValue[:0], msg.Topic...)
	borrowed := *msg
	borrowed.Key, borrowed.Value = sarama.ByteEncoder(s.key), sarama.ByteEncoder(s.value)
	borrowed.Headers = []sarama.RecordHeader{{Key: s.headerKey, Value: s.headerValue}}
	return &borrowed
}

// sendBorrowed sends a message whose bytes are borrowed, and spoils them, and the
// message, when Send has returned: with its outcome or without.
func (r *rig) sendBorrowed(sender int, topic string, s *scratch) {
	m, own := r.next(sender, topic, nil)
	msg := s.message(own)
	err := r.p.Send(r.t.Context(), msg)
	s.poison()
	msg.Headers[0] = sarama.RecordHeader{Key: []byte("poisoned")}
	*msg = sarama.ProducerMessage{Topic: "poisoned", Value: sarama.StringEncoder("poisoned")}
	r.answered(m, err)
}

// A Java client that gave the memory of an expired batch to the next one while
// its request was still on the wire put records into other topics.
func TestExpiry_memoryThatIsUsedAgainMeanwhileReachesNoTopic(t *testing.T) {
	t.Parallel()
	for name, hold := range holds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, kinds, func(t *testing.T, m mode) {
				const senders, topics, each = 16, 64, 12
				cluster := kafkatest.Start(t)
				var names []string
				for i := range topics {
					names = append(names, fmt.Sprintf("topic-%d", i))
					require.NoError(t, cluster.CreateTopic(names[i], 1))
				}
				r := newRig(t, m, cluster, producer.WithTopics(names...), networkTimeouts(15*time.Second),
					producer.WithDeliveryTimeout(300*time.Millisecond), producer.WithCompression(sarama.CompressionNone))
				held := hold(cluster)
				wave := func() {
					var all sync.WaitGroup
					for sender := range senders {
						all.Go(func() {
							var s scratch
							for i := range each / 2 {
								r.sendBorrowed(sender, names[(sender*each+i*7)%topics], &s)
							}
						})
					}
					all.Wait()
					require.NoError(t, r.p.Flush(bounded(t)))
				}
				wave() // expires on the wire, one after the other for a Sync
				require.NoError(t, held.Wait(bounded(t), 1))
				held.Remove()
				wave() // while what was held arrives
				require.NoError(t, r.p.Close(bounded(t)))
				history := r.snapshot()
				stored := r.stored(history)
				require.Positive(t, r.p.Stats().Late, "void: nothing came late")
				require.Empty(t, judged(history, stored, rules{Sync: m.sync, Stored: true, Idempotent: true}))
				for i := range stored {
					want := []kafkatest.Header{{Key: "topic", Value: []byte(stored[i].Topic)}}
					require.Equal(t, want, stored[i].Headers)
				}
			})
		})
	}
}
