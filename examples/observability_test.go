package examples_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

func observabilitySaysTheSameEverywhere(t *testing.T, folder string) {
	t.Helper()
	out := output(t, command(t, filepath.Join(folder, "observability")))
	for _, line := range []string{
		`/ready says 200 ready`, `msg="producer: stalled;`, `/ready says 503 producer: stalled`, `msg="producer: recovered"`,
		`msg="producer: messages of a topic fail"`, `POST /orders +internal`, `send orders +producer`, `acknowledged +after`,
		`process orders +consumer`, `kafka_producer_failures_total\{kind="INVALID_RECORD"\} [1-9]`,
		`(?m)^ +Stats +700 +6\d\d +\d+ +1$`, `All say the same\.`, `msg="producer: closed"`,
	} {
		require.Regexp(t, line, out)
	}
}

func observabilityServesUntilASignal(t *testing.T, folder string) {
	t.Helper()
	out := interrupted(t, command(t, filepath.Join(folder, "observability"), "-serve"), "All say the same.")
	require.Contains(t, out, "producer: closed")
}

func observabilityLeavesAClusterOfOthersOpen(t *testing.T, folder string) {
	t.Helper()
	cluster := kafkatest.Start(t)
	out := output(t, command(t, filepath.Join(folder, "observability"), "-brokers", strings.Join(cluster.Addrs(), ",")))
	require.Contains(t, out, "All say the same.")
	require.NotContains(t, out, "freeze")
}
