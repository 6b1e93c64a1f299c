package examples_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

func pitfallsAreAsStated(t *testing.T, folder string) {
	t.Helper()
	out := output(t, command(t, filepath.Join(folder, "pitfalls")))
	requirePitfalls(t, out)
	require.Regexp(t, `(?m)^   bare sarama: .* 20 messages waiting, Close had not returned after 4s$`, out)
	require.Regexp(t, `(?m)^   producer:    .* Close returned after \d\.\d s; OnError was told of each of the 20 messages$`, out)
	require.Contains(t, out, "All of this was checked: 10 statements held.\n")
}

func pitfallsLeaveAClusterOfOthersAtPeace(t *testing.T, folder string) {
	t.Helper()
	cluster := kafkatest.Start(t)
	out := output(t, command(t, filepath.Join(folder, "pitfalls"), "-brokers", strings.Join(cluster.Addrs(), ",")))
	requirePitfalls(t, out)
	require.NotContains(t, out, "silent", "nobody freezes brokers that are not ours")
	require.Contains(t, out, "All of this was checked: 8 statements held.\n")
}

// requirePitfalls checks what is said about those that need no fault.
func requirePitfalls(t *testing.T, out string) {
	t.Helper()
	for _, line := range []string{
		`bare sarama: the constructor refuses .*Producer\.Return\.Successes must be true`,
		`producer:    nothing to set; Send returned nil: stored in partition 0 at offset 0`,
		`bare sarama: the message was stored, but after 2s still nothing came`,
		`producer:    nothing to set; OnSuccess was told of offset \d+ after `,
		`bare sarama: Input\(\) took [\d,]+ messages, then none for 2s; `,
		`producer:    there is no channel to read: 20,000 accepted, all delivered`,
		`bare sarama: exit code 2, "panic: send on closed channel"`,
		`producer:    exit code 0 after 20 rounds: of [\d,]+ sends [\d,]+ were accepted and delivered, 160 got ErrClosed`,
	} {
		require.Regexp(t, `(?m)^   `+line, out)
	}
}
