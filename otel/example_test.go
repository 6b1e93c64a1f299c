package otel_test

import (
	"context"
	"log"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/saramakit/producer"
	producerotel "github.com/saramakit/producer/otel"
)

func Example() {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	hook, err := producerotel.NewHook()
	if err != nil {
		log.Print(err)
		return
	}
	p, err := producer.NewAsync(context.Background(), []string{"kafka:9092"}, producer.WithHook(hook))
	if err != nil {
		log.Print(err)
		return
	}
	if _, err := producerotel.Observe(p); err != nil {
		log.Print(err)
	}
}
