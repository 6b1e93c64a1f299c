package prom

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/rcrowley/go-metrics"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

func TestCollector_exportsEachFigureOnce(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]float64{
		"accepted_total": 100, "delivered_total": 60, "failed_total": 30, "rejected_total": 7, "late_total": 2,
		"failures_total{kind=delivery_timeout}": 20, "failures_total{kind=NOT_ENOUGH_REPLICAS}": 10,
		"rejections_total{kind=buffer_full}": 7,
		"in_flight_messages":                 10, "in_flight_oldest_seconds": 1.5, "held_messages": 3, "waiting_sends": 4,
		"buffer_messages": 13, "buffer_messages_limit": 1000, "buffer_bytes": 1300, "buffer_limit_bytes": 10000,
		"callbacks_running": 1, "slow_callbacks_total": 6, "callback_panics_total": 5,
		"stalled": 1, "stalls_total": 8, "last_outcome_timestamp_seconds": 2000.5, "start_timestamp_seconds": 1000,
		"state{state=running}": 0, "state{state=closing}": 1, "state{state=closed}": 0,
		"topic_accepted_total{topic=orders}": 90, "topic_delivered_total{topic=orders}": 60,
		"topic_failures_total{kind=delivery_timeout,topic=orders}": 20, "topic_in_flight_messages{topic=orders}": 10,
		"topic_accepted_total{topic=idle}": 0, "topic_delivered_total{topic=idle}": 0, "topic_in_flight_messages{topic=idle}": 0,
		"delivery_seconds": 0,
	}, gather(t, NewCollector(busy())))
}

func TestCollector_ofAnIdleProducerExportsItsZeroes(t *testing.T) {
	t.Parallel()
	all := gather(t, NewCollector(&source{State: producer.StateRunning}, nil))
	require.Contains(t, all, "failed_total")
	require.Contains(t, all, "rejected_total")
	require.Zero(t, all["last_outcome_timestamp_seconds"])
	require.InDelta(t, 1, all["state{state=running}"], 0)
}

func TestCollector_topicsThatGoTakeTheirSeriesAlong(t *testing.T) {
	t.Parallel()
	p := busy()
	c := NewCollector(p)
	require.Contains(t, gather(t, c), "topic_accepted_total{topic=idle}")
	p.Topics = p.Topics[:1]
	require.NotContains(t, gather(t, c), "topic_accepted_total{topic=idle}")
}

func TestCollector_severalProducersAreToldApartByTheirClientIDs(t *testing.T) {
	t.Parallel()
	a, b := busy(), busy()
	b.Accepted = 200
	all := gather(t, NewCollector(a, WithClientID("a")), NewCollector(b, WithClientID("b")))
	require.InDelta(t, 100, all["accepted_total{client_id=a}"], 0)
	require.InDelta(t, 200, all["accepted_total{client_id=b}"], 0)
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(NewCollector(a)))
	require.Error(t, registry.Register(NewCollector(b)), "or one would hide the other")
}

func TestCollector_itsMetricsAreAsPrometheusWantsThem(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(NewCollector(busy(), WithSaramaMetrics(measured()))))
	families, err := registry.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestCollector_canBeCollectedFromManyGoroutines(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(busy(), WithSaramaMetrics(measured())))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				if _, err := registry.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestCollector_theBoundsOfItsHistogramAreSomeOfTheProducers(t *testing.T) {
	t.Parallel()
	exact := map[time.Duration]bool{}
	for bound := range (producer.Latency{}).Cumulative() {
		exact[bound] = true
	}
	last := time.Duration(0)
	for _, bound := range bounds {
		require.True(t, exact[bound], "%v", bound)
		require.Greater(t, bound, last)
		last = bound
	}
}

func TestCollector_agreesWithAProducerThatSends(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.WithTopic("my-orders", 3))
	registry := metrics.NewRegistry()
	p, err := producer.NewSync(bounded(t), cluster.Addrs(), producer.WithUnknownTopicTimeout(50*time.Millisecond),
		producer.WithSaramaConfig(func(c *sarama.Config) { c.MetricRegistry = registry }))
	require.NoError(t, err)
	c := NewCollector(p, WithSaramaMetrics(registry))
	slow := cluster.DelayResponses(20*time.Millisecond, kafkatest.OnKey(0))
	for range 5 {
		require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: "my-orders", Value: sarama.StringEncoder("v")}))
	}
	slow.Remove()
	require.Error(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: "none"}))
	require.Error(t, p.Send(bounded(t), &sarama.ProducerMessage{}))
	all := gather(t, c)
	for name, want := range map[string]float64{
		"accepted_total": 6, "delivered_total": 5, "failed_total": 1, "rejected_total": 1,
		"failures_total{kind=unknown_topic}": 1, "rejections_total{kind=invalid_message}": 1,
		"topic_delivered_total{topic=my-orders}": 5, "delivery_seconds": 5,
		"sarama_topic_records_total{topic=my-orders}": 5, "sarama_topic_batch_size_bytes{topic=my-orders}": 5,
	} {
		require.InDelta(t, want, all[name], 0, name)
	}
	require.NotContains(t, all, "topic_accepted_total{topic=none}")

	families := histogramOf(t, c)
	require.InDelta(t, 0, float64(families[5*time.Millisecond]), 0)
	require.InDelta(t, 5, float64(families[120*time.Second]), 0)
	require.NoError(t, p.Close(bounded(t)))
	require.InDelta(t, 1, gather(t, c)["state{state=closed}"], 0)
}

// histogramOf are the cumulative counts of the latency.
func histogramOf(t *testing.T, c *Collector) map[time.Duration]uint64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[time.Duration]uint64{}
	for _, family := range families {
		if family.GetName() == namespace+latencyName {
			for _, bucket := range family.GetMetric()[0].GetHistogram().GetBucket() {
				counts[time.Duration(math.Round(bucket.GetUpperBound()*1e9))] = bucket.GetCumulativeCount()
			}
		}
	}
	require.Len(t, counts, len(bounds))
	return counts
}
