package producertest_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/producertest"
)

// Metered counts what is sent.
type Metered struct {
	producer.Producer
	sent atomic.Int64
}

// Send counts.
func (m *Metered) Send(ctx context.Context, msg *sarama.ProducerMessage) error {
	m.sent.Add(1)
	return m.Producer.Send(ctx, msg)
}

func openMetered(tb testing.TB, s producertest.Settings) producertest.Subject {
	tb.Helper()
	p, err := producer.NewAsync(tb.Context(), []string{"localhost:9092"}, s.Options())
	if err != nil {
		tb.Fatal(err)
	}
	return producertest.Subject{Producer: &Metered{Producer: p}, Topic: "orders"}
}

// A test of a decorator, against a broker that runs for it. Package kafkatest
// starts one inside the test, and has more to check.
func ExampleConformance() {
	var t *testing.T // that of the test
	producertest.Conformance(t, producertest.Harness{Open: openMetered})
}
