package bench

import (
	"context"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/saramakit/producer"
	producerotel "github.com/saramakit/producer/otel"
	"github.com/saramakit/producer/prom"
)

// observed are an Async with our defaults that is told of each outcome, and some
// that are observed.
func observed() []Producer {
	never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	some := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.TraceIDRatioBased(0.01)), sdktrace.WithSyncer(nowhere{}))
	all := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithSyncer(nowhere{}))
	return []Producer{
		{Name: "defaults, OnSuccess", Ours: true, Open: openOurAsync},
		{Name: "Prometheus, collected each 100 ms", Ours: true, Open: openCollected},
		{Name: "a hook that does nothing", Ours: true, Open: openHooked(func() (producer.Hook, error) {
			return producer.Hook{
				OnSend: func(ctx context.Context, _ *sarama.ProducerMessage) context.Context { return ctx },
				OnDone: func(context.Context, *sarama.ProducerMessage, producer.Outcome) {},
			}, nil
		})},
		{Name: "otel, sampled parents only, none is", Ours: true, Open: openTelemetry(
			producerotel.WithTracerProvider(all), producerotel.WithSampledParentsOnly(), producerotel.WithoutMetrics())},
		{Name: "otel, metrics", Ours: true, Open: openTelemetry(producerotel.WithoutSpans())},
		{Name: "otel, metrics, sampled parents only, none is", Ours: true, Open: openTelemetry(
			producerotel.WithTracerProvider(all), producerotel.WithSampledParentsOnly())},
		{Name: "otel, no trace sampled", Ours: true, Open: openTelemetry(producerotel.WithoutMetrics(), producerotel.WithTracerProvider(never))},
		{Name: "otel, metrics, no trace sampled", Ours: true, Open: openTelemetry(producerotel.WithTracerProvider(never))},
		{Name: "otel, metrics, 1 % of traces", Ours: true, Open: openTelemetry(producerotel.WithTracerProvider(some))},
		{Name: "otel, metrics, all traces", Ours: true, Open: openTelemetry(producerotel.WithTracerProvider(all))},
		{Name: "sarama, which nobody looks at", Open: openSaramaAsync},
		{Name: "franz-go, which nobody looks at", Open: openFranz},
		{Name: "franz-go, kotel, metrics, no trace sampled", Open: openKotel(never)},
		{Name: "franz-go, kotel, metrics, all traces", Open: openKotel(all)},
	}
}

// nowhere is where spans go: what an exporter costs is not ours.
type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                             { return nil }

func openHooked(hook func() (producer.Hook, error)) func(Settings) (Client, error) {
	return func(s Settings) (Client, error) {
		h, err := hook()
		if err != nil {
			return nil, err
		}
		return openOurs(producer.WithHook(h))(s)
	}
}

func openTelemetry(opts ...producerotel.Option) func(Settings) (Client, error) {
	return openHooked(func() (producer.Hook, error) {
		meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
		return producerotel.NewHook(append([]producerotel.Option{
			producerotel.WithMeterProvider(meters), producerotel.WithPropagator(propagation.TraceContext{}),
		}, opts...)...)
	})
}

// openKotel opens a franz-go with the OpenTelemetry hooks of its own project. Its
// metrics are of batches and connections.
func openKotel(traces *sdktrace.TracerProvider) func(Settings) (Client, error) {
	return func(s Settings) (Client, error) {
		meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
		hooks := kotel.NewKotel(
			kotel.WithTracer(kotel.NewTracer(kotel.TracerProvider(traces), kotel.TracerPropagator(propagation.TraceContext{}))),
			kotel.WithMeter(kotel.NewMeter(kotel.MeterProvider(meters))),
		).Hooks()
		return s.franz(kgo.WithHooks(hooks...))
	}
}

// collected is a producer that is collected far more often than usual.
type collected struct {
	*ourAsync
	stop, stopped chan struct{}
}

func openCollected(s Settings) (Client, error) {
	opened, err := openOurAsync(s)
	if err != nil {
		return nil, err
	}
	c := collected{opened.(*ourAsync), make(chan struct{}), make(chan struct{})} //nolint:errcheck,forcetypeassert // it is
	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.NewCollector(c.p))
	go func() {
		defer close(c.stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-tick.C:
				_, _ = registry.Gather()
			}
		}
	}()
	return c, nil
}

func (c collected) Close() error {
	close(c.stop)
	<-c.stopped
	return c.ourAsync.Close()
}
