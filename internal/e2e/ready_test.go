package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// probed is what both producers have for probes.
type probed interface {
	Ready(ctx context.Context) error
	Ping(ctx context.Context) error
}

func TestReady_followsTheCluster(t *testing.T) {
	t.Parallel()
	for name, borrowed := range map[string]bool{"Owned": false, "Borrowed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := startCluster(t)
			p := newProbed(t, cluster, borrowed)
			require.NoError(t, p.Ready(bounded(t)), "before anything was sent")
			require.NoError(t, cluster.StopBroker(0))
			require.NoError(t, p.Ready(bounded(t)), "two of three are there")
			require.NoError(t, cluster.StartBroker(0))

			frozen := cluster.Freeze()
			began := time.Now()
			require.ErrorIs(t, p.Ready(within(t, 300*time.Millisecond)), context.DeadlineExceeded)
			require.Less(t, time.Since(began), 2*time.Second)
			require.Error(t, p.Ping(t.Context()))
			require.Less(t, time.Since(began), 40*time.Second, "it ends without a deadline")
			frozen.Remove()
			require.Eventually(t, func() bool { return p.Ready(bounded(t)) == nil }, 10*time.Second, 10*time.Millisecond)

			require.NoError(t, cluster.Outage())
			require.Error(t, p.Ping(within(t, time.Second)))
			require.NoError(t, cluster.Return())
			require.Eventually(t, func() bool { return p.Ready(bounded(t)) == nil }, 10*time.Second, 10*time.Millisecond)
		})
	}
}

func newProbed(t *testing.T, cluster *kafkatest.Cluster, borrowed bool) probed {
	t.Helper()
	if !borrowed {
		p, err := producer.NewAsync(bounded(t), cluster.Addrs(), networkTimeouts(500*time.Millisecond))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close(context.Background())) })
		return p
	}
	conf := sarama.NewConfig()
	conf.Net.DialTimeout, conf.Net.ReadTimeout, conf.Net.WriteTimeout = time.Second, 500*time.Millisecond, time.Second
	client, err := sarama.NewClient(cluster.Addrs(), conf)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	p, err := producer.NewAsyncFromClient(client)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close(context.Background())) })
	return p
}

// A ping must not fetch what the cluster knows of thousands of topics.
func TestPing_asksForNoMetadata(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t)
	p := newProbed(t, cluster, false)
	const metadataKey, versionsKey = 3, 18
	metadata := cluster.DelayResponses(0, kafkatest.OnKey(metadataKey))
	versions := cluster.DelayResponses(0, kafkatest.OnKey(versionsKey))
	require.NoError(t, p.Ping(bounded(t)))
	require.NotZero(t, versions.Hits())
	require.Zero(t, metadata.Hits())
}

// The names are Kafka's, as franz-go has them.
func TestErrorKind_isTheNameThatKafkaHasForACode(t *testing.T) {
	t.Parallel()
	for code := int16(-1); code <= 90; code++ {
		if code == 0 {
			continue
		}
		known, ok := kerr.ErrorForCode(code).(*kerr.Error) //nolint:errorlint // it is none that is wrapped
		require.True(t, ok)
		want := known.Message
		if code == int16(sarama.ErrNotLeaderForPartition) {
			want = "NOT_LEADER_OR_FOLLOWER" // as it has been called since Kafka 2.6
		}
		require.Equal(t, want, producer.ErrorKind(sarama.KError(code)))
	}
}
