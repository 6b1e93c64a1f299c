package check

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/rcrowley/go-metrics"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/prom"
)

// idle is a producer without figures: its collector says what it may export.
type idle struct{}

func (idle) Details() producer.Details { return producer.Details{} }

// exported are the names that the collector exports; of a histogram those of its
// parts, too.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	descs := make(chan *prometheus.Desc, 100)
	prom.NewCollector(idle{}, prom.WithSaramaMetrics(metrics.NewRegistry())).Describe(descs)
	close(descs)
	names := map[string]bool{}
	for d := range descs {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
		names[name] = true
		if strings.HasSuffix(name, "_seconds") {
			names[name+"_bucket"], names[name+"_count"], names[name+"_sum"] = true, true, true
		}
	}
	return names
}

// used are the metrics in an expression, which must be one.
func used(t *testing.T, expr string) (names []string) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	require.NoError(t, err, expr)
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			names = append(names, selector.Name)
		}
		return nil
	})
	require.NotEmpty(t, names, expr)
	return names
}

type dashboard struct {
	SchemaVersion int    `json:"schemaVersion"`
	UID           string `json:"uid"`
	Panels        []struct {
		ID      int    `json:"id"`
		Title   string `json:"title"`
		Type    string `json:"type"`
		GridPos struct{ H, W, X, Y int }
		Targets []struct {
			Expr       string `json:"expr"`
			RefID      string `json:"refId"`
			Datasource struct {
				UID string `json:"uid"`
			} `json:"datasource"`
		} `json:"targets"`
	} `json:"panels"`
	Templating struct {
		List []struct {
			Name string `json:"name"`
			Type string `json:"type"`
			// Query is text, or an object with it.
			Query json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

func load(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("../dashboard.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

// variables puts something in place of a dashboard's variables.
func variables(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__interval", "1m", "$__range", "1h",
		"$client", "a", "$job", "a", "$instance", "a", "$topic", "a").Replace(expr)
}

func TestDashboard_showsMetricsThatExistAndEachOfThem(t *testing.T) {
	t.Parallel()
	names, shown := exported(t), map[string]bool{}
	d := load(t)
	require.Greater(t, len(d.Panels), 10)
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			require.Equal(t, "${datasource}", target.Datasource.UID, panel.Title)
			for _, name := range used(t, variables(target.Expr)) {
				require.Contains(t, names, name, panel.Title)
				shown[name] = true
			}
		}
	}
	for name := range names {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if !shown[name] && !shown[base] && !shown[base+"_bucket"] && !shown[base+"_sum"] {
			t.Errorf("%s is not shown", name)
		}
	}
}

func TestDashboard_hasPanelsThatDoNotOverlap(t *testing.T) {
	t.Parallel()
	d := load(t)
	require.NotEmpty(t, d.UID)
	require.GreaterOrEqual(t, d.SchemaVersion, 39)
	taken, ids := map[string]string{}, map[int]bool{}
	for _, panel := range d.Panels {
		require.False(t, ids[panel.ID], panel.Title)
		ids[panel.ID] = true
		p := panel.GridPos
		require.LessOrEqual(t, p.X+p.W, 24, panel.Title)
		for x := p.X; x < p.X+p.W; x++ {
			for y := p.Y; y < p.Y+p.H; y++ {
				place := fmt.Sprint(x, ",", y)
				require.Empty(t, taken[place], panel.Title)
				taken[place] = panel.Title
			}
		}
		if panel.Type != "row" {
			require.NotEmpty(t, panel.Targets, panel.Title)
		}
	}
}

func TestDashboard_itsVariablesAreOfMetricsThatExist(t *testing.T) {
	t.Parallel()
	var found []string
	for _, v := range load(t).Templating.List {
		found = append(found, v.Name)
		if v.Type != "query" {
			continue
		}
		var query struct{ Query string }
		require.NoError(t, json.Unmarshal(v.Query, &query), v.Name)
		parts := regexp.MustCompile(`^label_values\((.*), *(\w+)\)$`).FindStringSubmatch(query.Query)
		require.Len(t, parts, 3, query.Query)
		for _, name := range used(t, variables(parts[1])) {
			require.Contains(t, exported(t), name)
		}
	}
	require.Equal(t, []string{"datasource", "job", "instance", "client", "topic"}, found)
}

// alerts are the rules by their names.
func alerts(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../alerts.yml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	rules := map[string]rulefmt.Rule{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			rules[rule.Alert] = rule
		}
	}
	return rules
}

func TestAlerts_areRulesThatSayWhatToDo(t *testing.T) {
	t.Parallel()
	names := exported(t)
	for name, rule := range alerts(t) {
		require.Contains(t, []string{"critical", "warning"}, rule.Labels["severity"], name)
		require.NotEmpty(t, rule.Annotations["summary"], name)
		require.NotEmpty(t, rule.Annotations["description"], name)
		for _, metric := range used(t, rule.Expr) {
			require.Contains(t, names, metric, name)
		}
		for _, metric := range regexp.MustCompile(`kafka_producer_\w+`).FindAllString(rule.Annotations["description"], -1) {
			require.Contains(t, names, metric, name)
		}
	}
}

// Each alert with series for which it has a result, and some for which not.
func TestAlerts_fireWhenTheyShouldAndOnlyThen(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ fires, silent []string }{
		"KafkaProducerMessagesFail": {
			[]string{`kafka_producer_failed_total 0+1x30`, `kafka_producer_failed_total 5+0x27 6+0x5`},
			[]string{`kafka_producer_failed_total 5+0x30`},
		},
		"KafkaProducerStalled": {
			[]string{`kafka_producer_stalled 1+0x30`}, []string{`kafka_producer_stalled 0+0x30`},
		},
		"KafkaProducerRejectsMessages": {
			[]string{`kafka_producer_rejections_total{kind="buffer_full"} 0+1x30`},
			[]string{`kafka_producer_rejections_total{kind="closed"} 0+1x30`, `kafka_producer_rejections_total{kind="buffer_full"} 3+0x30`},
		},
		"KafkaProducerBufferNearlyFull": {
			[]string{
				"kafka_producer_buffer_bytes 81+0x30\nkafka_producer_buffer_limit_bytes 100+0x30",
				"kafka_producer_buffer_messages 81+0x30\nkafka_producer_buffer_messages_limit 100+0x30",
			},
			[]string{"kafka_producer_buffer_bytes 80+0x30\nkafka_producer_buffer_limit_bytes 100+0x30"},
		},
		"KafkaProducerMessagesAreOld": {
			[]string{`kafka_producer_in_flight_oldest_seconds 61+0x30`}, []string{`kafka_producer_in_flight_oldest_seconds 60+0x30`},
		},
		"KafkaProducerIsSlow": {
			[]string{"kafka_producer_delivery_seconds_bucket{le=\"5\"} 0+0x30\nkafka_producer_delivery_seconds_bucket{le=\"10\"} 0+9x30\nkafka_producer_delivery_seconds_bucket{le=\"+Inf\"} 0+9x30"},
			[]string{"kafka_producer_delivery_seconds_bucket{le=\"0.01\"} 0+9x30\nkafka_producer_delivery_seconds_bucket{le=\"5\"} 0+9x30\nkafka_producer_delivery_seconds_bucket{le=\"+Inf\"} 0+9x30"},
		},
		"KafkaProducerCallbacksMisbehave": {
			[]string{`kafka_producer_callback_panics_total 0+1x30`, `kafka_producer_slow_callbacks_total 0+1x30`},
			[]string{`kafka_producer_callback_panics_total 4+0x30`},
		},
	}
	rules := alerts(t)
	require.ElementsMatch(t, slices.Collect(maps.Keys(rules)), slices.Collect(maps.Keys(cases)))
	for name, tc := range cases {
		expr := strings.ReplaceAll(rules[name].Expr, "\n", " ")
		for _, series := range tc.fires {
			require.Positive(t, results(t, series, expr), "%s should fire: %s", name, series)
		}
		for _, series := range tc.silent {
			require.Zero(t, results(t, series, expr), "%s should be silent: %s", name, series)
		}
	}
}

// results is how many an expression has after half an hour of some series.
func results(t *testing.T, series, expr string) int {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n  "+strings.ReplaceAll(series, "\n", "\n  "))
	defer func() { require.NoError(t, storage.Close()) }()
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	query, err := engine.NewInstantQuery(t.Context(), storage, nil, expr, time.Unix(0, 0).Add(30*time.Minute))
	require.NoError(t, err)
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	require.NoError(t, err)
	return len(vector)
}
