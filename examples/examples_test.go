package examples_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

// The programs are built once, which takes longer than to run most of them.
func TestPrograms(t *testing.T) {
	t.Parallel()
	folder := build(t, "./quickstart", "./sync", "./async", "./pitfalls", "./shutdown", "./observability")
	for name, test := range map[string]func(t *testing.T, folder string){
		"QuickstartHoldsItsPromises":            quickstartHoldsItsPromises,
		"QuickstartOnlySendsToAClusterOfOthers": quickstartOnlySendsToAClusterOfOthers,
		"QuickstartChecksWhatASignalLeft":       quickstartChecksWhatASignalLeft,
		"QuickstartFailsWithoutBrokers":         quickstartFailsWithoutBrokers,
		"SyncTellsWhatBecameOfEachMessage":      syncTellsWhatBecameOfEachMessage,
		"SyncSendsToAClusterOfOthers":           syncSendsToAClusterOfOthers,
		"AsyncDeliversAllThatItAccepted":        asyncDeliversAllThatItAccepted,
		"AsyncClosesAfterASignal":               asyncClosesAfterASignal,

		"PitfallsAreAsStated":                  pitfallsAreAsStated,
		"PitfallsLeaveAClusterOfOthersAtPeace": pitfallsLeaveAClusterOfOthersAtPeace,

		"ObservabilitySaysTheSameEverywhere":      observabilitySaysTheSameEverywhere,
		"ObservabilityServesUntilASignal":         observabilityServesUntilASignal,
		"ObservabilityLeavesAClusterOfOthersOpen": observabilityLeavesAClusterOfOthersOpen,

		"ShutdownDeliversEverythingThatWasAnsweredWith202":        shutdownDeliversEverythingThatWasAnsweredWith202,
		"ShutdownEndsInTimeAndCountsHonestlyWhenBrokersAreSilent": shutdownEndsInTimeAndCountsHonestlyWhenBrokersAreSilent,
		"ShutdownLeavesTimeToDeliverWhenAClientIsSlow":            shutdownLeavesTimeToDeliverWhenAClientIsSlow,
		"ShutdownIsForcedByASecondSignal":                         shutdownIsForcedByASecondSignal,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, folder)
		})
	}
}

// requireVerdict checks the table and the last lines of the quickstart.
func requireVerdict(t *testing.T, out string) {
	t.Helper()
	require.Regexp(t, `(?m)^ *Async +16,000 +16,000 +0 +16,000 +0 +0 +0 `, out)
	require.Regexp(t, `(?m)^ *Sync +1,200 +1,200 +0 +1,200 +0 +0 +0 `, out)
	require.Contains(t, out, "All promises held for 17,200 messages")
	require.NotContains(t, out, "\r", "this is not a terminal")
}

func quickstartHoldsItsPromises(t *testing.T, folder string) {
	t.Helper()
	out := output(t, command(t, filepath.Join(folder, "quickstart")))
	requireVerdict(t, out)
	for _, step := range []string{
		`leader of orders/3 moved from broker \d to \d`, `leaders of all 6 partitions moved`, `5 answers lost`,
		`broker 2 stopped`, `broker 2 started`, `closing`, `reading orders back`,
	} {
		require.Regexp(t, step, out)
	}
}

func quickstartOnlySendsToAClusterOfOthers(t *testing.T, folder string) {
	t.Helper()
	cluster := kafkatest.Start(t)
	addrs := strings.Join(cluster.Addrs(), ",")
	out := output(t, command(t, filepath.Join(folder, "quickstart"), "-brokers", addrs))
	requireVerdict(t, out)
	require.Contains(t, out, "using the cluster at "+addrs)
	require.NotRegexp(t, `moved|stopped|lost`, out)
}

func quickstartChecksWhatASignalLeft(t *testing.T, folder string) {
	t.Helper()
	out := interrupted(t, command(t, filepath.Join(folder, "quickstart")), "leader of orders/3 moved")
	require.NotContains(t, out, "started again")
	require.Contains(t, out, "All promises held for")
}

func quickstartFailsWithoutBrokers(t *testing.T, folder string) {
	t.Helper()
	cluster, err := kafkatest.New()
	require.NoError(t, err)
	addr := cluster.Addrs()[0]
	require.NoError(t, cluster.Close()) // nobody listens there now
	out, err := command(t, filepath.Join(folder, "quickstart"), "-brokers", addr).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Contains(t, string(out), "quickstart: create topic ")
}

func syncTellsWhatBecameOfEachMessage(t *testing.T, folder string) {
	t.Helper()
	out := output(t, command(t, filepath.Join(folder, "sync")))
	require.Regexp(t, `(?m)^stored at orders/\d, offset 0$`, out)
	require.Regexp(t, `(?m)^misspelt topic: not stored after .*not worth another try: .*unknown topic`, out)
	require.Regexp(t, `(?m)^huge message: not accepted: .*too large`, out)
	// The message is in a batch when the caller leaves, or it is not.
	require.Regexp(t, `(?m)^brokers away: (perhaps stored|not stored, send it again)`, out)
	require.Regexp(t, `(?m)^message 0 of the batch: stored at orders/\d, offset \d$`, out)
	require.Regexp(t, `(?m)^message 1 of the batch: not accepted: .*invalid message`, out)
	require.Regexp(t, `(?m)^message 2 of the batch: stored at orders/\d, offset \d$`, out)
}

func syncSendsToAClusterOfOthers(t *testing.T, folder string) {
	t.Helper()
	cluster := kafkatest.Start(t)
	out := output(t, command(t, filepath.Join(folder, "sync"), "-brokers", cluster.Addrs()[0]))
	found := regexp.MustCompile(`stored at (producer-example-orders-\d+)/`).FindStringSubmatch(out)
	require.Len(t, found, 2, out)
	records, err := cluster.Records(t.Context(), found[1])
	require.NoError(t, err)
	require.Len(t, records, 3) // one alone, two of the batch
}

func asyncDeliversAllThatItAccepted(t *testing.T, folder string) {
	t.Helper()
	out := output(t, command(t, filepath.Join(folder, "async"), "-for", "700ms"))
	require.Regexp(t, `(?m)^the first event is stored at events/\d, offset 0$`, out)
	require.Regexp(t, `(?m)^\d+ accepted, \d+ in flight, the oldest for \S+; of 1000 clicks \d+ had no room$`, out)
	require.Contains(t, out, "ending: context deadline exceeded\n")
	require.Regexp(t, `(?m)^closed: [1-9]\d* delivered, 0 failed, nothing in flight: true$`, out)
}

func asyncClosesAfterASignal(t *testing.T, folder string) {
	t.Helper()
	cluster := kafkatest.Start(t)
	cmd := command(t, filepath.Join(folder, "async"), "-for", "1h", "-brokers", cluster.Addrs()[0])
	out := interrupted(t, cmd, "in flight")
	require.Contains(t, out, "ending: interrupt signal received\n")
	require.Regexp(t, `(?m)^closed: [1-9]\d* delivered, 0 failed, nothing in flight: true$`, out)
}
