package prom

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestObservability_listsEveryMetricWithItsTypeLabelsAndMeaning(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/observability.md")
	require.NoError(t, err)
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(kafka_producer_\\w+)` \\| (\\w+) \\| (.*?) ?\\| (.*) \\|$").FindAllStringSubmatch(string(page), -1) {
		listed[row[1]] = row[2] + " [" + strings.NewReplacer("`", "", ",", "").Replace(row[3]) + "] " + row[4]
	}

	// A collection of everything tells the types, and the descriptions the rest.
	registry := prometheus.NewRegistry()
	c := NewCollector(busy(), WithSaramaMetrics(measured()))
	registry.MustRegister(c)
	families, err := registry.Gather()
	require.NoError(t, err)
	types := map[string]string{}
	for _, family := range families {
		types[family.GetName()] = strings.ToLower(family.GetType().String())
	}
	descs := make(chan *prometheus.Desc, 100)
	c.Describe(descs)
	close(descs)
	exported := map[string]string{}
	text := regexp.MustCompile(`fqName: "(.*)", help: "(.*?)", .*constLabels: \{\}, variableLabels: \{(.*?)\}`)
	for d := range descs {
		parts := text.FindStringSubmatch(d.String())
		require.Len(t, parts, 4, d)
		labels := fmt.Sprint(strings.FieldsFunc(parts[3], func(r rune) bool { return r == ',' }))
		exported[parts[1]] = types[parts[1]] + " " + labels + " " + parts[2]
	}
	require.Equal(t, exported, listed)
}
