package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

// No cluster can have the first topics, so Send refuses them: Kafka would answer
// INVALID_TOPIC_EXCEPTION. The last could be there.
func TestMessages_topicsThatCannotOrDoNotExistFailAndDisturbNoOther(t *testing.T) {
	t.Parallel()
	impossible := []string{
		".", "..", "a b", "a/b", "a\x00b", "ünïcödé", "\xff\xfe", "a\nb", "💥",
		strings.Repeat("x", 250), strings.Repeat("x", 10_000),
	}
	const unknown = "__no_such_topic"
	inModes(t, modes, func(t *testing.T, m mode) {
		const grace = 300 * time.Millisecond
		r := newRig(t, m, startCluster(t), producer.WithUnknownTopicTimeout(grace))
		ctx := bounded(t)
		for _, name := range impossible {
			require.ErrorIs(t, r.p.Send(ctx, &sarama.ProducerMessage{Topic: name}), producer.ErrInvalidMessage, "%.20q", name)
		}
		elapsed := took(func() {
			r.run(ctx, load{senders: 2, each: 4, topics: []string{unknown, topic}, window: 50})
			require.NoError(t, r.p.Flush(ctx))
		})
		require.Less(t, elapsed, 5*time.Second)
		failures := r.failures()
		require.Len(t, failures, 4)
		for _, err := range failures {
			require.ErrorIs(t, err, producer.ErrUnknownTopic)
			require.Equal(t, producer.NotPersisted, judge.DeliveryError(err).Status)
		}
		require.Equal(t, 4, r.delivered())
		r.finish()
	})
}

func TestMessages_tenThousandHeadersArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	var headers []sarama.RecordHeader
	for i := range 10_000 {
		headers = append(headers, sarama.RecordHeader{Key: fmt.Append(nil, i), Value: fmt.Append(nil, -i)})
	}
	headers[1].Value, headers[2].Value, headers[3].Key = nil, []byte{}, []byte{}
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		p := newProducer(t, m, cluster)
		require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Headers: headers}))
		require.NoError(t, p.Flush(bounded(t)))
		records, err := cluster.Records(bounded(t), topic)
		require.NoError(t, err)
		require.Len(t, records, 1)
		require.Len(t, records[0].Headers, len(headers))
		for i, h := range headers {
			require.Equal(t, kafkatest.Header{Key: string(h.Key), Value: h.Value}, records[0].Headers[i])
		}
	})
}

// What Send lets through sarama must let through too, to the byte.
func TestMessages_theLargestIsStoredAndAByteMoreIsRefused(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		const limit = 2000
		cluster := startCluster(t)
		p := newProducer(t, m, cluster, producer.WithMaxMessageBytes(limit))
		for name, msg := range map[string]sarama.ProducerMessage{
			"value":   {},
			"key":     {Key: sarama.StringEncoder("key")},
			"headers": {Headers: []sarama.RecordHeader{{Key: []byte("a"), Value: []byte("b")}, {Key: []byte("c")}}},
		} {
			msg.Topic = topic
			room := limit - msg.ByteSize(2)
			for size, want := range map[int]error{room - 1: nil, room: nil, room + 1: producer.ErrMessageTooLarge} {
				msg.Value = sarama.StringEncoder(strings.Repeat("x", size))
				require.ErrorIs(t, p.Send(bounded(t), &msg), want, name)
			}
		}
		require.NoError(t, p.Close(bounded(t)))
		require.EqualValues(t, 6, p.Stats().Delivered)
		require.EqualValues(t, 3, p.Stats().Rejected)
		require.Zero(t, p.Stats().Failed)
	})
}

// Brokers judge a whole batch, and this library does not send again what sarama
// gave up: the neighbours in the batch fail too, and it is known that they can
// be sent again.
func TestMessages_oneThatOnlyTheBrokerFindsTooLargeFailsAlone(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1, kafkatest.MaxMessageBytes(5000)))
		r := newRig(t, m, cluster, producer.WithCompression(sarama.CompressionNone), producer.WithLinger(200*time.Millisecond))
		n := 0
		r.run(bounded(t), load{senders: 1, each: 10, edit: func(msg *sarama.ProducerMessage) {
			if n++; n == 5 {
				msg.Headers = []sarama.RecordHeader{{Key: []byte("h"), Value: make([]byte, 6000)}}
			}
		}})
		require.NoError(t, r.p.Flush(bounded(t)))
		failures := r.failures()
		require.Len(t, failures, 1)
		require.ErrorIs(t, failures[0], sarama.ErrMessageSizeTooLarge)
		require.Equal(t, producer.NotPersisted, judge.DeliveryError(failures[0]).Status)
		r.run(bounded(t), load{senders: 1, each: 10})
		r.finish()
		require.Equal(t, 19, r.delivered())
	})
}

// moody is a partitioner that does what the message says.
type moody struct{}

func (moody) Partition(msg *sarama.ProducerMessage, n int32) (int32, error) {
	key, _ := msg.Key.Encode() // a ByteEncoder does not fail
	switch string(key) {
	case "panic":
		panic("the test's panic")
	case "error":
		return 0, errGaveUp
	case "negative":
		return -1, nil
	case "beyond":
		return n, nil
	}
	return 0, nil
}

func (moody) RequiresConsistency() bool { return true }

// In sarama's own hands a panic of a partitioner ends the process.
func TestMessages_oneThatThePartitionerCannotPlaceFailsAlone(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithTopic("unplaceable", 1))
		r := newRig(t, m, cluster, producer.WithPartitioner(func(topic string) sarama.Partitioner {
			if topic == "unplaceable" {
				panic("the test's panic")
			}
			return moody{}
		}))
		n := 0
		keys := []string{"a", "panic", "b", "error", "c", "negative", "d", "beyond", "e"}
		r.run(bounded(t), load{senders: 1, each: 4 * len(keys), edit: func(msg *sarama.ProducerMessage) {
			msg.Key = sarama.StringEncoder(keys[n%len(keys)])
			m, _ := msg.Metadata.(*message) // the rig's
			m.Key = []byte(keys[n%len(keys)])
			n++
		}})
		r.run(bounded(t), load{senders: 1, each: 4, topics: []string{"unplaceable"}})
		require.NoError(t, r.p.Flush(bounded(t)))
		failures := r.failures()
		require.Len(t, failures, 4*4+4)
		for _, err := range failures {
			require.Equal(t, producer.NotPersisted, judge.DeliveryError(err).Status)
			require.EqualValues(t, -1, judge.DeliveryError(err).Partition)
			require.NotContains(t, err.Error(), "the test's panic")
		}
		r.finish()
		require.Equal(t, 4*5, r.delivered())
	})
}

// waiting is a partitioner that waits for the test.
type waiting struct{ until <-chan struct{} }

func (w waiting) Partition(*sarama.ProducerMessage, int32) (int32, error) {
	<-w.until
	return 0, nil
}

func (waiting) RequiresConsistency() bool { return true }

// It runs in a goroutine that serves its topic. Nothing can end it, so Close
// leaves it behind.
//
//nolint:paralleltest // it measures time
func TestMessages_aPartitionerThatBlocksHoldsUpItsTopicOnly(t *testing.T) {
	oneByOne(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithTopic("stuck", 1))
		until := make(chan struct{})
		r := newRig(t, m, cluster, producer.WithPartitioner(func(topic string) sarama.Partitioner {
			if topic == "stuck" {
				return waiting{until}
			}
			return sarama.NewHashPartitioner(topic)
		}))
		stuck := make(chan struct{})
		go func() {
			defer close(stuck)
			r.run(bounded(t), load{senders: 2, each: 50, topics: []string{"stuck"}, window: 50})
		}()
		require.Eventually(t, func() bool { return r.p.Stats().InFlight == 100 }, 10*time.Second, time.Millisecond)
		r.run(bounded(t), load{senders: 2, each: 100})
		require.NoError(t, r.waitDelivered(bounded(t), 200))

		limit := 100 * time.Millisecond
		elapsed := took(func() { require.Error(t, r.p.Close(within(t, limit))) })
		require.Less(t, elapsed, limit+afterCtx)
		<-stuck
		close(until)
		require.Eventually(t, func() bool { return r.p.Stats().Held == 0 }, 10*time.Second, time.Millisecond, "what it held comes back")
		r.verify()
		require.Len(t, r.failures(), 100)
		for _, err := range r.failures() {
			require.ErrorIs(t, err, producer.ErrAborted)
			require.Equal(t, producer.NotPersisted, judge.DeliveryError(err).Status)
		}
	})
}

// Sarama gives a message without a timestamp the time of the attempt.
// In one batch, which holds times as differences to its first one.
func TestMessages_timesFrom1970To2261AreStoredAsTheyAre(t *testing.T) {
	t.Parallel()
	times := []time.Time{
		time.Unix(0, 0), time.Date(2261, 12, 31, 23, 59, 59, 0, time.UTC), time.UnixMilli(1), time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
	}
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 1))
		p := newProducer(t, m, cluster, producer.WithLinger(50*time.Millisecond))
		for _, when := range times {
			require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Timestamp: when}))
		}
		require.NoError(t, p.Flush(bounded(t)))
		records, err := cluster.Records(bounded(t), topic)
		require.NoError(t, err)
		require.Len(t, records, len(times))
		for i, when := range times {
			require.True(t, when.Equal(records[i].Timestamp), "%v: %v", when, records[i].Timestamp)
		}
	})
}

func TestMessages_aRetryDoesNotChangeTheTimestamp(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, producer.WithLinger(0), producer.WithRetryBackoff(100*time.Millisecond, 100*time.Millisecond))
		refused := cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.Times(3))
		before := time.Now().Truncate(time.Millisecond)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_ = r.send(bounded(t))
		}()
		require.NoError(t, refused.Wait(bounded(t), 1))
		after := time.Now()
		<-sent
		r.finishWithoutFailures(refused)
		stored := r.stored(r.snapshot())
		require.Len(t, stored, 1)
		require.False(t, stored[0].Timestamp.Before(before))
		require.False(t, stored[0].Timestamp.After(after), "it is that of a retry")
	})
}

// How soon is tested in virtual time; here a Flush that is starved would not end.
func TestMessages_flushEndsUnderEndlessTraffic(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		r := newRig(t, m, startCluster(t), producer.WithMaxBuffered(200))
		ctx, cancel := context.WithCancel(bounded(t))
		var senders sync.WaitGroup
		for sender := range 4 {
			senders.Go(func() {
				for pace := time.NewTicker(time.Millisecond); ctx.Err() == nil; <-pace.C {
					m, msg := r.next(sender, topic, nil)
					r.answered(m, r.p.Send(ctx, msg))
				}
			})
		}
		require.NoError(t, r.waitDelivered(ctx, 50))
		for range 10 {
			before := r.p.Stats()
			elapsed := took(func() { require.NoError(t, r.p.Flush(ctx)) })
			require.Less(t, elapsed, 5*slack)
			require.GreaterOrEqual(t, r.p.Stats().Delivered+r.p.Stats().Failed, before.Accepted)
		}
		traffic := r.p.Stats().Accepted
		require.NoError(t, r.waitDelivered(ctx, int(traffic)+50), "void: the traffic had ended")
		cancel()
		senders.Wait()
		r.finish()
	})
}
