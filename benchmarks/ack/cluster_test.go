package ack_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/saramakit/producer/benchmarks/ack"
)

const messages = 1000

func start(t *testing.T) *ack.Cluster {
	t.Helper()
	c, err := ack.Start(3, func(string) int32 { return 6 })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestCluster_countsWhatFranzGoSends(t *testing.T) {
	t.Parallel()
	for name, acks := range map[string]kgo.Acks{"all": kgo.AllISRAcks(), "none": kgo.NoAck()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			opts := []kgo.Opt{kgo.SeedBrokers(c.Addrs()...), kgo.RequiredAcks(acks)}
			if name == "none" {
				opts = append(opts, kgo.DisableIdempotentWrite())
			}
			client, err := kgo.NewClient(opts...)
			require.NoError(t, err)
			defer client.Close()
			ends := map[int32]int64{}
			records := make([]*kgo.Record, messages)
			for i := range records {
				records[i] = &kgo.Record{Topic: "t", Key: fmt.Append(nil, i), Value: []byte("value")}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			require.NoError(t, client.ProduceSync(ctx, records...).FirstErr())
			require.Eventually(t, func() bool { return c.Messages() == messages }, 10*time.Second, time.Millisecond)
			require.Positive(t, c.Requests())
			if name == "none" {
				return
			}
			for _, r := range records {
				require.Equal(t, ends[r.Partition], r.Offset, "offsets go up by one")
				ends[r.Partition]++
			}
			require.Len(t, ends, 6)
		})
	}
}

func TestCluster_countsWhatSaramaSendsInEveryVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []sarama.KafkaVersion{sarama.V1_0_0_0, sarama.V2_1_0_0, sarama.V2_8_0_0, sarama.MaxVersion} {
		t.Run(version.String(), func(t *testing.T) {
			t.Parallel()
			c := start(t)
			conf := sarama.NewConfig()
			conf.Version = version
			conf.Producer.Return.Successes = true
			conf.Producer.Compression = sarama.CompressionSnappy
			p, err := sarama.NewSyncProducer(c.Addrs(), conf)
			require.NoError(t, err)
			defer func() { require.NoError(t, p.Close()) }()
			all := make([]*sarama.ProducerMessage, messages)
			for i := range all {
				all[i] = &sarama.ProducerMessage{Topic: "t", Value: sarama.StringEncoder("value")}
			}
			require.NoError(t, p.SendMessages(all))
			require.EqualValues(t, messages, c.Messages())
		})
	}
}
