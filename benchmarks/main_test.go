package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tests run this program as the broker of another run, too.
func TestMain(m *testing.M) {
	if os.Getenv(beBroker) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestStart_comparesEverythingOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, start([]string{"-short", "-md"}, nil, &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	rows := lines[2:]
	want := 0
	for _, b := range benchmarks(1) {
		for _, g := range b.goals {
			require.Contains(t, rows[want], "| "+b.name+" | "+g.of.name()+" |")
			want++
		}
	}
	require.Contains(t, rows[want], "Dispatcher alone")
	require.Len(t, rows, want+1)
	for _, l := range lines {
		require.Equal(t, strings.Count(lines[0], "|"), strings.Count(l, "|"), l)
		require.NotContains(t, l, "NaN")
		require.NotContains(t, l, "Inf")
	}
}

func TestStart_runsWhatMatches(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, start([]string{"-short", "-inside", "-run", "^Sync.*64$"}, nil, &out))
	require.Equal(t, 1+len(syncGoals()), strings.Count(out.String(), "\n"), out.String())
	require.Error(t, start([]string{"-run", "("}, nil, &out))
	require.Error(t, start([]string{"-unknown"}, nil, &out))
}

func TestSummarise_comparesRunsOfTheSamePair(t *testing.T) {
	t.Parallel()
	pairs := []pair{
		{ours: result{rate: 90, allocs: 5}, bare: result{rate: 100, allocs: 3}},
		{ours: result{rate: 30, allocs: 4}, bare: result{rate: 20, allocs: 3}},
		{ours: result{rate: 100, allocs: 3}, bare: result{rate: 200, allocs: 3}},
	}
	r := summarise("b", goal{throughput, true, 0.95}, pairs)
	require.InDelta(t, 0.9, r.median, 1e-9)
	require.InDelta(t, 0.5, r.min, 1e-9)
	require.InDelta(t, 1.5, r.max, 1e-9)
	require.False(t, r.met())
	r = summarise("b", goal{extraAllocs, false, 1}, pairs)
	require.InDelta(t, 1, r.median, 1e-9)
	require.True(t, r.met())
}
