package prom

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rcrowley/go-metrics"
)

// bridge is a metric of sarama's. Sarama has each of them twice: for all brokers
// or topics, and for each, with its name behind that of the metric. The latter
// are exported, with the name as a label; the former are their sum.
type bridge struct {
	sarama, name, help string
	topic              bool    // it is of a topic, else of a broker
	scale              float64 // what a value is multiplied with
}

const (
	ofBroker = "-for-broker-"
	ofTopic  = "-for-topic-"
)

// bridges are the metrics that a producer has. Left out are those of a consumer,
// and requests by the kind of their question.
var bridges = []bridge{ //nolint:gochecknoglobals // a table, never written to
	{"outgoing-byte-rate", "sarama_broker_sent_bytes_total", "Bytes that were written to a broker.", false, 1},
	{"incoming-byte-rate", "sarama_broker_received_bytes_total", "Bytes that were read from a broker.", false, 1},
	{"request-rate", "sarama_broker_requests_total", "Requests that were sent to a broker.", false, 1},
	{"response-rate", "sarama_broker_responses_total", "Answers of a broker.", false, 1},
	{"requests-in-flight", "sarama_broker_requests_in_flight", "Requests to a broker without an answer.", false, 1},
	{"request-latency-in-ms", "sarama_broker_request_latency_seconds", "How long a broker took to answer.", false, 1e-3},
	{"request-size", "sarama_broker_request_size_bytes", "How large requests to a broker were.", false, 1},
	{"response-size", "sarama_broker_response_size_bytes", "How large answers of a broker were.", false, 1},
	{"record-send-rate", "sarama_topic_records_total", "Records of a topic in requests, each attempt counted.", true, 1},
	{"batch-size", "sarama_topic_batch_size_bytes", "How large the part of a partition in a request was.", true, 1},
	{"records-per-request", "sarama_topic_records_per_request", "How many records of a topic a request had.", true, 1},
	{"compression-ratio", "sarama_topic_compression_ratio", "How large batches were before compression, divided by after.", true, 1e-2},
}

// label is the name of the label in place of the suffix.
func (b *bridge) label() string {
	if b.topic {
		return "topic"
	}
	return "broker"
}

// of returns the broker or the topic that a metric of sarama's is of. Only the
// beginning is compared: a topic's name may hold anything.
func (b *bridge) of(name string) (label string, ok bool) {
	infix := ofBroker
	if b.topic {
		infix = ofTopic
	}
	return strings.CutPrefix(name, b.sarama+infix)
}

// quantiles are those of sarama's histograms.
var quantiles = []float64{0.5, 0.9, 0.99} //nolint:gochecknoglobals // a table, never written to

// bridge sends sarama's metrics.
func (c *Collector) bridge(to chan<- prometheus.Metric) {
	c.sarama.Each(func(name string, metric any) {
		for i := range bridges {
			b := &bridges[i]
			if label, ok := b.of(name); ok {
				if m := b.convert(c.bridged[b.sarama], metric, label); m != nil {
					to <- m
				}
				return
			}
		}
	})
}

// convert makes a metric of one of sarama's, nil if it is of another type than
// sarama's is.
func (b *bridge) convert(d desc, metric any, label string) prometheus.Metric {
	switch m := metric.(type) {
	case metrics.Meter:
		return prometheus.MustNewConstMetric(d, counter, float64(m.Count())*b.scale, label)
	case metrics.Counter:
		return prometheus.MustNewConstMetric(d, gauge, float64(m.Count())*b.scale, label)
	case metrics.Histogram:
		// Sarama keeps a sample in which the last minutes weigh most. Its mean
		// stands for that of all.
		s := m.Snapshot()
		values := make(map[float64]float64, len(quantiles))
		for i, value := range s.Percentiles(quantiles) {
			values[quantiles[i]] = value * b.scale
		}
		return prometheus.MustNewConstSummary(d, uint64(s.Count()), float64(s.Count())*s.Mean()*b.scale, values, label)
	default:
		return nil
	}
}
