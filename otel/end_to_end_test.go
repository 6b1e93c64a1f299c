package otel

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// record is a consumer's record as a carrier: what a consumer with another
// library would write.
type record struct{ *kgo.Record }

func (r record) Get(key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
func (record) Set(string, string) {}
func (record) Keys() []string     { return nil }

func TestTrace_goesFromTheSenderThroughKafkaToTheConsumerAndToCallbacks(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic("orders", 1))
	r := newRig(t)
	var called trace.SpanContext
	p, err := producer.NewAsync(bounded(t), cluster.Addrs(), producer.WithHook(r.hook),
		producer.WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) { called = trace.SpanContextFromContext(ctx) }))
	require.NoError(t, err)
	ctx, request := r.tracer.Tracer("test").Start(bounded(t), "request")
	require.NoError(t, p.Send(ctx, order()))
	request.End()
	require.NoError(t, p.Close(bounded(t)))

	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...), kgo.ConsumeTopics("orders"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	records := client.PollFetches(bounded(t)).Records()
	require.Len(t, records, 1)
	ctx = propagation.TraceContext{}.Extract(t.Context(), record{records[0]})
	_, consumer := r.tracer.Tracer("test").Start(ctx, "process orders")
	consumer.End()

	ended := r.spans.Ended()
	require.Len(t, ended, 3)
	sent, processed := ended[1], ended[2]
	require.Equal(t, "send orders", sent.Name())
	require.Equal(t, request.SpanContext().SpanID(), sent.Parent().SpanID())
	require.Equal(t, sent.SpanContext().SpanID(), processed.Parent().SpanID())
	require.Equal(t, request.SpanContext().TraceID(), processed.SpanContext().TraceID())
	require.Equal(t, sent.SpanContext(), called)
	attrs := attributesOf(sent.Attributes())
	require.EqualValues(t, records[0].Offset, attrs["messaging.kafka.offset"])
	require.Len(t, sent.Events(), 3)
}

func TestTrace_allSpansEndAndAllMessagesAreCountedWhateverBecomesOfThem(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic("orders", 3))
	r := newRig(t)
	p, err := producer.NewSync(bounded(t), cluster.Addrs(), producer.WithHook(r.hook),
		producer.WithUnknownTopicTimeout(100*time.Millisecond))
	require.NoError(t, err)
	refused := cluster.FailProduce(int16(sarama.ErrInvalidRecord), kafkatest.Times(5))
	var senders sync.WaitGroup
	for range 10 {
		senders.Go(func() {
			for range 20 {
				_ = p.Send(bounded(t), order())
			}
			_ = p.Send(bounded(t), &sarama.ProducerMessage{Topic: "none"})
			_ = p.Send(bounded(t), &sarama.ProducerMessage{})
		})
	}
	senders.Wait()
	require.NoError(t, p.Close(bounded(t)))
	require.Equal(t, 5, refused.Hits())
	stats := p.Stats()
	require.EqualValues(t, 10, stats.Rejected)
	require.Greater(t, stats.Failed, int64(10+5-1))

	require.Len(t, r.spans.Started(), 220)
	require.Len(t, r.spans.Ended(), 220)
	errs := 0
	for _, span := range r.spans.Ended() {
		if span.Status().Code == codes.Error {
			errs++
		}
	}
	require.EqualValues(t, stats.Failed+stats.Rejected, errs)
	sums := r.sums("messaging.client.sent.messages")
	require.Equal(t, map[string]int64{
		"messaging.destination.name=orders":                           stats.Delivered,
		"error.type=INVALID_RECORD,messaging.destination.name=orders": stats.Failed - 10,
		"error.type=unknown_topic":                                    10,
	}, sums)
	require.Equal(t, map[string]int64{"error.type=invalid_message": 10}, r.sums("kafka.producer.rejected.messages"))
}

func TestTrace_whatComesOfAMessageThatWasGivenUpIsCountedOnceItsSpanHasEnded(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic("orders", 1))
	r := newRig(t)
	p, err := producer.NewSync(bounded(t), cluster.Addrs(), producer.WithHook(r.hook),
		producer.WithTopics("orders"), producer.WithDeliveryTimeout(time.Second))
	require.NoError(t, err)
	held := cluster.HoldResponses(kafkatest.OnTopic("orders"))
	require.ErrorIs(t, p.Send(bounded(t), order()), producer.ErrDeliveryTimeout)
	require.NoError(t, p.Flush(bounded(t))) // hooks are called where callbacks are
	require.Equal(t, codes.Error, r.only().Status().Code)
	require.Equal(t, "delivery_timeout", r.only().Status().Description)
	require.Empty(t, r.sums("kafka.producer.late.messages"))
	held.Remove()
	require.NoError(t, p.Close(bounded(t)))
	require.EqualValues(t, 1, p.Stats().Late, "void: the answer did not come")
	require.Equal(t, map[string]int64{"messaging.destination.name=orders": 1}, r.sums("kafka.producer.late.messages"))
	require.Equal(t, map[string]int64{"error.type=delivery_timeout,messaging.destination.name=orders": 1},
		r.sums("messaging.client.sent.messages"), "it is not counted again")
	require.Len(t, r.spans.Started(), 1)
}
