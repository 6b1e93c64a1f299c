package e2e

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// Sarama would hold the answers back that come while it waits.
func TestThrottle_whatWasSentBeforeIsReportedWhenItIsStored(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithBrokers(1))
		r := newRig(t, m, cluster, producer.WithDeliveryTimeout(4*time.Second), producer.WithLinger(0))
		r.warm(10)
		slow := cluster.DelayResponses(300*time.Millisecond, kafkatest.OnKey(produceKey))
		throttle := cluster.ThrottleProduce(10*time.Second, kafkatest.Times(1))
		ctx := bounded(t)
		var senders sync.WaitGroup
		send := func(partition int32) {
			senders.Go(func() { _ = r.sendTo(ctx, topic, toPartition(partition)) })
		}
		before := r.delivered()
		send(0)
		require.NoError(t, throttle.Wait(ctx, 1))
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // while that is on its way
		send(1)                            // is answered, too, before the pause is over
		send(0)
		require.NoError(t, r.waitDelivered(within(t, 2*time.Second), before+2))
		require.NoError(t, r.waitReported(ctx, before+3))
		senders.Wait()
		failures := r.failures()
		require.Len(t, failures, 1, "the third waits for longer than it may")
		failure, ok := errors.AsType[*producer.DeliveryError](failures[0])
		require.True(t, ok)
		require.ErrorIs(t, failure, producer.ErrDeliveryTimeout)
		require.Equal(t, producer.NotPersisted, failure.Status)
		r.finish(slow, throttle)
	})
}

//nolint:paralleltest // it looks for goroutines that are left
func TestThrottle_closeDoesNotWaitForItAndLeavesNothing(t *testing.T) {
	oneByOne(t, kinds, func(t *testing.T, m mode) {
		verifyNothingLeft(t)
		cluster := startCluster(t, kafkatest.WithBrokers(1))
		r := newRig(t, m, cluster, networkTimeouts(15*time.Second))
		r.warm(10)
		throttle := cluster.ThrottleProduce(time.Hour)
		require.NoError(t, r.sendTo(bounded(t), topic, toPartition(0)))
		require.NoError(t, r.p.Flush(bounded(t)))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for p := range int32(4) {
				_ = r.sendTo(bounded(t), topic, toPartition(p%2))
			}
		}()
		require.Eventually(t, func() bool { return r.p.Stats().InFlight > 0 }, 5*time.Second, time.Millisecond)
		limit := 200 * time.Millisecond
		elapsed := took(func() { require.Error(t, r.p.Close(within(t, limit))) })
		require.Less(t, elapsed, limit+afterCtx)
		<-sent
		r.settled()
		require.Equal(t, 1, throttle.Hits())
	})
}

// Nothing is in flight any more when Close looks, but the batch is still to be
// sent again.
//
//nolint:paralleltest // it looks for goroutines that are left
func TestThrottle_closeSendsNothingAgainThatHasTimedOut(t *testing.T) {
	oneByOne(t, kinds, func(t *testing.T, m mode) {
		verifyNothingLeft(t)
		cluster := startCluster(t, kafkatest.WithBrokers(1))
		r := newRig(t, m, cluster, producer.WithDeliveryTimeout(1500*time.Millisecond), producer.WithLinger(0))
		r.warm(10)
		cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas))
		throttle := cluster.ThrottleProduce(time.Hour)
		var sender sync.WaitGroup
		sender.Go(func() { _ = r.sendTo(bounded(t), topic, toPartition(0)) })
		require.NoError(t, throttle.Wait(bounded(t), 1))
		elapsed := took(func() { require.NoError(t, r.p.Close(within(t, 10*time.Second))) })
		require.Less(t, elapsed, 3*time.Second)
		sender.Wait()
		require.Len(t, r.failures(), 1)
		require.Equal(t, 1, throttle.Hits())
		r.settled()
	})
}
