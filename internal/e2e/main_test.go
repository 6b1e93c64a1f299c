package e2e

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// leftBySarama are the two goroutines that sarama leaves and nobody can stop.
func leftBySarama() []goleak.Option {
	return []goleak.Option{
		// The metrics library has one ticker for the whole process and never
		// ends it.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		// A circuit breaker, once open, sleeps for ten seconds whatever becomes
		// of its producer.
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"),
	}
}

func TestMain(m *testing.M) {
	// The tests wait more than they compute, so more of them run at the same
	// time than there are processors. (Of a fuzz target it would be processes.)
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" {
		if err := flag.Set("test.parallel", "12"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	slog.SetLogLoggerLevel(slog.LevelError) // the life of each producer would hide what is wrong
	goleak.VerifyTestMain(m, leftBySarama()...)
}

// verifyNothingLeft fails the test if it leaves a goroutine that was not there
// when verifyNothingLeft was called. The test must not be parallel. Sarama
// closes sockets in goroutines of its own; goleak looks again until they end.
func verifyNothingLeft(t *testing.T) {
	t.Helper()
	options := append(leftBySarama(), goleak.IgnoreCurrent())
	t.Cleanup(func() { goleak.VerifyNone(t, options...) })
}
