package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"go.opentelemetry.io/otel/propagation"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
	"github.com/saramakit/producer/kafkatest"
)

// show plays the demonstration.
type show struct {
	out        io.Writer
	url        string
	producer   *producer.Async
	telemetry  *telemetry
	propagator propagation.TextMapPropagator
	cluster    *demo.Cluster
}

func (s *show) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format+"\n", args...) }

func (s *show) play(ctx context.Context) error {
	s.say("/ready says %s", s.ready(ctx))
	s.traffic(ctx, 300)
	if err := s.producer.Send(ctx, &sarama.ProducerMessage{Topic: "no such name"}); err == nil {
		return errors.New("a topic that none can be was accepted")
	}
	if k := s.cluster.Embedded; k != nil {
		s.say("\nall brokers freeze")
		frozen := k.Freeze()
		s.traffic(ctx, 100)
		s.until(ctx, func() bool { return s.producer.Stats().Stalled })
		s.say("/ready says %s", s.ready(ctx))
		frozen.Remove()
		s.until(ctx, func() bool { return !s.producer.Stats().Stalled })
		s.say("/ready says %s", s.ready(ctx))
		s.say("\na broker refuses a batch")
		k.FailProduce(int16(sarama.ErrInvalidRecord), kafkatest.Times(1))
	}
	s.traffic(ctx, 300)
	if err := s.producer.Flush(ctx); err != nil {
		return err
	}
	if err := s.trace(ctx); err != nil {
		return err
	}
	if err := s.metrics(ctx); err != nil {
		return err
	}
	return s.compare(ctx)
}

// traffic sends orders, each for a request with a span of its own.
func (s *show) traffic(ctx context.Context, orders int) {
	for i := range orders {
		ctx, request := s.telemetry.tracer().Start(ctx, "POST /orders")
		// What fails is told to OnError, and counted.
		_ = s.producer.Send(ctx, &sarama.ProducerMessage{
			Topic: s.cluster.Topic, Key: sarama.StringEncoder(strconv.Itoa(i % 100)), Value: sarama.StringEncoder("an order"),
		})
		request.End()
		if i%10 == 0 {
			wait(ctx, 10*time.Millisecond)
		}
	}
}

func (s *show) until(ctx context.Context, so func() bool) {
	for !so() && ctx.Err() == nil {
		wait(ctx, 10*time.Millisecond)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (s *show) get(ctx context.Context, path string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func (s *show) ready(ctx context.Context) string {
	status, body, err := s.get(ctx, "/ready")
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", status, strings.TrimSpace(body))
}

// metrics prints some of what Prometheus collects.
func (s *show) metrics(ctx context.Context) error {
	_, text, err := s.get(ctx, "/metrics")
	if err != nil {
		return err
	}
	s.say("\nsome of /metrics:")
	for line := range strings.Lines(text) {
		if shown.MatchString(line) {
			s.say("  %s", strings.TrimSpace(line))
		}
	}
	return nil
}

var shown = regexp.MustCompile(`^kafka_producer_((accepted|delivered|failed|rejected|stalls)_total |(failures|rejections|topic_delivered)_total\{|` +
	`buffer_limit_bytes|delivery_seconds_(count|bucket\{le="(0\.01|1)"\})|sarama_broker_requests_total)`)

// books are what one of those who watch has counted.
type books struct{ Accepted, Delivered, Failed, Rejected int64 }

// compare prints the counts of all, and returns an error if they differ.
func (s *show) compare(ctx context.Context) error {
	stats := s.producer.Stats()
	want := books{stats.Accepted, stats.Delivered, stats.Failed, stats.Rejected}
	_, text, err := s.get(ctx, "/metrics")
	if err != nil {
		return err
	}
	var prometheus books
	for name, field := range map[string]*int64{
		"accepted": &prometheus.Accepted, "delivered": &prometheus.Delivered, "failed": &prometheus.Failed, "rejected": &prometheus.Rejected,
	} {
		found := regexp.MustCompile(`(?m)^kafka_producer_` + name + `_total (.*)$`).FindStringSubmatch(text)
		if found == nil {
			return fmt.Errorf("/metrics has no %s", name)
		}
		value, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			return err
		}
		*field = int64(value)
	}
	_, text, err = s.get(ctx, "/debug/producer/json")
	if err != nil {
		return err
	}
	var page struct{ Producers []books }
	if err := json.Unmarshal([]byte(text), &page); err != nil || len(page.Producers) != 1 {
		return fmt.Errorf("the page says %q: %w", text, err)
	}
	telemetry, err := s.telemetry.books(ctx)
	if err != nil {
		return err
	}
	s.say("\n%15s %10s %10s %10s %10s", "", "accepted", "delivered", "failed", "rejected")
	for _, of := range []struct {
		who string
		books
	}{{"Stats", want}, {"Prometheus", prometheus}, {"OpenTelemetry", telemetry}, {"the page", page.Producers[0]}} {
		s.say("%15s %10d %10d %10d %10d", of.who, of.Accepted, of.Delivered, of.Failed, of.Rejected)
		if of.books != want {
			return fmt.Errorf("%s says %+v, Stats %+v", of.who, of.books, want)
		}
	}
	s.say("All say the same.")
	return nil
}
