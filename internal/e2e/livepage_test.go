package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
	"github.com/saramakit/producer/livepage"
)

// shown is what livepage says of a producer, as far as these tests look at it.
type shown struct {
	Status     string           `json:"status"`
	State      producer.State   `json:"state"`
	Accepted   int64            `json:"accepted"`
	Delivered  int64            `json:"delivered"`
	Failed     int64            `json:"failed"`
	InFlight   int64            `json:"in_flight"`
	Rejected   int64            `json:"rejected"`
	Failures   map[string]int64 `json:"failures"`
	Rejections map[string]int64 `json:"rejections"`
	Started    time.Time        `json:"started"`
	Outcome    time.Time        `json:"last_outcome"`
	Topics     []struct {
		Topic     string `json:"topic"`
		Delivered int64  `json:"delivered"`
	} `json:"topics"`
	OtherTopics struct {
		Failures map[string]int64 `json:"failures"`
	} `json:"other_topics"`
	Latency struct {
		Count int64   `json:"count"`
		Sum   float64 `json:"sum_seconds"`
		P99   float64 `json:"p99_seconds"`
	} `json:"latency"`
	LastSeconds *struct {
		Seconds   float64 `json:"seconds"`
		Delivered float64 `json:"delivered_per_second"`
	} `json:"last_10_seconds"`
	Settings []struct{ Name, Value string } `json:"settings"`
}

// look decodes what livepage says of its only producer.
func look(t *testing.T, data io.Reader) shown {
	t.Helper()
	var all struct {
		Producers []shown `json:"producers"`
	}
	require.NoError(t, json.NewDecoder(data).Decode(&all))
	require.Len(t, all.Producers, 1)
	return all.Producers[0]
}

type shownSource interface {
	underTest
	livepage.Source
}

func openForPage(t *testing.T, m mode, cluster *kafkatest.Cluster) shownSource {
	t.Helper()
	options := producer.Options{
		producer.WithUnknownTopicTimeout(10 * time.Millisecond), producer.WithLogger(slog.New(slog.DiscardHandler)),
	}
	if m.sync {
		p, err := producer.NewSync(bounded(t), cluster.Addrs(), options)
		require.NoError(t, err)
		return p
	}
	p, err := producer.NewAsync(bounded(t), cluster.Addrs(), options)
	require.NoError(t, err)
	return p
}

func TestLivepage_saysWhatDetailsAndStatsSay(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		const messages = 50
		cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 3))
		p := openForPage(t, m, cluster)
		page := livepage.New()
		page.Add("orders", p)
		server := httptest.NewServer(page)
		defer server.Close()
		get := func(path string) *nethttp.Response {
			request, err := nethttp.NewRequestWithContext(bounded(t), nethttp.MethodGet, server.URL+path, nethttp.NoBody)
			require.NoError(t, err)
			response, err := server.Client().Do(request)
			require.NoError(t, err)
			t.Cleanup(func() { _ = response.Body.Close() })
			return response
		}
		events := bufio.NewScanner(get("/events").Body)
		events.Buffer(nil, 1<<20)
		next := func() shown {
			for events.Scan() {
				if data, ok := strings.CutPrefix(events.Text(), "data: "); ok {
					return look(t, strings.NewReader(data))
				}
			}
			require.Fail(t, "the stream has ended", events.Err())
			return shown{}
		}
		require.Nil(t, next().LastSeconds)

		for range messages {
			require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("x")}))
		}
		_ = p.Send(bounded(t), &sarama.ProducerMessage{Topic: "unknown"}) // of an Async nil
		require.Error(t, p.Send(bounded(t), &sarama.ProducerMessage{}))
		require.NoError(t, p.Flush(bounded(t)))

		got := look(t, get("/json").Body)
		stats, details := p.Stats(), p.Details()
		require.Equal(t, producer.StateRunning, got.State)
		require.Equal(t, []int64{stats.Accepted, stats.Delivered, stats.Failed, stats.InFlight, stats.Rejected},
			[]int64{got.Accepted, got.Delivered, got.Failed, got.InFlight, got.Rejected})
		require.Equal(t, []int64{messages + 1, messages, 1, 0, 1},
			[]int64{got.Accepted, got.Delivered, got.Failed, got.InFlight, got.Rejected})
		require.Equal(t, map[string]int64{"unknown_topic": 1}, got.Failures)
		require.Equal(t, map[string]int64{"unknown_topic": 1}, got.OtherTopics.Failures)
		require.Equal(t, map[string]int64{"invalid_message": 1}, got.Rejections)
		require.Len(t, got.Topics, 1)
		require.Equal(t, topic, got.Topics[0].Topic)
		require.EqualValues(t, messages, got.Topics[0].Delivered)
		require.EqualValues(t, messages, got.Latency.Count)
		require.InDelta(t, details.Latency.Sum.Seconds(), got.Latency.Sum, 1e-9)
		require.InDelta(t, details.Latency.Quantile(0.99).Seconds(), got.Latency.P99, 1e-9)
		require.True(t, details.Started.Equal(got.Started))
		require.True(t, details.LastOutcome.Equal(got.Outcome))
		require.Len(t, got.Settings, len(details.Settings))

		// Within ten seconds all of it lies in the longer window.
		recent := next()
		for recent.Delivered < messages || recent.Failed == 0 {
			recent = next()
		}
		require.InDelta(t, messages, recent.LastSeconds.Delivered*recent.LastSeconds.Seconds, 1e-6)
		require.Equal(t, "attention", recent.Status)

		require.NoError(t, p.Close(bounded(t)))
		require.Equal(t, producer.StateClosed, look(t, get("/json").Body).State)
		page.Close()
	})
}
