// Package leaks says which goroutines may be left when tests end.
package leaks

import "go.uber.org/goleak"

// Ignored are those of libraries that nobody can end.
func Ignored() []goleak.Option {
	return []goleak.Option{
		// sarama's metrics library has one ticker for the whole process and never
		// ends it.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		// Its circuit breaker, once open, sleeps for ten seconds whatever
		// becomes of the producer.
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"),
	}
}
