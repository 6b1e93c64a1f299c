package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

func TestFaults_aConnectionThatBreaksAroundTheAppendLosesNothing(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]func(*kafkatest.Cluster) *kafkatest.Fault{
		"before": func(c *kafkatest.Cluster) *kafkatest.Fault { return c.DropProduce(kafkatest.Times(8)) },
		// The judge finds a duplicate of an idempotent producer.
		"after": func(c *kafkatest.Cluster) *kafkatest.Fault { return c.LoseProduceResponse(kafkatest.Times(8)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster)
				r.warm(20)
				fault := install(cluster)
				r.run(bounded(t), load{senders: 4, each: 200})
				r.finishWithoutFailures(fault)
			})
		})
	}
}

func TestFaults_aRequestThatIsNeverAnsweredIsSentAgain(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster)
		r.warm(20)
		fault := cluster.IgnoreProduce(kafkatest.Times(2))
		r.run(bounded(t), load{senders: 2, each: 50})
		r.finishWithoutFailures(fault)
	})
}

func TestFaults_answersThatAreLostForEverEndInTimeAndNothingIsStoredTwice(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, producer.WithDeliveryTimeout(1500*time.Millisecond))
		r.warm(20)
		fault := cluster.LoseProduceResponse()
		elapsed := took(func() {
			r.run(bounded(t), load{senders: 2, each: 20})
			require.NoError(t, r.p.Flush(bounded(t)))
		})
		require.Less(t, elapsed, 1500*time.Millisecond+slack)
		for _, err := range r.failures() {
			require.ErrorIs(t, err, producer.ErrDeliveryTimeout)
		}
		fault.Remove()
		require.NoError(t, r.send(bounded(t)))
		r.finish(fault)
		require.Equal(t, 21, r.delivered())
	})
}

func TestFaults_leadersThatMoveAllTheTimeLoseNothing(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster)
		moves := meanwhile(t, r, 40, cluster.ShuffleLeaders)
		r.run(bounded(t), load{senders: 4, each: 300})
		require.NoError(t, r.p.Flush(bounded(t)))
		require.Greater(t, moves(), 5, "void: the leaders did not move")
		r.finishWithoutFailures()
	})
}

func TestFaults_leadersThatMoveAndAnswersThatAreLostTogetherLoseNothing(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster)
		var faults []*kafkatest.Fault
		moves := meanwhile(t, r, 60, func() error {
			faults = append(faults,
				cluster.LoseProduceResponse(kafkatest.Times(1)),
				cluster.FailProduceAfterAppend(int16(sarama.ErrNotEnoughReplicasAfterAppend), kafkatest.Times(1)),
				cluster.DropProduce(kafkatest.Times(1)))
			return cluster.ShuffleLeaders()
		})
		r.run(bounded(t), load{senders: 4, each: 300})
		require.NoError(t, r.p.Flush(bounded(t)))
		require.Greater(t, moves(), 5, "void: the leaders did not move")
		r.finishWithoutFailures(faults[0], faults[1], faults[2])
	})
}

// meanwhile does something each time that many more messages have an outcome,
// until the function that it returns is called, which says how often.
func meanwhile(t *testing.T, r *rig, every int, do func() error) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	times := 0
	go func() {
		defer close(done)
		for r.waitReported(ctx, (times+1)*every) == nil {
			times++
			if err := do(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	stop = func() int {
		cancel()
		<-done
		return times
	}
	t.Cleanup(func() { stop() })
	return stop
}

//nolint:paralleltest // during an outage another test's cluster could get its ports
func TestFaults_brokersThatGoAndComeBackLoseNothing(t *testing.T) {
	oneByOne(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster)
		broker, stopped := int32(0), false
		bounces := meanwhile(t, r, 100, func() error {
			if stopped {
				stopped = false
				defer func() { broker = (broker + 1) % 3 }()
				if err := cluster.StartBroker(broker); err != nil {
					return err
				}
				return cluster.ShuffleLeaders()
			}
			stopped = true
			return cluster.StopBroker(broker)
		})
		r.run(bounded(t), load{senders: 4, each: 300})
		require.NoError(t, r.p.Flush(bounded(t)))
		require.Greater(t, bounces(), 4, "void: the brokers did not go")
		r.finishWithoutFailures()
	})
}

//nolint:paralleltest // during an outage another test's cluster could get its ports
func TestFaults_anOutageShorterThanTheDeliveryTimeoutFailsNothing(t *testing.T) {
	oneByOne(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster)
		ctx := bounded(t)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(ctx, load{senders: 4, each: 200, window: 50})
		}()
		require.NoError(t, r.waitDelivered(ctx, 100))
		require.NoError(t, cluster.Outage())
		// The load goes on into the outage until nothing moves any more.
		outage, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		<-outage.Done()
		during := r.delivered()
		require.Less(t, during, 800, "void: all was over before the outage")
		require.NoError(t, cluster.Return())
		<-sent
		r.finishWithoutFailures()
		require.Equal(t, 800, r.delivered())
	})
}

//nolint:paralleltest // during an outage another test's cluster could get its ports
func TestFaults_anOutageLongerThanTheDeliveryTimeoutFailsAllInTimeAndThenItWorksAgain(t *testing.T) {
	const timeout = time.Second
	oneByOne(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, producer.WithDeliveryTimeout(timeout))
		ctx := bounded(t)
		r.warm(100)
		require.NoError(t, cluster.Outage())

		elapsed := took(func() {
			r.run(ctx, load{senders: 4, each: 25, window: 25})
			require.NoError(t, r.p.Flush(ctx))
		})
		require.Less(t, elapsed, timeout+slack)
		require.Len(t, r.failures(), 100)
		for _, err := range r.failures() {
			require.True(t, producer.IsRetriable(err), "%v", err)
		}
		require.NoError(t, cluster.Return())
		back := took(func() { r.untilDelivered(ctx, topic) })
		t.Logf("worked again after %v, with %d failures since", back, len(r.failures())-100)
		r.finish()
	})
}

func TestFaults_aFrozenBrokerIsBridgedWhenItsLeadersMove(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster)
		ctx := bounded(t)
		r.warm(100)
		frozen := cluster.Freeze(1)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(ctx, load{senders: 4, each: 100})
		}()
		require.NoError(t, frozen.Wait(ctx, 1))
		for p := range int32(3) {
			if leader, err := cluster.Leader(topic, p); err == nil && leader == 1 {
				require.NoError(t, cluster.MoveLeader(topic, p, 2))
			}
		}
		<-sent
		r.finishWithoutFailures(frozen)
	})
}

func TestFaults_aFrozenClusterThatThawsInTimeFailsNothing(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster)
		ctx := bounded(t)
		r.warm(100)
		frozen := cluster.Freeze()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(ctx, load{senders: 4, each: 50})
		}()
		// The first read timeouts are over when new connections are tried.
		require.NoError(t, frozen.Wait(ctx, 6))
		frozen.Remove()
		<-sent
		r.finishWithoutFailures(frozen)
	})
}

//nolint:paralleltest // it measures
func TestFaults_aHealthyPartitionGoesOnWhileAnotherBrokerIsFrozen(t *testing.T) {
	oneByOne(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := newRig(t, m, cluster, producer.WithPartitioner(sarama.NewManualPartitioner))
		ctx := bounded(t)
		for p := range int32(3) {
			require.NoError(t, r.sendTo(ctx, topic, toPartition(p)))
		}
		require.NoError(t, r.p.Flush(ctx))
		frozen := cluster.Freeze(1)
		stuck := make(chan struct{})
		go func() {
			defer close(stuck)
			r.run(ctx, load{senders: 1, each: 20, edit: toPartition(1)})
		}()
		require.NoError(t, frozen.Wait(ctx, 1))
		elapsed := took(func() {
			r.run(ctx, load{senders: 2, each: 100, edit: toPartition(0)})
			require.NoError(t, r.waitDelivered(ctx, 203))
		})
		t.Logf("200 messages beside a frozen broker took %v", elapsed)
		require.Less(t, elapsed, time.Second)
		frozen.Remove()
		<-stuck
		r.finishWithoutFailures(frozen)
	})
}
