package livepage

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
)

// mounts are ways to mount a page, by the path that leads to it.
func mounts(p *Page) map[string]http.Handler {
	at := func(pattern string, h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle(pattern, h)
		return mux
	}
	return map[string]http.Handler{
		"/":                p,
		"/debug/producer/": at("/debug/producer/", p),
		"/stripped/deep/":  at("/stripped/deep/", http.StripPrefix("/stripped/deep", p)),
		"/and/its/slash/":  at("/and/its/slash/", http.StripPrefix("/and/its/slash/", p)),
		"/json/":           at("/json/", p),
	}
}

func TestPage_isFoundBelowAnyPrefix(t *testing.T) {
	t.Parallel()
	for prefix, h := range mounts(New()) {
		w := get(t, h, prefix)
		require.Equal(t, http.StatusOK, w.Code, prefix)
		require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"), prefix)
		require.Contains(t, w.Body.String(), `<template id="producer">`, prefix)

		w = get(t, h, prefix+"json")
		require.Equal(t, http.StatusOK, w.Code, prefix)
		require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"), prefix)
		require.Empty(t, figures(t, w.Body.String()).Producers, prefix)

		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodHead, prefix+"events", http.NoBody))
		require.Equal(t, http.StatusOK, w.Code, prefix)
		require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"), prefix)
	}
}

func TestPage_withoutItsSlashLeadsToIt(t *testing.T) {
	t.Parallel()
	p := New()
	for asked, h := range map[string]http.Handler{
		"/debug/producer": p,
		"/stripped/deep":  http.StripPrefix("/stripped/deep", p),
		"/with%20space":   p,
		"/a:b":            p,
		"/a%3Fb":          p,
	} {
		w := get(t, h, asked)
		require.Equal(t, http.StatusTemporaryRedirect, w.Code, asked)
		base, err := url.Parse(asked)
		require.NoError(t, err)
		to, err := base.Parse(w.Header().Get("Location"))
		require.NoError(t, err)
		require.Equal(t, asked+"/", to.EscapedPath())
	}
	// A path can start with two slashes. That must not lead to another host.
	require.Equal(t, "./example.com/", get(t, p, "http://here//example.com").Header().Get("Location"))
}

func TestPage_allowsGETAndHEADOnly(t *testing.T) {
	t.Parallel()
	p := New()
	f := &fake{}
	p.Add("orders", f)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch} {
		for _, path := range []string{"/", "/json", "/events"} {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, method+path)
			require.Equal(t, "GET, HEAD", w.Header().Get("Allow"), method+path)
		}
	}
	require.Zero(t, f.timesRead())
}

func TestPage_isNeverStoredNorTakenForSomethingElse(t *testing.T) {
	t.Parallel()
	p := New()
	p.Close() // so that events end at once
	for _, path := range []string{"/", "/json", "/events", "/debug"} {
		h := get(t, p, path).Header()
		require.Equal(t, "no-store", h.Get("Cache-Control"), path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", h.Get("Cross-Origin-Resource-Policy"), path)
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
	}
}

func TestPage_runsItsOwnStyleAndScriptAndNoOther(t *testing.T) {
	t.Parallel()
	w := get(t, New(), "/")
	policy, page := w.Header().Get("Content-Security-Policy"), w.Body.String()
	for tag, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
		parts := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(page, -1)
		require.Len(t, parts, 1, tag)
		require.NotEmpty(t, parts[0][1])
		require.Contains(t, policy, directive+" '"+hash(parts[0][1])+"';", tag)
	}
	require.NotContains(t, policy, "unsafe")
	require.NotRegexp(t, `(?i)\son[a-z]+\s*=\s*["']|style="|https?://|//cdn|@import|src=`, page)
}

func TestPage_neverMakesMarkupOfText(t *testing.T) {
	t.Parallel()
	require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|\beval\b|Function\(`, textJS+pageJS)
}

func TestJSON_saysWhatDetailsSay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		advance(90 * time.Second)
		f := &fake{}
		f.deliver(4, 20*time.Millisecond)
		f.set(func(d *producer.Details) {
			d.Stats = producer.Stats{
				Accepted: 16, Delivered: 4, Failed: 5, InFlight: 7, Rejected: 6, Late: 3, Held: 2, Buffered: 9, BufferedBytes: 1234,
				Waiting: 8, OldestInFlight: 1500 * time.Millisecond, CallbackPanics: 11, SlowCallbacks: 12, CallbacksRunning: 13, Stalls: 14, Stalled: true,
			}
			d.State, d.Started, d.LastOutcome = producer.StateClosing, started, started.Add(88*time.Second)
			d.MaxBuffered, d.MaxBufferedBytes = 1000, 1<<20
			d.Failures, d.Rejections = map[string]int64{"network": 5}, map[string]int64{"buffer_full": 6}
			d.Topics = []producer.TopicStats{{Topic: "a", Accepted: 10, Delivered: 3, Failed: 1, InFlight: 6, Failures: map[string]int64{"network": 1}}}
			d.OtherTopics = producer.TopicStats{Accepted: 6, Delivered: 1, Failed: 4, InFlight: 1, Failures: map[string]int64{"network": 4}}
			d.SlowCallback, d.Settings = "main.main.func1", []producer.Setting{{Name: "Acks", Value: "all"}}
		})
		p := New()
		p.Add("orders", f)
		require.JSONEq(t, `{"time":"2000-01-01T00:01:30Z","producers":[{
			"name":"orders","status":"bad",
			"reasons":["stalled: nothing has come of any message for 2 s","closing, with 7 in flight","8 sends wait for room in the buffer"],
			"state":"closing","stalled":true,"stalls":14,
			"accepted":16,"delivered":4,"failed":5,"in_flight":7,"rejected":6,"late":3,"held":2,
			"buffered":9,"max_buffered":1000,"buffered_bytes":1234,"max_buffered_bytes":1048576,"waiting":8,"oldest_in_flight_seconds":1.5,
			"callback_panics":11,"slow_callbacks":12,"callbacks_running":13,"slow_callback":"main.main.func1",
			"started":"2000-01-01T00:00:00Z","uptime_seconds":90,"last_outcome":"2000-01-01T00:01:28Z","since_last_outcome_seconds":2,
			"failures":{"network":5},"rejections":{"buffer_full":6},
			"latency":{"count":4,"sum_seconds":0.08,"p50_seconds":0.02,"p95_seconds":0.02,"p99_seconds":0.02,"max_seconds":0.02},
			"last_second":null,"last_10_seconds":null,
			"topics":[{"topic":"a","accepted":10,"delivered":3,"failed":1,"in_flight":6,"delivered_per_second":null,"failures":{"network":1}}],
			"more_topics":null,
			"other_topics":{"accepted":6,"delivered":1,"failed":4,"in_flight":1,"delivered_per_second":null,"failures":{"network":4}},
			"settings":[{"name":"Acks","value":"all"}]
		}]}`, get(t, p, "/json").Body.String())
	})
}

func TestJSON_ofAProducerThatDidNothingHasNoNullsForLists(t *testing.T) {
	t.Parallel()
	p := New()
	p.Add("orders", &fake{})
	body := get(t, p, "/json").Body.String()
	for _, want := range []string{
		`"reasons":[]`, `"topics":[]`, `"settings":[]`, `"failures":{}`, `"rejections":{}`, `"last_outcome":null`,
		`"since_last_outcome_seconds":null`, `"p50_seconds":null`, `"max_seconds":null`, `"status":"healthy"`,
	} {
		require.Contains(t, body, want)
	}
	require.JSONEq(t, `[]`, regexp.MustCompile(`"producers":(\[\])`).FindStringSubmatch(get(t, New(), "/json").Body.String())[1])
}

func TestJSON_ofHostileNamesIsNoMarkup(t *testing.T) {
	t.Parallel()
	const hostile = "</script><script>alert(1)</script>&\u2028\x00\xff"
	f := &fake{}
	f.set(func(d *producer.Details) {
		d.Topics = []producer.TopicStats{{Topic: hostile, Failures: map[string]int64{hostile: 1}}}
		d.Settings = []producer.Setting{{Name: hostile, Value: hostile}}
		d.SlowCallback, d.Failures = hostile, map[string]int64{hostile: 1}
	})
	p := New()
	p.Add(hostile, f)
	body := get(t, p, "/json").Body.String()
	require.NotRegexp(t, "[<>&\u2028]", body)
	require.Equal(t, strings.ToValidUTF8(hostile, "\ufffd"), figures(t, body).Producers[0].Name)
	require.NotContains(t, get(t, p, "/").Body.String(), "alert(1)")
}

func TestPage_showsProducersByNameUntilTheyAreRemoved(t *testing.T) {
	t.Parallel()
	p := New()
	names := func() (all []string) {
		for _, shown := range figures(t, get(t, p, "/json").Body.String()).Producers {
			all = append(all, shown.Name)
		}
		return all
	}
	p.Add("b", &fake{})
	p.Add("a", &fake{})
	p.Add("c", &fake{})
	require.Equal(t, []string{"a", "b", "c"}, names())
	p.Remove("b")
	p.Remove("unknown")
	require.Equal(t, []string{"a", "c"}, names())

	other := &fake{}
	p.Add("a", other)
	require.Equal(t, []string{"a", "c"}, names())
	require.Equal(t, 1, other.timesRead(), "the later one is shown")
}
