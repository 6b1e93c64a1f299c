package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tests run this program as the broker of another run, too.
func TestMain(m *testing.M) {
	if os.Getenv(beBroker) != "" {
		Main(nil)
		return
	}
	os.Exit(m.Run())
}

// quick measures nothing, but does everything.
func quick(args ...string) []string {
	return append([]string{"-rounds", "1", "-seconds", "0.001"}, args...)
}

func TestRun_writesTablesFiguresAndCharts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "results")
	var out bytes.Buffer
	only := "^(asynchronous, JSON of 100 B, goroutines: 8|synchronous, goroutines: 64|latency, at 10|partitions, 10?$|start|dispatcher)"
	require.NoError(t, Run(quick("-ratios", "-out", dir, "-run", only), nil, &out, Producers()))
	tables := strings.Split(strings.TrimSpace(out.String()), "\n\n")
	require.Len(t, tables, 7)
	for _, table := range tables {
		lines := strings.Split(table, "\n")
		require.Greater(t, len(lines), 2)
		for _, l := range lines {
			require.Equal(t, strings.Count(lines[0], "|"), strings.Count(l, "|"), l)
			require.NotContains(t, l, "NaN")
			require.NotContains(t, l, "Inf")
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "ack-figures.json"))
	require.NoError(t, err)
	var report Report
	require.NoError(t, json.Unmarshal(text, &report))
	require.Len(t, report.Results, len(tables))
	require.Positive(t, report.Results[0].Rows[1].Figures[Throughput].Own.Median)
	text, err = os.ReadFile(filepath.Join(dir, "ack-tables.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), out.String()[:100])
	pictures, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	require.NoError(t, err)
	require.Len(t, pictures, 5, "throughput, CPU, synchronous, latency, partitions")
}

func TestRun_comparesAmongTheProducersThatAreAskedFor(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, Run(quick("-run", "^defaults, JSON of 100", "-producers", "^(Async|franz)"), nil, &out, Producers()))
	require.Contains(t, out.String(), "| Async, OnSuccess | 1.00 (1.00 … 1.00)")
	require.Contains(t, out.String(), "| franz-go |")
	require.NotContains(t, out.String(), "| sarama |")
}

func TestRun_saysWhatIsWrongWithItsFlags(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.ErrorContains(t, Run([]string{"-run", "no such"}, nil, &out, Producers()), `no comparison matches -run "no such"`)
	require.Error(t, Run([]string{"-run", "("}, nil, &out, Producers()))
	require.Error(t, Run([]string{"-producers", "("}, nil, &out, Producers()))
	require.ErrorContains(t, Run([]string{"-producers", "no such"}, nil, &out, Producers()), `-producers "no such"`)
	require.Error(t, Run([]string{"-unknown"}, nil, &out, Producers()))
}

// What a message costs in allocations does not depend on the machine: more of
// them than there were fail this test. Bare sarama's are compared with, because
// the messages of the test are among them.
func TestAllocations_ofAMessageHaveNotGrown(t *testing.T) { //nolint:paralleltest // it counts those of the whole process
	addrs, stop, err := startBroker()
	require.NoError(t, err)
	defer func() { require.NoError(t, stop()) }()
	bare := allocations(t, addrs, "sarama")
	// Measured: 2.5 and 1.5 fewer. The rest is for what happens beside that in a
	// short run.
	for name, most := range map[string]float64{"Async": -2, "Async, OnSuccess": -1} {
		ours := allocations(t, addrs, name)
		t.Logf("%s %.2f, sarama %.2f", name, ours, bare)
		require.LessOrEqual(t, ours-bare, most, name)
	}
}

// allocations are those of a message of a producer.
func allocations(t *testing.T, addrs []string, name string) float64 {
	t.Helper()
	all := Producers()
	p := all[slices.IndexFunc(all, func(p Producer) bool { return p.Name == name })]
	c := usual("", "", nil)
	c.size = 100
	client, err := p.Open(Settings{Addrs: addrs, Topics: c.names(), Linger: c.linger})
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	_, err = c.load(1_000).measure(client)
	require.NoError(t, err)
	f, err := c.load(20_000).measure(client)
	require.NoError(t, err)
	return f[Allocs]
}
