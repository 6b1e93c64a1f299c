package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

func TestTopics_anUnknownOneFailsAfterTheGraceAndIsNotPersisted(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		const grace = 400 * time.Millisecond
		cluster := startCluster(t, kafkatest.WithAutoCreateTopics(1))
		r := newRig(t, m, cluster, producer.WithUnknownTopicTimeout(grace))
		elapsed := took(func() {
			r.run(bounded(t), load{senders: 2, each: 20, topics: []string{"missing"}})
			require.NoError(t, r.p.Flush(bounded(t)))
		})
		require.GreaterOrEqual(t, elapsed, grace)
		require.Less(t, elapsed, grace+slack)
		require.Len(t, r.failures(), 40)
		for _, err := range r.failures() {
			require.ErrorIs(t, err, producer.ErrUnknownTopic)
			failure := judge.DeliveryError(err)
			require.Equal(t, producer.NotPersisted, failure.Status)
			require.EqualValues(t, -1, failure.Partition)
			require.Equal(t, "missing", failure.Topic)
			require.False(t, producer.IsRetriable(err))
		}
		r.finish()
		_, err := cluster.Records(bounded(t), "missing")
		require.Error(t, err, "asking has created the topic")
	})
}

func TestTopics_anUnknownOneIsCreatedIfThatWasAskedFor(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithAutoCreateTopics(3))
		r := newRig(t, m, cluster, producer.WithAutoTopicCreation(true))
		r.run(bounded(t), load{senders: 2, each: 50, topics: []string{"new", topic}})
		r.finishWithoutFailures()
	})
}

//nolint:paralleltest // it measures
func TestTopics_anUnknownOneDoesNotSlowAHealthyOne(t *testing.T) {
	oneByOne(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		// The grace is longer than the test: all that time the messages of the
		// unknown topics are parked.
		r := newRig(t, m, cluster, producer.WithUnknownTopicTimeout(time.Minute), producer.WithDeliveryTimeout(time.Minute))
		ctx := bounded(t)
		r.warm(50)
		undisturbed := took(func() {
			r.run(ctx, load{senders: 2, each: 500})
			require.NoError(t, r.p.Flush(ctx))
		})

		parked := make(chan struct{})
		stop, cancel := context.WithCancel(ctx)
		go func() {
			defer close(parked)
			var unknown []string
			for i := range 20 {
				unknown = append(unknown, fmt.Sprint("missing-", i))
			}
			r.run(stop, load{senders: 4, each: 500, window: 500, topics: unknown})
		}()
		require.Eventually(t, func() bool { return r.p.Stats().InFlight >= 2000 }, 10*time.Second, time.Millisecond)
		before := r.delivered()
		beside := took(func() {
			r.run(ctx, load{senders: 2, each: 500})
			require.NoError(t, r.waitDelivered(ctx, before+1000))
		})
		t.Logf("1000 messages alone: %v, beside 2000 parked ones: %v", undisturbed, beside)
		require.Less(t, beside, 2*undisturbed+slack/2)

		// An Async keeps what it accepted when the ctx ends; a Sync withdraws it.
		cancel()
		<-parked
		require.GreaterOrEqual(t, r.p.Stats().Accepted, int64(2000))
		closing, end := context.WithTimeout(ctx, 100*time.Millisecond)
		defer end()
		_ = r.p.Close(closing)
		r.verify()
		for _, err := range r.failures() {
			require.Equal(t, producer.NotPersisted, judge.DeliveryError(err).Status)
		}
	})
}

//nolint:paralleltest // it measures
func TestTopics_aTopicWithoutALeaderDoesNotSlowAHealthyOne(t *testing.T) {
	oneByOne(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithTopic("dead", 1))
		r := newRig(t, m, cluster)
		ctx := bounded(t)
		r.warm(50)
		fault := cluster.FailMetadata("dead", int16(sarama.ErrLeaderNotAvailable))
		stuck := make(chan struct{})
		go func() {
			defer close(stuck)
			r.run(ctx, load{senders: 2, each: 250, window: 250, topics: []string{"dead"}})
		}()
		require.NoError(t, fault.Wait(ctx, 3))
		elapsed := took(func() {
			r.run(ctx, load{senders: 2, each: 500})
			require.NoError(t, r.waitDelivered(ctx, 1050))
		})
		t.Logf("1000 messages beside a topic without a leader took %v", elapsed)
		require.Less(t, elapsed, 2*time.Second)
		require.Equal(t, 1050, r.delivered())
		fault.Remove()
		<-stuck
		r.finishWithoutFailures(fault)
	})
}

func TestTopics_aPartOfTheBudgetKeepsADeadTopicFromTakingItAll(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t, kafkatest.WithTopic("dead", 1))
	r := newRig(t, mode{idempotent: true}, cluster,
		producer.WithMaxBuffered(100), producer.WithMaxBufferedPerTopic(50), producer.WithMaxBlock(0))
	r.warm(10)
	fault := cluster.FailMetadata("dead", int16(sarama.ErrLeaderNotAvailable))
	for range 50 {
		require.NoError(t, r.sendTo(bounded(t), "dead", nil))
	}
	require.ErrorIs(t, r.sendTo(bounded(t), "dead", nil), producer.ErrBufferFull)
	r.run(bounded(t), load{senders: 1, each: 200, window: 40})
	require.NoError(t, r.waitDelivered(bounded(t), 210))
	fault.Remove()
	r.finish(fault)
	require.Empty(t, r.failures())
}

func TestTopics_oneThatIsCreatedWithinTheGraceGetsItsMessagesInOrder(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, producer.WithUnknownTopicTimeout(10*time.Second))
		ctx := bounded(t)
		asked := cluster.HideTopic("late") // to know when it was asked for
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(ctx, load{senders: 2, each: 100, window: 100, topics: []string{"late"}})
		}()
		require.NoError(t, asked.Wait(ctx, 2))
		require.NoError(t, cluster.CreateTopic("late", 3))
		asked.Remove()
		<-sent
		r.finishWithoutFailures(asked)
	})
}

func TestTopics_oneThatHidesForTwoSecondsLosesNothing(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster)
		ctx := bounded(t)
		r.warm(50)
		hidden := cluster.HideTopic(topic)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(ctx, load{senders: 4, each: 100})
		}()
		require.NoError(t, hidden.Wait(ctx, 1))
		two := time.NewTimer(2 * time.Second)
		<-two.C
		hidden.Remove()
		<-sent
		r.finishWithoutFailures(hidden)
		require.Equal(t, 450, r.delivered())
	})
}

func TestTopics_oneThatIsDeletedFailsHonestlyAndTheProducerGoesOn(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		const grace = 500 * time.Millisecond
		cluster := startCluster(t, kafkatest.WithTopic("doomed", 3))
		r := newRig(t, m, cluster, producer.WithUnknownTopicTimeout(grace))
		ctx := bounded(t)
		r.run(ctx, load{senders: 2, each: 50, topics: []string{"doomed"}})
		require.NoError(t, r.p.Flush(ctx))
		require.Empty(t, r.failures())
		require.NoError(t, cluster.DeleteTopic("doomed"))

		elapsed := took(func() {
			r.run(ctx, load{senders: 2, each: 50, topics: []string{"doomed"}})
			require.NoError(t, r.p.Flush(ctx))
		})
		t.Logf("failed after %v", elapsed)
		require.Less(t, elapsed, 5*time.Second)
		require.Len(t, r.failures(), 100)
		for _, err := range r.failures() {
			t.Log(err)
			break
		}
		elapsed = took(func() {
			r.run(ctx, load{senders: 2, each: 100})
			require.NoError(t, r.p.Flush(ctx))
		})
		require.Less(t, elapsed, 2*time.Second)
		require.Len(t, r.failures(), 100)

		require.NoError(t, r.p.Close(ctx))
		s := r.p.Stats()
		require.Zero(t, s.InFlight)
		require.Equal(t, s.Accepted, s.Delivered+s.Failed)
	})
}

func TestTopics_oneThatIsDeletedAndCreatedAgainWorksAgain(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithTopic("doomed", 3))
		r := newRig(t, m, cluster, producer.WithUnknownTopicTimeout(200*time.Millisecond))
		ctx := bounded(t)
		r.run(ctx, load{senders: 2, each: 50, topics: []string{"doomed"}})
		require.NoError(t, r.p.Flush(ctx))
		require.NoError(t, cluster.DeleteTopic("doomed"))
		r.run(ctx, load{senders: 2, each: 50, topics: []string{"doomed"}})
		require.NoError(t, r.p.Flush(ctx))
		require.Len(t, r.failures(), 100)
		require.NoError(t, cluster.CreateTopic("doomed", 3))
		elapsed := took(func() { r.untilDelivered(ctx, "doomed") })
		t.Logf("worked again after %v, with %d failures", elapsed, len(r.failures())-100)
		// Sarama's circuit breaker is open for 10 s.
		require.Less(t, elapsed, 12*time.Second)
	})
}

func TestTopics_aTopicWhoseLeaderIsElectedExists(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, producer.WithUnknownTopicTimeout(100*time.Millisecond))
		fault := cluster.FailMetadata(topic, int16(sarama.ErrLeaderNotAvailable), kafkatest.Times(10))
		r.run(bounded(t), load{senders: 2, each: 20})
		r.finishWithoutFailures(fault)
	})
}

func TestTopics_oneThatMayNotBeWrittenFailsAtOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []sarama.KError{sarama.ErrTopicAuthorizationFailed, sarama.ErrInvalidTopic} {
		t.Run(fmt.Sprint(int16(code)), func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster, producer.WithUnknownTopicTimeout(time.Minute))
				fault := cluster.FailMetadata(topic, int16(code))
				elapsed := took(func() {
					r.run(bounded(t), load{senders: 2, each: 20})
					require.NoError(t, r.p.Flush(bounded(t)))
				})
				require.Less(t, elapsed, slack)
				require.Len(t, r.failures(), 40)
				for _, err := range r.failures() {
					require.ErrorIs(t, err, code)
					require.Equal(t, producer.NotPersisted, judge.DeliveryError(err).Status)
				}
				fault.Remove()
				require.NoError(t, r.send(bounded(t)))
				r.finish(fault)
				require.Equal(t, 1, r.delivered())
			})
		})
	}
}
