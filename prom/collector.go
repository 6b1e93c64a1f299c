package prom

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rcrowley/go-metrics"

	"github.com/saramakit/producer"
)

// Source is a producer: a *producer.Sync or a *producer.Async.
type Source interface{ Details() producer.Details }

// Option changes what a [Collector] exports. A nil Option is ignored.
type Option func(*Collector)

// WithClientID adds the label client_id to all metrics, which is left out by
// default. Several producers of a process are registered side by side by it.
func WithClientID(id string) Option {
	return func(c *Collector) { c.labels = prometheus.Labels{"client_id": id} }
}

// WithSaramaMetrics exports what sarama measures of brokers and topics, too. The
// registry is that of the producer's configuration:
//
//	registry := metrics.NewRegistry()
//	p, err := producer.NewAsync(ctx, brokers,
//		producer.WithSaramaConfig(func(c *sarama.Config) { c.MetricRegistry = registry }))
//	…
//	prometheus.MustRegister(prom.NewCollector(p, prom.WithSaramaMetrics(registry)))
//
// Each producer needs a registry of its own: sarama takes the metrics of a
// connection out when it is closed, whoever put them in. The counters of a
// broker begin anew with a new connection, as those of a process do with a new
// process. nil is ignored.
func WithSaramaMetrics(registry metrics.Registry) Option {
	return func(c *Collector) { c.sarama = registry }
}

// Collector is a prometheus.Collector for one producer. It may be collected from
// any number of goroutines.
type Collector struct {
	source Source
	labels prometheus.Labels
	sarama metrics.Registry // nil: none

	figures []desc // of the table figures, in its order
	topics  []desc // of topicFigures
	latency desc
	state   desc
	bridged map[string]desc // of sarama's, by sarama's name without the suffix
}

type desc = *prometheus.Desc

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector for a producer.
func NewCollector(p Source, opts ...Option) *Collector {
	c := &Collector{source: p}
	for _, option := range opts {
		if option != nil {
			option(c)
		}
	}
	for _, f := range figures {
		c.figures = append(c.figures, c.desc(f.name, f.help, f.label...))
	}
	for _, f := range topicFigures {
		c.topics = append(c.topics, c.desc(f.name, f.help, append([]string{"topic"}, f.label...)...))
	}
	c.latency = c.desc(latencyName, latencyHelp)
	c.state = c.desc(stateName, stateHelp, "state")
	if c.sarama != nil {
		c.bridged = make(map[string]desc, len(bridges))
		for _, b := range bridges {
			c.bridged[b.sarama] = c.desc(b.name, b.help, b.label())
		}
	}
	return c
}

func (c *Collector) desc(name, help string, labels ...string) desc {
	return prometheus.NewDesc(namespace+name, help, labels, c.labels)
}

// Describe sends what Collect may send.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.figures {
		to <- d
	}
	for _, d := range c.topics {
		to <- d
	}
	to <- c.latency
	to <- c.state
	for _, d := range c.bridged {
		to <- d
	}
}

// Collect reads the producer and sends its figures.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	d := c.source.Details()
	for i, f := range figures {
		f.send(&d, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(c.figures[i], f.kind, value, labels...)
		})
	}
	for i, f := range topicFigures {
		for j := range d.Topics {
			topic := &d.Topics[j]
			f.send(topic, func(value float64, labels ...string) {
				to <- prometheus.MustNewConstMetric(c.topics[i], f.kind, value, append([]string{topic.Topic}, labels...)...)
			})
		}
	}
	to <- c.histogram(d.Latency)
	for _, state := range []producer.State{producer.StateRunning, producer.StateClosing, producer.StateClosed} {
		to <- prometheus.MustNewConstMetric(c.state, prometheus.GaugeValue, is(d.State == state), string(state))
	}
	if c.sarama != nil {
		c.bridge(to)
	}
}

// histogram puts the latencies into fewer buckets. Their bounds are among those
// of the producer, so that all counts are exact.
func (c *Collector) histogram(l producer.Latency) prometheus.Metric {
	buckets := make(map[float64]uint64, len(bounds))
	next := 0
	for bound, count := range l.Cumulative() {
		if next < len(bounds) && bound == bounds[next] {
			buckets[bound.Seconds()] = uint64(count)
			next++
		}
	}
	return prometheus.MustNewConstHistogram(c.latency, uint64(l.Count), l.Sum.Seconds(), buckets)
}

// is is 1 for true.
func is(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
