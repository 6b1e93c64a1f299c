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
	require.NoError(t, start([]string{"-short", "-ratios"}, nil, &out))
	tables := strings.Split(strings.TrimSpace(out.String()), "\n\n")
	all := benchmarks(1)
	require.Len(t, tables, len(all)+1)
	for i, table := range tables {
		lines := strings.Split(table, "\n")
		for _, l := range lines {
			require.Equal(t, strings.Count(lines[0], "|"), strings.Count(l, "|"), l)
			require.NotContains(t, l, "NaN")
			require.NotContains(t, l, "Inf")
		}
		if i == len(all) {
			require.Contains(t, table, "| dispatcher alone |")
			continue
		}
		require.Contains(t, lines[0], "| "+all[i].name+" |")
		for j, c := range all[i].contenders[1:] {
			require.Contains(t, lines[2+j], "| "+c.name+" |")
		}
	}
}

func TestStart_runsWhatMatches(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, start([]string{"-short", "-inside", "-run", "^synchronous.*64$"}, nil, &out))
	require.Equal(t, 2+len(syncContenders())+1, strings.Count(out.String(), "\n"), out.String())
	require.Error(t, start([]string{"-run", "("}, nil, &out))
	require.Error(t, start([]string{"-unknown"}, nil, &out))
}

func TestSummarise_comparesRunsOfTheSameRound(t *testing.T) {
	t.Parallel()
	rounds := []round{
		{{rate: 100, allocs: 3}, {}, {rate: 90, allocs: 5}},
		{{rate: 20, allocs: 3}, {}, {rate: 30, allocs: 4}},
		{{rate: 200, allocs: 3}, {}, {rate: 100, allocs: 3}},
	}
	g := goal{throughput, true, 0.95}
	f := summarise(&g, rounds, 2)
	require.InDelta(t, 0.9, f.median, 1e-9)
	require.InDelta(t, 0.5, f.min, 1e-9)
	require.InDelta(t, 1.5, f.max, 1e-9)
	require.InDelta(t, 90, f.own, 1e-9)
	require.False(t, f.met(&g))
	g = goal{extraAllocs, false, 1}
	f = summarise(&g, rounds, 2)
	require.InDelta(t, 1, f.median, 1e-9)
	require.True(t, f.met(&g))
}
