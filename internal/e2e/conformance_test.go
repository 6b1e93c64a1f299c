package e2e

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
	"github.com/saramakit/producer/producertest"
)

// breakage keeps a cluster from storing anything, until it is ended.
type breakage func(c *kafkatest.Cluster) (end func())

func byFreezing(c *kafkatest.Cluster) (end func()) { return c.Freeze().Remove }

func byDropping(c *kafkatest.Cluster) (end func()) { return c.DropProduce().Remove }

func byRefusing(c *kafkatest.Cluster) (end func()) {
	return c.FailProduce(int16(sarama.ErrNotEnoughReplicas)).Remove
}

// harness runs the contract on a kind of producer, each check on a cluster of
// its own.
func harness(m mode, spoil breakage, wrap func(p underTest) producer.Producer) producertest.Harness {
	open := func(tb testing.TB, s producertest.Settings) producertest.Subject {
		tb.Helper()
		cluster := kafkatest.Start(tb, kafkatest.WithTopic(topic, 3))
		opts := append(quick(m), networkTimeouts(time.Second), s.Options())
		var p underTest
		var err error
		if m.sync {
			p, err = producer.NewSync(tb.Context(), cluster.Addrs(), opts)
		} else {
			p, err = producer.NewAsync(tb.Context(), cluster.Addrs(), opts)
		}
		require.NoError(tb, err)
		return producertest.Subject{
			Producer: wrap(p),
			Topic:    topic,
			Stored:   func(ctx context.Context) ([]*sarama.ConsumerMessage, error) { return consumed(ctx, cluster) },
			Break:    func() (heal func()) { return spoil(cluster) },
		}
	}
	return producertest.Harness{Open: open, Sync: m.sync, AtLeastOnce: !m.idempotent}
}

// consumed is what the topic holds, as a consumer of sarama's has it.
func consumed(ctx context.Context, cluster *kafkatest.Cluster) ([]*sarama.ConsumerMessage, error) {
	records, err := cluster.Records(ctx, topic)
	msgs := make([]*sarama.ConsumerMessage, 0, len(records))
	for i := range records {
		r := &records[i]
		msg := &sarama.ConsumerMessage{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
		}
		for _, h := range r.Headers {
			msg.Headers = append(msg.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		msgs = append(msgs, msg)
	}
	return msgs, err
}

// Not beside other tests: a broker that an outage takes away gives its port up,
// and here many clusters start that might get it.
//
//nolint:paralleltest,tparallel // see above
func TestConformance_ofSyncAndAsync(t *testing.T) {
	inModes(t, modes, func(t *testing.T, m mode) {
		spoil := byFreezing
		if !m.idempotent {
			spoil = byRefusing
		}
		producertest.Conformance(t, harness(m, spoil, func(p underTest) producer.Producer { return p }))
	})
}

// counting is a decorator as a user would write it.
type counting struct {
	producer.Producer
	sent, refused atomic.Int64
}

func (c *counting) Send(ctx context.Context, msg *sarama.ProducerMessage) error {
	err := c.Producer.Send(ctx, msg)
	c.sent.Add(1)
	if err != nil {
		c.refused.Add(1)
	}
	return err
}

//nolint:paralleltest,tparallel // as the one above
func TestConformance_ofADecorator(t *testing.T) {
	inModes(t, kinds, func(t *testing.T, m mode) {
		producertest.Conformance(t, harness(m, byDropping, func(p underTest) producer.Producer { return &counting{Producer: p} }))
	})
}
