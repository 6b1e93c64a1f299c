package kafka

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// What the environment says of tests with Kafka.
const (
	wantVariable     = "KAFKA_TESTS"
	brokersVariable  = "KAFKA_BROKERS"
	requiredVariable = "KAFKA_REQUIRED"
)

// Wanted reports whether the environment asks for tests with Kafka: by
// KAFKA_TESTS=1, or by KAFKA_BROKERS with the addresses of one that runs.
func Wanted() bool {
	return os.Getenv(wantVariable) == "1" || Brokers() != nil
}

// Brokers returns the addresses in KAFKA_BROKERS, separated by commas, nil if
// there are none.
func Brokers() []string {
	list := os.Getenv(brokersVariable)
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// SkipUnlessWanted skips the test unless the environment asks for it.
func SkipUnlessWanted(tb testing.TB) {
	tb.Helper()
	if !Wanted() {
		tb.Skip("needs Apache Kafka: run `make integration`, or set KAFKA_TESTS=1")
	}
}

// Run starts a cluster that is closed when the test ends, and reports where its
// logs are if the test fails. It skips the test unless the environment asks for
// it, and also if this machine cannot run Kafka; with CI=true or
// KAFKA_REQUIRED=1 it fails then.
func Run(tb testing.TB, o Options) *Cluster {
	tb.Helper()
	SkipUnlessWanted(tb)
	c, err := Start(tb.Context(), o)
	Require(tb, err)
	tb.Cleanup(func() {
		if tb.Failed() {
			c.KeepLogs()
			tb.Logf("the logs of Kafka are in %s", c.Dir())
		}
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// Require fails the test if [Start] failed, and skips it if that is because
// this machine cannot run Kafka and need not.
func Require(tb testing.TB, err error) {
	tb.Helper()
	missing, cannot := errors.AsType[*MissingError](err)
	switch {
	case err == nil:
	case cannot && os.Getenv("CI") != "true" && os.Getenv(requiredVariable) != "1":
		tb.Skip(missing)
	default:
		tb.Fatal(err)
	}
}
