package e2e

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// kilobyte makes a message a kilobyte larger than its value is. The bytes are
// random: the network carries what cannot be compressed.
func kilobyte(msg *sarama.ProducerMessage) {
	fill := make([]byte, 0, 1000)
	for len(fill) < cap(fill) {
		fill = binary.BigEndian.AppendUint64(fill, rand.Uint64())
	}
	msg.Headers = append(msg.Headers, sarama.RecordHeader{Key: []byte("fill"), Value: fill})
}

func TestSlow_aLongLineOfThreeMegabitsDeliversEverythingAtItsPace(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		const rate, trip = 3_000_000 / 8, 100 * time.Millisecond
		cluster := startCluster(t)
		l := line{rate: rate}
		r := newRig(t, m, cluster, l.option(), networkTimeouts(long))
		r.warm(5)
		delays := []*kafkatest.Fault{
			cluster.DelayRequests(trip/2, kafkatest.OnKey(produceKey)), cluster.DelayResponses(trip/2, kafkatest.OnKey(produceKey)),
		}
		carried := l.carried.Load()
		elapsed := took(func() {
			r.run(bounded(t), load{senders: 4, each: 100, window: 50, edit: kilobyte})
			require.NoError(t, r.p.Flush(bounded(t)))
		})
		carried = l.carried.Load() - carried
		require.Greater(t, carried, int64(400_000), "void: that is less than was sent")
		least := trip + time.Duration(carried)*time.Second/rate
		require.Greater(t, elapsed, least*9/10, "void: the line was not that slow")
		require.Less(t, elapsed, 3*least+3*time.Second)
		r.finishWithoutFailures(delays...)
	})
}

func TestSlow_requestsInSlicesOfAByteAndAnswersByteByByteArrive(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		l := line{slice: 1}
		r := newRig(t, m, cluster, l.option(), networkTimeouts(long))
		r.warm(5)
		trickle := cluster.TrickleResponses(1, time.Millisecond)
		before := cluster.ProduceRequests()
		r.run(bounded(t), load{senders: 2, each: 20})
		r.finishWithoutFailures(trickle)
		require.Positive(t, cluster.ProduceRequests()-before, "void")
	})
}

// Each byte is a sign of life, but the timeout is for the whole answer: it would
// take more than a minute.
func TestSlow_anAnswerThatTricklesForEverIsGivenUpAndDeliveredLater(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, networkTimeouts(300*time.Millisecond))
		r.warm(5)
		trickle := cluster.TrickleResponses(1, time.Second, kafkatest.OnKey(produceKey))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(bounded(t), load{senders: 1, each: 10})
		}()
		// Three connections at most have one each: the fourth is the second try.
		require.NoError(t, trickle.Wait(bounded(t), 4))
		trickle.Remove()
		<-sent
		r.finishWithoutFailures(trickle)
	})
}

func TestSlow_closeEndsInTimeWhileAnswersTrickle(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, networkTimeouts(long))
		r.warm(5)
		trickle := cluster.TrickleResponses(1, time.Second, kafkatest.OnKey(produceKey))
		r.closesInTime(t, trickle)
	})
}

// closesInTime sends what a fault stops, closes the producer, which must not
// wait for it any longer than it is told, and verifies.
func (r *rig) closesInTime(t *testing.T, stopped *kafkatest.Fault) {
	t.Helper()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		r.run(bounded(t), load{senders: 2, each: 20})
	}()
	require.NoError(t, stopped.Wait(bounded(t), 1))
	const limit = 100 * time.Millisecond
	var err error
	elapsed := took(func() { err = r.p.Close(within(t, limit)) })
	require.Error(t, err)
	require.Less(t, elapsed, limit+afterCtx)
	<-sent
	r.verify(stopped)
	require.NotEmpty(t, r.failures(), "void: nothing was stopped")
	for _, err := range r.failures() {
		require.ErrorIs(t, err, producer.ErrAborted)
	}
}
