package otel

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/saramakit/producer"
)

func TestMetrics_countEachMessageByItsOutcome(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithClientID("me"))
	for range 3 {
		r.message(t.Context(), order(), delivered())
	}
	r.message(t.Context(), order(), failed(sarama.ErrNotEnoughReplicas))
	r.message(t.Context(), order(), rejected(producer.ErrBufferFull))
	r.hook.OnLate(t.Context(), order(), delivered())
	require.Equal(t, map[string]int64{
		"messaging.client.id=me,messaging.destination.name=orders":                                1 + 2,
		"error.type=NOT_ENOUGH_REPLICAS,messaging.client.id=me,messaging.destination.name=orders": 1,
	}, r.sums("messaging.client.sent.messages"))
	require.Equal(t, map[string]int64{"error.type=buffer_full,messaging.client.id=me": 1}, r.sums("kafka.producer.rejected.messages"))
	require.Equal(t, map[string]int64{"messaging.client.id=me,messaging.destination.name=orders": 1}, r.sums("kafka.producer.late.messages"))

	m := r.collected()["messaging.client.operation.duration"]
	require.Equal(t, "s", m.Unit)
	points := m.Data.(metricdata.Histogram[float64]).DataPoints //nolint:errcheck,forcetypeassert // or the test fails
	require.Len(t, points, 2)
	total := uint64(0)
	for _, point := range points {
		total += point.Count
		require.InDelta(t, float64(point.Count)*time.Second.Seconds(), point.Sum, 1e-9)
		require.Equal(t, []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}, point.Bounds)
	}
	require.EqualValues(t, 4, total)
}

// A name of which nobody knows whether there is such a topic may be any text.
func TestMetrics_topicsThatWereNeverSentToMakeNoSeries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	unknown := failed(producer.ErrUnknownTopic)
	unknown.Attempts = 0
	for i := range 100 {
		msg := order()
		msg.Topic = fmt.Sprint("misspelt", i)
		r.message(t.Context(), msg, unknown)
		r.message(t.Context(), msg, rejected(producer.ErrClosed))
	}
	require.Equal(t, map[string]int64{"error.type=unknown_topic": 100}, r.sums("messaging.client.sent.messages"))
	require.Equal(t, map[string]int64{"error.type=closed": 100}, r.sums("kafka.producer.rejected.messages"))
}

func TestMetrics_partitionsAreToldApartOnlyIfAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithPartitions())
	r.message(t.Context(), order(), delivered())
	require.Equal(t, map[string]int64{"messaging.destination.name=orders,messaging.destination.partition.id=3": 1},
		r.sums("messaging.client.sent.messages"))
}

func TestMetrics_canBeLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithoutMetrics())
	r.message(t.Context(), order(), delivered())
	require.Empty(t, r.collected())
	require.Len(t, r.spans.Ended(), 1)
}

func TestTable_makesEachThingOnceAndNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	var made table[int, *int]
	var count atomic.Int64
	var all sync.WaitGroup
	const most = 200
	for range 4 {
		all.Go(func() {
			for i := range most + 100 {
				got, ok := made.get(i, most, func() *int { count.Add(1); return &i })
				if ok && *got != i {
					t.Errorf("%d of %d", *got, i)
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, most, count.Load())
	n := 0
	for range made.all() {
		n++
	}
	require.Equal(t, most, n)
	for range new(table[int, int]).all() {
		t.Error("an empty one has nothing")
	}
}

func TestMetrics_ofMoreTopicsThanAreToldApartAreCountedWithoutTheirNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range mostSeries + 100 {
		msg := order()
		msg.Topic = fmt.Sprint("topic", i)
		r.message(t.Context(), msg, delivered())
	}
	sums := r.sums("messaging.client.sent.messages")
	require.Equal(t, mostSeries+1, len(sums)) //nolint:testifylint // else it would print them all
	require.EqualValues(t, 100, sums[""])
}

func TestMetrics_aTemplateStandsForAnyNumberOfTopics(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithTopicTemplate(func(topic string) string {
		if topic == "audit" {
			return ""
		}
		return "orders-{customer}"
	}))
	for i := range mostSeries + 100 {
		msg := order()
		msg.Topic = fmt.Sprint("orders-", i)
		r.message(t.Context(), msg, delivered())
	}
	audit := order()
	audit.Topic = "audit"
	r.message(t.Context(), audit, delivered())
	require.Equal(t, map[string]int64{
		"messaging.destination.template=orders-{customer}": mostSeries + 100,
		"messaging.destination.name=audit":                 1,
	}, r.sums("messaging.client.sent.messages"))
	spans := r.spans.Ended()
	require.Equal(t, "send orders-{customer}", spans[mostSeries].Name())
	require.Equal(t, fmt.Sprint("orders-", mostSeries), attributesOf(spans[mostSeries].Attributes())["messaging.destination.name"])
	require.Equal(t, "send audit", spans[len(spans)-1].Name())
	require.NotContains(t, attributesOf(spans[len(spans)-1].Attributes()), "messaging.destination.template")
}

func TestMetrics_ofMorePartitionsThanAreToldApartKeepTheirTopic(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithPartitions())
	for i := range mostSeries + 100 {
		o := delivered()
		o.Partition = int32(i) //nolint:gosec // small
		r.message(t.Context(), order(), o)
	}
	sums := r.sums("messaging.client.sent.messages")
	require.Equal(t, mostSeries+1, len(sums)) //nolint:testifylint // else it would print them all
	require.EqualValues(t, 100, sums["messaging.destination.name=orders"])
}

func TestMetrics_ofSeveralHooksAreToldApartByTheirClientOrAddedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, WithClientID("a"))
	for _, id := range []string{"a", "b"} {
		hook, err := NewHook(append(r.options(), WithClientID(id))...)
		require.NoError(t, err)
		for range 2 {
			msg := order()
			hook.OnDone(hook.OnSend(t.Context(), msg), msg, delivered())
		}
	}
	r.message(t.Context(), order(), delivered())
	require.Equal(t, map[string]int64{
		"messaging.client.id=a,messaging.destination.name=orders": 2 + 1,
		"messaging.client.id=b,messaging.destination.name=orders": 2,
	}, r.sums("messaging.client.sent.messages"))
}

// source is a producer with figures of the test's choice.
type source producer.Details

func (s *source) Details() producer.Details { return producer.Details(*s) }

func TestObserve_readsTheFiguresWhenTheyAreCollected(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := &source{MaxBuffered: 100, MaxBufferedBytes: 1000, Stats: producer.Stats{
		InFlight: 1, Buffered: 2, BufferedBytes: 3, Waiting: 4, CallbacksRunning: 5, Stalls: 6, Stalled: true,
		OldestInFlight: 1500 * time.Millisecond,
	}}
	registration, err := Observe(p, append(r.options(), WithClientID("me"))...)
	require.NoError(t, err)
	want := map[string]float64{
		"kafka.producer.inflight.messages": 1, "kafka.producer.inflight.oldest": 1.5,
		"kafka.producer.buffer.messages.usage": 2, "kafka.producer.buffer.messages.limit": 100,
		"kafka.producer.buffer.size.usage": 3, "kafka.producer.buffer.size.limit": 1000,
		"kafka.producer.waiting.sends": 4, "kafka.producer.callbacks.running": 5,
		"kafka.producer.stalled": 1, "kafka.producer.stalls": 6,
	}
	check := func() {
		got := map[string]float64{}
		for name, m := range r.collected() {
			switch data := m.Data.(type) {
			case metricdata.Gauge[float64]:
				require.Len(t, data.DataPoints, 1)
				require.Equal(t, "messaging.client.id=me", text(data.DataPoints[0].Attributes))
				got[name] = data.DataPoints[0].Value
			case metricdata.Sum[float64]:
				require.Equal(t, name == "kafka.producer.stalls", data.IsMonotonic, name)
				got[name] = data.DataPoints[0].Value
			}
		}
		require.Equal(t, want, got)
	}
	check()
	p.Stalled, want["kafka.producer.stalled"] = false, 0
	check()
	require.NoError(t, registration.Unregister())
	require.Empty(t, r.collected())
}
