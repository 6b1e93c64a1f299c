package e2e

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// lend makes a client whose configuration would spoil a producer of sarama's.
func lend(t *testing.T, cluster *kafkatest.Cluster) sarama.Client {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Producer.Return.Successes, conf.Producer.Return.Errors = false, false
	conf.Producer.RequiredAcks = sarama.NoResponse
	conf.Producer.Partitioner = sarama.NewRandomPartitioner
	conf.ChannelBufferSize = 1
	conf.Net.DialTimeout, conf.Net.ReadTimeout, conf.Net.WriteTimeout = time.Second, time.Second, time.Second
	conf.Metadata.Retry.Max, conf.Metadata.Retry.Backoff = 1, 10*time.Millisecond
	client, err := sarama.NewClient(cluster.Addrs(), conf)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// over makes a producer over a client.
func over(t *testing.T, m mode, cluster *kafkatest.Cluster, client sarama.Client) *rig {
	t.Helper()
	return newRigOver(t, m, cluster, func(opts producer.Options) (underTest, error) {
		if m.sync {
			return producer.NewSyncFromClient(client, opts)
		}
		return producer.NewAsyncFromClient(client, opts)
	})
}

func TestBorrowed_aClientIsNeitherClosedNorChangedAndWorks(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		client := lend(t, cluster)
		before := *client.Config()
		r := over(t, m, cluster, client)
		r.run(bounded(t), load{senders: 2, each: 100})
		r.finishWithoutFailures()

		require.False(t, client.Closed())
		require.NoError(t, client.RefreshMetadata(topic))
		after := *client.Config()
		// Functions cannot be compared; the one that was set still is.
		require.NotNil(t, after.Producer.Partitioner)
		before.Producer.Partitioner, after.Producer.Partitioner = nil, nil
		require.Equal(t, before, after)

		// And again, two at the same time.
		a, b := over(t, m, cluster, client), over(t, m, cluster, client)
		for _, r := range []*rig{a, b} {
			for range 20 {
				require.NoError(t, r.p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Metadata: &message{}}))
			}
			require.NoError(t, r.p.Close(bounded(t)))
			require.EqualValues(t, 20, r.p.Stats().Delivered)
		}
		require.False(t, client.Closed())
	})
}

// wrapped is a client that is not sarama's own.
type wrapped struct{ sarama.Client }

func TestBorrowed_aClientThatIsWrappedWorks(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := over(t, m, cluster, wrapped{lend(t, cluster)})
		fault := cluster.FailProduce(int16(sarama.ErrNotLeaderForPartition), kafkatest.Times(4))
		r.run(bounded(t), load{senders: 2, each: 100})
		r.finishWithoutFailures(fault)
	})
}

func TestBorrowed_faultsLoseNothing(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		r := over(t, m, cluster, lend(t, cluster))
		var faults []*kafkatest.Fault
		moves := meanwhile(t, r, 60, func() error {
			faults = append(faults, cluster.LoseProduceResponse(kafkatest.Times(1)), cluster.DropProduce(kafkatest.Times(1)))
			return cluster.ShuffleLeaders()
		})
		r.run(bounded(t), load{senders: 4, each: 150})
		require.NoError(t, r.p.Flush(bounded(t)))
		require.Greater(t, moves(), 3, "void: the leaders did not move")
		r.finishWithoutFailures(faults[0], faults[1])
	})
}

//nolint:paralleltest // it looks for goroutines that are left
func TestBorrowed_closeReturnsInTimeInEveryStateAndTheRestDrains(t *testing.T) {
	for name, spoil := range states() {
		for _, m := range kinds {
			t.Run(name+" "+m.String(), func(t *testing.T) {
				verifyNothingLeft(t) // with the client, which is closed before
				cluster := startCluster(t)
				client := lend(t, cluster)
				r := over(t, m, cluster, client)
				r.warm(40)
				fault := spoil(t, cluster)
				ctx := bounded(t)
				var senders sync.WaitGroup
				senders.Go(func() { r.run(ctx, load{senders: 4, each: 25, window: 25}) })
				if fault != nil {
					require.NoError(t, fault.Wait(ctx, 1))
				}
				limit := 200 * time.Millisecond
				closing, cancel := context.WithTimeout(ctx, limit)
				defer cancel()
				var err error
				elapsed := took(func() { err = r.p.Close(closing) })
				require.Less(t, elapsed, limit+afterCtx)
				senders.Wait()
				if err != nil {
					_, ok := errors.AsType[*producer.CloseError](err)
					require.True(t, ok, "%v", err)
				}
				require.False(t, client.Closed())
				if fault != nil {
					fault.Remove()
				}
				// What sarama holds ends with its network timeouts.
				require.Eventually(t, func() bool {
					s := r.p.Stats()
					return s.Held == 0 && s.Buffered == 0
				}, 15*time.Second, 5*time.Millisecond)
				r.settled()
			})
		}
	}
}
