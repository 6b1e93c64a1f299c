package prom

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rcrowley/go-metrics"
	"github.com/stretchr/testify/require"
)

// measured is a registry with each metric that a producer has, of two topics or
// brokers, and with others.
func measured() metrics.Registry {
	r := metrics.NewRegistry()
	for _, b := range bridges {
		for _, suffix := range []string{"", "-for-topic-a-for-topic-b", "-for-topic-c-for-broker-1", "-for-broker-1", "-for-broker--1"} {
			name := b.sarama + suffix
			switch b.sarama {
			case "requests-in-flight":
				metrics.GetOrRegisterCounter(name, r).Inc(7)
			case "outgoing-byte-rate", "incoming-byte-rate", "request-rate", "response-rate", "record-send-rate":
				metrics.GetOrRegisterMeter(name, r).Mark(9)
			default:
				h := metrics.NewHistogram(metrics.NewUniformSample(10))
				h.Update(100)
				h.Update(300)
				_ = r.Register(name, h)
			}
		}
	}
	_ = r.Register("consumer-batch-size", metrics.NewHistogram(metrics.NewUniformSample(10)))
	_ = r.Register("protocol-requests-rate-0-for-broker-1", metrics.NewMeter())
	_ = r.Register("request-size-for-broker-2", metrics.NewTimer()) // not what sarama registers
	return r
}

func TestBridge_theBrokerOrTheTopicBecomesALabel(t *testing.T) {
	t.Parallel()
	all := gather(t, NewCollector(&source{}, WithSaramaMetrics(measured())))
	got := map[string]float64{}
	for name, value := range all {
		if name[:3] == "sar" {
			got[name] = value
		}
	}
	want := map[string]float64{}
	for _, broker := range []string{"1", "-1"} {
		for name, value := range map[string]float64{
			"sent_bytes_total": 9, "received_bytes_total": 9, "requests_total": 9, "responses_total": 9,
			"requests_in_flight": 7, "request_latency_seconds": 2, "request_size_bytes": 2, "response_size_bytes": 2,
		} {
			want["sarama_broker_"+name+"{broker="+broker+"}"] = value
		}
	}
	for _, topic := range []string{"a-for-topic-b", "c-for-broker-1"} {
		for name, value := range map[string]float64{
			"records_total": 9, "batch_size_bytes": 2, "records_per_request": 2, "compression_ratio": 2,
		} {
			want["sarama_topic_"+name+"{topic="+topic+"}"] = value
		}
	}
	require.Equal(t, want, got)
}

func TestBridge_valuesAreInBaseUnits(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(&source{}, WithSaramaMetrics(measured())))
	families, err := registry.Gather()
	require.NoError(t, err)
	checked := 0
	for _, family := range families {
		var scale float64
		switch family.GetName() {
		case "kafka_producer_sarama_broker_request_latency_seconds":
			scale = 1e-3
		case "kafka_producer_sarama_topic_compression_ratio":
			scale = 1e-2
		default:
			continue
		}
		checked++
		s := family.GetMetric()[0].GetSummary()
		require.InDelta(t, 400*scale, s.GetSampleSum(), 1e-9)
		require.InDelta(t, 200*scale, s.GetQuantile()[0].GetValue(), 1e-9)
		require.InDelta(t, 300*scale, s.GetQuantile()[2].GetValue(), 1e-9)
	}
	require.Equal(t, 2, checked)
}

func TestBridge_whatSaramaTakesOutIsExportedNoMore(t *testing.T) {
	t.Parallel()
	r := measured()
	c := NewCollector(&source{}, WithSaramaMetrics(r))
	name := "sarama_broker_requests_total{broker=1}"
	require.Contains(t, gather(t, c), name)
	r.UnregisterAll()
	require.NotContains(t, gather(t, c), name)
}
