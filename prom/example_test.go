package prom_test

import (
	"context"
	"log"
	"net/http"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rcrowley/go-metrics"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/prom"
)

func ExampleNewCollector() {
	registry := metrics.NewRegistry()
	p, err := producer.NewAsync(context.Background(), []string{"kafka:9092"},
		producer.WithSaramaConfig(func(c *sarama.Config) { c.MetricRegistry = registry }))
	if err != nil {
		log.Print(err)
		return
	}
	prometheus.MustRegister(prom.NewCollector(p, prom.WithSaramaMetrics(registry)))
	http.Handle("/metrics", promhttp.Handler())
}
