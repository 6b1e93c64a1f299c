package otel

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/saramakit/producer"
)

func TestObservability_listsEveryMetricAttributeAndEvent(t *testing.T) {
	t.Parallel()
	metrics, attributes, events := map[string]string{}, map[string]bool{}, map[string]bool{}
	note := func(set attribute.Set) {
		for _, kv := range set.ToSlice() {
			attributes[string(kv.Key)] = true
		}
	}
	for _, opts := range [][]Option{nil, {WithPartitions(), WithClientID("me"), WithTopicTemplate(func(string) string { return "t" })}} {
		r := newRig(t, opts...)
		registration, err := Observe(&source{}, r.options()...)
		require.NoError(t, err)
		again := failed(producer.ErrDeliveryTimeout)
		again.Attempts = 2
		tombstone := order()
		tombstone.Value = nil
		r.message(t.Context(), tombstone, delivered())
		r.message(t.Context(), order(), again)
		r.message(t.Context(), order(), rejected(producer.ErrClosed))
		r.hook.OnLate(t.Context(), order(), delivered())
		for _, span := range r.spans.Ended() {
			note(attribute.NewSet(span.Attributes()...))
			for _, event := range span.Events() {
				events[event.Name] = true
			}
		}
		for name, m := range r.collected() {
			kind := "counter"
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				kind = "histogram"
				note(data.DataPoints[0].Attributes)
			case metricdata.Gauge[float64]:
				kind = "gauge"
				note(data.DataPoints[0].Attributes)
			case metricdata.Sum[float64]:
				if !data.IsMonotonic {
					kind = "up-down"
				}
				note(data.DataPoints[0].Attributes)
			case metricdata.Sum[int64]:
				for _, point := range data.DataPoints {
					note(point.Attributes)
				}
			}
			metrics[name] = kind + " " + m.Unit
		}
		require.NoError(t, registration.Unregister())
	}

	page, err := os.ReadFile("../docs/observability.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(page), "\n## OpenTelemetry\n")
	require.True(t, found)
	text, attributeTable, _ := strings.Cut(text, "| attribute | on |")
	attributeTable, eventTable, _ := strings.Cut(attributeTable, "| event of a span |")
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([\\w.]+)` \\| ([\\w-]+) \\| (\\S+) \\|").FindAllStringSubmatch(text, -1) {
		listed[row[1]] = row[2] + " " + row[3]
	}
	require.Equal(t, metrics, listed)
	require.Equal(t, attributes, firstColumn(attributeTable))
	require.Equal(t, events, firstColumn(eventTable))
}

// firstColumn are the names that the rows of a table begin with.
func firstColumn(table string) map[string]bool {
	all := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[\\w.]+`(?:, `[\\w.]+`)*) \\|").FindAllStringSubmatch(table, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			all[strings.Trim(name, "`")] = true
		}
	}
	return all
}
