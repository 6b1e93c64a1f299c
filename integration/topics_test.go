package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/integration/kafka"
	"github.com/saramakit/producer/internal/judge"
)

// requireUnknown fails the test if a topic exists.
func requireUnknown(t *testing.T, cluster *kafka.Cluster, topic string) {
	t.Helper()
	_, err := cluster.Records(bounded(t), topic)
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
}

func TestTopics_anUnknownOneFailsInTimeAndIsNotCreated(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	const timeout = 2 * time.Second
	topic := unusedTopic(t)
	p := startSync(t, cluster, producer.WithUnknownTopicTimeout(timeout))
	begin := time.Now()
	err := p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")})
	elapsed := time.Since(begin)
	require.ErrorIs(t, err, producer.ErrUnknownTopic)
	require.False(t, producer.MayHaveBeenWritten(err))
	require.GreaterOrEqual(t, elapsed, timeout, "it may just have been created")
	require.Less(t, elapsed, timeout+10*time.Second)
	requireUnknown(t, cluster, topic)
}

func TestTopics_oneThatIsCreatedInTimeGetsWhatWaited(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	topic := unusedTopic(t)
	l := newLedger()
	p := startAsync(t, cluster, l.options(), producer.WithUnknownTopicTimeout(time.Minute))
	for range 100 {
		require.NoError(t, l.send(bounded(t), p, l.message(topic, 0, 10)))
	}
	requireUnknown(t, cluster, topic)
	require.NoError(t, cluster.CreateTopic(bounded(t), topic, 3, nil))
	require.NoError(t, p.Close(bounded(t)))
	l.requireAllDelivered(t)
	l.requireStored(t, topic, read(t, cluster, topic), asSaid())
}

func TestTopics_oneIsCreatedByAskingIfThatIsWanted(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	topic := unusedTopic(t)
	l := newLedger()
	p := startAsync(t, cluster, l.options(), producer.WithAutoTopicCreation(true),
		producer.WithUnknownTopicTimeout(time.Minute))
	run(t, p, l, topic, 2, 50, 10)
	l.requireAllDelivered(t)
	records := read(t, cluster, topic)
	require.Len(t, records, 100)
	l.requireStored(t, topic, records, asSaid())
}

func TestTopics_oneThatIsDeletedFailsAloneAndStaysDeleted(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	doomed, healthy := newTopic(t, cluster, 2, nil), newTopic(t, cluster, 2, nil)
	l := newLedger()
	p := startAsync(t, cluster, l.options(), producer.WithUnknownTopicTimeout(time.Second))
	deleted := make(chan error, 1)
	ctx := bounded(t)
	for seq := 0; p.Stats().Failed == 0; seq++ {
		if seq == 200 {
			go func() { deleted <- cluster.DeleteTopic(ctx, doomed) }()
		}
		require.NoError(t, l.send(ctx, p, l.message(doomed, 0, 10)))
		require.NoError(t, l.send(ctx, p, l.message(healthy, 0, 10)))
		if seq%10 == 0 { // else millions would go to a topic that is not deleted yet
			require.NoError(t, p.Flush(ctx))
		}
	}
	select {
	case err := <-deleted:
		require.NoError(t, err)
	case <-ctx.Done():
		require.Fail(t, "it failed before it was deleted")
	}
	require.NoError(t, p.Close(bounded(t)))
	stats := p.Stats()
	require.Zero(t, stats.InFlight)
	require.Equal(t, stats.Accepted, stats.Delivered+stats.Failed)

	failures := l.failures(doomed)
	require.NotEmpty(t, failures)
	for _, err := range failures {
		require.True(t, errors.Is(err, producer.ErrUnknownTopic) || errors.Is(err, sarama.ErrUnknownTopicOrPartition), err)
	}
	require.Empty(t, l.failures(healthy))
	l.requireStored(t, healthy, read(t, cluster, healthy), asSaid())
	requireUnknown(t, cluster, doomed)
}

// What went to the first topic of that name is gone with it, and the sequence
// numbers that the broker knew of the producer, too.
func TestTopics_oneThatIsDeletedAndMadeAgainIsUsedAgain(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	topic := newTopic(t, cluster, 2, nil)
	l := newLedger()
	p := startAsync(t, cluster, l.options(), producer.WithUnknownTopicTimeout(time.Second))
	ctx := bounded(t)
	send := func(n int) {
		for range n {
			require.NoError(t, l.send(ctx, p, l.message(topic, 0, 10)))
		}
		require.NoError(t, p.Flush(ctx))
	}
	send(100)
	require.NoError(t, cluster.DeleteTopic(ctx, topic))
	send(10) // in vain
	require.Len(t, l.failures(topic), 10)
	require.NoError(t, cluster.CreateTopic(ctx, topic, 2, nil))
	until(t, "the new topic is used", func() bool {
		before := len(l.failures(topic))
		send(20)
		return len(l.failures(topic)) == before
	})
	send(100)
	require.NoError(t, p.Close(ctx))
	records := read(t, cluster, topic)
	require.GreaterOrEqual(t, len(records), 120)
	// AnyOrder: offsets begin again.
	l.requireStored(t, topic, records, judge.Rules{Idempotent: true, AnyOrder: true})
}

func TestTopics_partitionsThatAreAddedAreUsed(t *testing.T) {
	t.Parallel()
	cluster := shared(t)
	topic := newTopic(t, cluster, 1, nil)
	l := newLedger()
	p := startAsync(t, cluster, l.options(),
		producer.WithPartitioner(sarama.NewRoundRobinPartitioner),
		producer.WithSaramaConfig(func(c *sarama.Config) { c.Metadata.RefreshFrequency = 200 * time.Millisecond }))
	seq := 0
	send := func(n int) {
		for range n {
			require.NoError(t, l.send(bounded(t), p, l.message(topic, 0, 10)))
			seq++
		}
		require.NoError(t, p.Flush(bounded(t)))
	}
	send(100)
	require.NoError(t, cluster.AddPartitions(bounded(t), topic, 2))
	until(t, "the new partitions are used", func() bool {
		send(30)
		used := make(map[int32]bool)
		records := read(t, cluster, topic)
		for i := range records {
			used[records[i].Partition] = true
		}
		return len(used) == 3
	})
	require.NoError(t, p.Close(bounded(t)))
	l.requireAllDelivered(t)
	records := read(t, cluster, topic)
	require.Len(t, records, seq)
	l.requireStored(t, topic, records, asSaid())
}
