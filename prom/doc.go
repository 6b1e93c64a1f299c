// Package prom exports what a producer tells about itself to Prometheus:
//
//	p, err := producer.NewAsync(ctx, brokers)
//	…
//	prometheus.MustRegister(prom.NewCollector(p))
//
// Nothing is counted for it that would not be without: a collection reads the
// producer's Details once, which takes some microseconds, so that all its figures
// are of the same moment. A producer that is closed can stay registered; its
// figures stay as they are.
//
// The README lists all metrics. The folder has a dashboard for Grafana
// (dashboard.json) and rules for alerts (alerts.yml).
package prom
