package otel

import (
	"context"
	"strconv"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"

	"github.com/saramakit/producer"
)

// What the conventions have no names for.
const (
	rejectedName = "kafka.producer.rejected.messages"
	lateName     = "kafka.producer.late.messages"
)

// metrics are those of messages.
type metrics struct {
	config   *config
	duration metric.Float64Histogram
	rejected metric.Int64Counter
	late     metric.Int64Counter
	sent     metric.Int64ObservableCounter

	byTopic, byPartition table[seriesKey, *series]
}

// seriesKey is what tells series apart.
type seriesKey struct {
	to        destination
	kind      string // of the error, "" if there is none
	partition int32  // -1: not told apart
}

// series is one: its attributes, as the instruments take them, and how many
// messages were sent. These are counted here and read when metrics are
// collected, which costs a message a tenth of what an instrument does.
type series struct {
	record  []metric.RecordOption
	add     []metric.AddOption
	observe []metric.ObserveOption
	sent    atomic.Int64
}

func newMetrics(c *config) (*metrics, error) {
	meter := c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	// The bounds are those that the conventions advise.
	duration, err := messagingconv.NewClientOperationDuration(meter, metric.WithExplicitBucketBoundaries(
		0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	if err != nil {
		return nil, err
	}
	rejected, err := meter.Int64Counter(rejectedName, metric.WithUnit("{message}"),
		metric.WithDescription("Messages that the producer did not accept."))
	if err != nil {
		return nil, err
	}
	late, err := meter.Int64Counter(lateName, metric.WithUnit("{message}"),
		metric.WithDescription("Answers of brokers about messages that had been given up; without error.type: they were stored after all."))
	if err != nil {
		return nil, err
	}
	m := &metrics{config: c, duration: duration.Inst(), rejected: rejected, late: late}
	sent, err := messagingconv.NewClientSentMessagesObservable(meter)
	if err != nil {
		return nil, err
	}
	m.sent = sent.Inst()
	// A callback that is given with the instrument would be that of the first hook
	// only: the SDK ignores those of instruments that it has already.
	_, err = meter.RegisterCallback(m.observe, m.sent)
	return m, err
}

// observe tells how many messages were sent.
func (m *metrics) observe(_ context.Context, to metric.Observer) error {
	for _, made := range []*table[seriesKey, *series]{&m.byTopic, &m.byPartition} {
		for s := range made.all() {
			if n := s.sent.Load(); n > 0 {
				to.ObserveInt64(m.sent, n, s.observe...)
			}
		}
	}
	return nil
}

// done counts a message of which the outcome is known. The conventions count
// what was tried to send, so what was not accepted has a counter of its own.
func (m *metrics) done(ctx context.Context, topic string, o *producer.Outcome) {
	s := m.of(topic, o)
	if o.Accepted.IsZero() {
		m.rejected.Add(ctx, 1, s.add...)
		return
	}
	m.duration.Record(ctx, o.Done.Sub(o.Sent).Seconds(), s.record...)
	s.sent.Add(1)
}

func (m *metrics) wasLate(ctx context.Context, topic string, o *producer.Outcome) {
	m.late.Add(ctx, 1, m.of(topic, o).add...)
}

// of is the series of an outcome. A message that was never put into a batch may
// be for a topic that does not exist: it has none. What there is more of than
// is told apart has none either, partitions before topics.
func (m *metrics) of(topic string, o *producer.Outcome) *series {
	key := seriesKey{partition: -1}
	if o.Attempts > 0 {
		key.to = m.config.destination(topic)
		if m.config.partitions {
			key.partition = o.Partition
		}
	}
	if o.Err != nil {
		key.kind = errorType(o.Err)
	}
	create := func() *series { return m.config.series(key) }
	if key.partition >= 0 {
		if s, ok := m.byPartition.get(key, mostSeries, create); ok {
			return s
		}
		key.partition = -1
	}
	if s, ok := m.byTopic.get(key, mostSeries, create); ok {
		return s
	}
	key.to = destination{}
	s, _ := m.byTopic.get(key, unbounded, create) // kinds are few
	return s
}

func (c *config) series(key seriesKey) *series {
	attrs := c.attributes(key.to)
	if key.kind != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(key.kind))
	}
	if key.partition >= 0 {
		attrs = append(attrs, semconv.MessagingDestinationPartitionID(strconv.Itoa(int(key.partition))))
	}
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	return &series{
		record: []metric.RecordOption{set}, add: []metric.AddOption{set}, observe: []metric.ObserveOption{set},
	}
}
