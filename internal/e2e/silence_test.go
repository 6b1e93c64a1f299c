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

// Bare sarama accepts what comes until its channels are full, and what waits to
// be sent again has no bound.
//
//nolint:paralleltest // it measures memory
func TestSilence_memoryStaysBoundedWhileBrokersAnswerNothing(t *testing.T) {
	for name, silence := range map[string]func(*kafkatest.Cluster) *kafkatest.Fault{
		"frozen":   func(c *kafkatest.Cluster) *kafkatest.Fault { return c.Freeze() },
		"ignoring": func(c *kafkatest.Cluster) *kafkatest.Fault { return c.IgnoreProduce() },
	} {
		t.Run(name, func(t *testing.T) {
			const budget = 8 << 20
			cluster := startCluster(t)
			// Requests are given up and sent again all the time.
			p := newProducer(t, mode{idempotent: true}, cluster,
				producer.WithMaxBufferedBytes(budget), networkTimeouts(150*time.Millisecond))
			require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic}))
			require.NoError(t, p.Flush(bounded(t)))
			idle := float64(heap())
			fault := silence(cluster)

			ctx, cancel := context.WithCancel(bounded(t))
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for ctx.Err() == nil {
					_ = p.Send(ctx, &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(make([]byte, 1000))})
				}
			}()
			require.Eventually(t, func() bool { return p.Stats().Waiting > 0 }, 20*time.Second, time.Millisecond, "void: never full")
			require.NoError(t, fault.Wait(ctx, 3), "void: nothing was sent again")
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for range 4 {
				<-tick.C
				require.LessOrEqual(t, p.Stats().BufferedBytes, int64(budget))
				held := (float64(heap()) - idle) / budget
				t.Logf("%.2f budgets", held)
				require.Less(t, held, 2.5)
			}
			cancel()
			<-sent
			require.Error(t, p.Close(within(t, 50*time.Millisecond)))
			require.Zero(t, p.Stats().InFlight)
		})
	}
}
