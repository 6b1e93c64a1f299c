package e2e

import (
	"context"
	"encoding/json"
	"maps"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/livepage"
	producerotel "github.com/saramakit/producer/otel"
	"github.com/saramakit/producer/prom"
)

// books are the counts of a producer's messages, as somebody keeps them.
type books struct {
	Accepted, Delivered, Failed, Rejected int64
	Failures, Rejections                  map[string]int64 // by kind; nil: not kept, or there are none
}

// observed is a producer with details.
type observed interface{ Details() producer.Details }

// observers are all that can look at a producer. At the end of a program their
// books must be the same. Every second program has them: a producer without
// hooks takes other ways.
type observers struct {
	r     *run
	mu    sync.Mutex
	hook  books
	sends atomic.Int64
	late  atomic.Int64

	spans  spanCounter
	reader *sdkmetric.ManualReader
	page   *livepage.Page
}

// seenKey is the key under which the ctx of a message carries whether OnDone was
// called.
type seenKey struct{}

func (r *run) observe() (*observers, producer.Options, error) {
	o := &observers{
		r: r, reader: sdkmetric.NewManualReader(), page: livepage.New(),
		hook: books{Failures: map[string]int64{}, Rejections: map[string]int64{}},
	}
	// No propagator: the log is compared with what was sent.
	hook, err := producerotel.NewHook(
		producerotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(&o.spans))),
		producerotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(o.reader))),
		producerotel.WithPropagator(propagation.NewCompositeTextMapPropagator()))
	return o, producer.Options{producer.WithHook(hook), producer.WithHook(producer.Hook{
		OnSend: func(ctx context.Context, _ *sarama.ProducerMessage) context.Context {
			o.sends.Add(1)
			return context.WithValue(ctx, seenKey{}, new(atomic.Bool))
		},
		OnDone: o.done,
		OnLate: func(ctx context.Context, _ *sarama.ProducerMessage, outcome producer.Outcome) {
			if seen, ok := ctx.Value(seenKey{}).(*atomic.Bool); !ok || !seen.Load() {
				r.violated(outcomes, "OnLate was called before OnDone")
			}
			if outcome.Err == nil {
				o.late.Add(1)
			}
		},
	})}, err
}

//nolint:gocritic // the signature is given
func (o *observers) done(ctx context.Context, _ *sarama.ProducerMessage, outcome producer.Outcome) {
	if seen, ok := ctx.Value(seenKey{}).(*atomic.Bool); !ok || seen.Swap(true) {
		o.r.violated(outcomes, "OnDone was called twice, or without OnSend")
	}
	accepted := !outcome.Accepted.IsZero()
	// The times that there are, in their order.
	last := outcome.Sent
	for _, at := range []time.Time{outcome.Accepted, outcome.Encoded, outcome.Acknowledged, outcome.Done} {
		if at.IsZero() {
			continue
		}
		if at.Before(last) {
			o.r.violated(outcomes, "the times of an Outcome are not in order: %+v", outcome)
		}
		last = at
	}
	if outcome.Sent.IsZero() || outcome.Done.IsZero() {
		o.r.violated(outcomes, "an Outcome lacks a time: %+v", outcome)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !accepted:
		o.hook.Rejected++
		o.hook.Rejections[producer.ErrorKind(outcome.Err)]++
	case outcome.Err != nil:
		o.hook.Failed++
		o.hook.Failures[producer.ErrorKind(outcome.Err)]++
	default:
		o.hook.Delivered++
	}
	if accepted {
		o.hook.Accepted++
	}
}

// verify compares the books of all observers when the producer is closed and
// nothing of it moves any more.
func (o *observers) verify(p observed) {
	want := o.hook
	if o.sends.Load() != want.Accepted+want.Rejected {
		o.r.violated(kindBooks, "OnSend was called %d times, OnDone %d times", o.sends.Load(), want.Accepted+want.Rejected)
	}
	if accepted, rejected := o.r.accepted.Load(), o.r.rejected.Load(); want.Accepted != accepted || want.Rejected != rejected {
		o.r.violated(kindBooks, "hooks saw %d accepted and %d rejected, the program %d and %d",
			want.Accepted, want.Rejected, accepted, rejected)
	}
	for name, got := range map[string]books{
		"Details": detailsBooks(p.Details()), "topics": topicBooks(p.Details(), &want), "Prometheus": o.prometheus(p),
		"OpenTelemetry": o.metrics(), "the page": o.pageBooks(p),
	} {
		if got.Accepted != want.Accepted || got.Delivered != want.Delivered || got.Failed != want.Failed || got.Rejected != want.Rejected ||
			!maps.Equal(got.Failures, want.Failures) || !maps.Equal(got.Rejections, want.Rejections) {
			o.r.violated(kindBooks, "%s has %+v, hooks saw %+v", name, got, want)
		}
	}
	if ended, failed := o.spans.ended.Load(), o.spans.failed.Load(); ended != o.sends.Load() || failed != want.Failed+want.Rejected {
		o.r.violated(kindBooks, "%d spans ended, %d with an error; hooks saw %+v", ended, failed, want)
	}
	if late := p.Details().Late; o.late.Load() != late && o.r.cleanEnd.Load() {
		o.r.violated(kindBooks, "OnLate was told of %d that were stored after all, Stats has %d", o.late.Load(), late)
	}
	if n := p.Details().Latency.Count; n != want.Delivered {
		o.r.violated(kindBooks, "%d latencies of %d delivered messages", n, want.Delivered)
	}
	o.r.see("observed", 1)
}

//nolint:gocritic // once for each program
func detailsBooks(d producer.Details) books {
	return books{d.Accepted, d.Delivered, d.Failed, d.Rejected, d.Failures, d.Rejections}
}

// topicBooks are the sums of all topics. What was rejected has none.
//
//nolint:gocritic // once for each program
func topicBooks(d producer.Details, rest *books) books {
	sum := books{Rejected: rest.Rejected, Rejections: rest.Rejections, Failures: map[string]int64{}}
	for _, t := range append(d.Topics, d.OtherTopics) {
		sum.Accepted += t.Accepted
		sum.Delivered += t.Delivered
		sum.Failed += t.Failed
		for kind, n := range t.Failures {
			sum.Failures[kind] += n
		}
	}
	return sum
}

// prometheus collects, as a server would.
func (o *observers) prometheus(p observed) (b books) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.NewCollector(p))
	families, err := registry.Gather()
	if err != nil {
		o.r.violated(kindBooks, "Prometheus: %v", err)
	}
	b.Failures, b.Rejections = map[string]int64{}, map[string]int64{}
	for _, family := range families {
		name := strings.TrimPrefix(family.GetName(), "kafka_producer_")
		for _, m := range family.GetMetric() {
			switch value := int64(m.GetCounter().GetValue()); name {
			case "accepted_total":
				b.Accepted = value
			case "delivered_total":
				b.Delivered = value
			case "failed_total":
				b.Failed = value
			case "rejected_total":
				b.Rejected = value
			case "failures_total":
				b.Failures[label(m, "kind")] = value
			case "rejections_total":
				b.Rejections[label(m, "kind")] = value
			}
		}
	}
	return b
}

func label(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// metrics collects those of OpenTelemetry.
func (o *observers) metrics() (b books) {
	var all metricdata.ResourceMetrics
	if err := o.reader.Collect(context.Background(), &all); err != nil {
		o.r.violated(kindBooks, "OpenTelemetry: %v", err)
	}
	b.Failures, b.Rejections = map[string]int64{}, map[string]int64{}
	timed := uint64(0)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for i := range data.DataPoints {
					timed += data.DataPoints[i].Count
				}
			case metricdata.Sum[int64]:
				for _, point := range data.DataPoints {
					kind, failed := point.Attributes.Value("error.type")
					name := strings.ReplaceAll(kind.AsString(), "_OTHER", "other")
					switch {
					case m.Name == "kafka.producer.rejected.messages":
						b.Rejected += point.Value
						b.Rejections[name] += point.Value
					case m.Name != "messaging.client.sent.messages":
					case failed:
						b.Failed += point.Value
						b.Failures[name] += point.Value
					default:
						b.Delivered += point.Value
					}
				}
			}
		}
	}
	b.Accepted = b.Delivered + b.Failed
	if timed != uint64(b.Accepted) {
		o.r.violated(kindBooks, "OpenTelemetry timed %d messages of %d", timed, b.Accepted)
	}
	return b
}

// pageBooks asks the page.
func (o *observers) pageBooks(p observed) books {
	o.page.Add("p", p)
	w := httptest.NewRecorder()
	o.page.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), nethttp.MethodGet, "/debug/producer/json", nethttp.NoBody))
	var answer struct {
		Producers []struct {
			Accepted, Delivered, Failed, Rejected int64
			Failures, Rejections                  map[string]int64
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer.Producers) != 1 {
		o.r.violated(kindBooks, "the page answered %d: %v", w.Code, err)
		return books{}
	}
	return books(answer.Producers[0])
}

// spanCounter counts spans that have ended.
type spanCounter struct{ ended, failed atomic.Int64 }

func (*spanCounter) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (s *spanCounter) OnEnd(span sdktrace.ReadOnlySpan) {
	s.ended.Add(1)
	if span.Status().Code == codes.Error {
		s.failed.Add(1)
	}
}
func (*spanCounter) Shutdown(context.Context) error   { return nil }
func (*spanCounter) ForceFlush(context.Context) error { return nil }
