// Observability is a service that shows what its producer does: log lines, a
// readiness probe, metrics for Prometheus, traces and metrics of OpenTelemetry,
// and a live page. It sends orders for some seconds while brokers freeze and
// refuse, prints what each of them said, and checks that all say the same.
//
// With -serve it goes on until Ctrl-C, so that the page can be looked at in a
// browser.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rcrowley/go-metrics"
	"go.opentelemetry.io/otel/propagation"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
	"github.com/saramakit/producer/livepage"
	producerotel "github.com/saramakit/producer/otel"
	"github.com/saramakit/producer/prom"
)

func main() {
	brokers := flag.String("brokers", "", demo.Usage)
	listen := flag.String("listen", "127.0.0.1:0", "`address` to listen on; port 0 stands for a free one")
	serve := flag.Bool("serve", false, "go on until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *brokers, *listen, *serve, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "observability:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, brokers, listen string, serve bool, out io.Writer) (err error) {
	cluster, err := demo.Open(ctx, brokers, "orders", 3)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	log := slog.New(slog.NewTextHandler(out, nil))
	telemetry := newTelemetry()

	// Traces, and metrics of messages. A program with an SDK of its own leaves the options out.
	propagator := propagation.TraceContext{}
	hook, err := producerotel.NewHook(append(telemetry.options(), producerotel.WithPropagator(propagator))...)
	if err != nil {
		return err
	}
	registry := metrics.NewRegistry() // what sarama measures; each producer has one of its own
	p, err := producer.NewAsync(ctx, cluster.Addrs,
		producer.WithHook(hook),
		producer.WithLogger(log),
		producer.WithStallTimeout(500*time.Millisecond), // for the sake of the demonstration
		producer.WithTopics(cluster.Topic),
		producer.WithOnError(func(context.Context, *sarama.ProducerMessage, error) {}),
		producer.WithSaramaConfig(func(c *sarama.Config) {
			c.MetricRegistry = registry
			c.Net.ReadTimeout = time.Second // as above
		}))
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, p.Close(closing))
	}()
	// Metrics of the producer itself, such as the use of its buffer.
	registration, err := producerotel.Observe(p, telemetry.options()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, registration.Unregister()) }()
	collectors := prometheus.NewRegistry()
	collectors.MustRegister(prom.NewCollector(p, prom.WithSaramaMetrics(registry)))
	page := livepage.New()
	page.Add("orders", p)

	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(collectors, promhttp.HandlerOpts{}))
	mux.Handle("/debug/producer/", page)
	mux.HandleFunc("/ready", ready(p))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	server.RegisterOnShutdown(page.Close) // or watchers of the page would keep it open
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if end := server.Shutdown(ending); end != nil {
			err = errors.Join(err, end)
		} else if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
	}()
	url := "http://" + listener.Addr().String()
	s := &show{out: out, url: url, producer: p, telemetry: telemetry, propagator: propagator, cluster: cluster}
	s.say("listening: %s/metrics, %[1]s/ready, %[1]s/debug/producer/\n", url)
	if err := s.play(ctx); err != nil {
		return err
	}
	for serve && ctx.Err() == nil {
		s.traffic(ctx, 200)
	}
	return nil
}

// ready is the probe that an orchestrator asks: no traffic for a service that
// cannot send.
func ready(p *producer.Async) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := p.Ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n") // the client may be gone
	}
}
