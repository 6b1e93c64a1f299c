package livepage

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/saramakit/producer"
)

// TestMain runs the tests; or, if DEMO says where to listen, it serves the page
// with figures that move, to look at it, until it is interrupted:
//
//	DEMO=localhost:6060 go test -timeout 0 ./livepage
//
// Below it are /one/, /three/, /many/ (300 topics and names that are long or
// hostile) and /none/. Whoever takes a screenshot wants some events first, so with
// ?hold=8s the page is not complete before:
//
//	chromium --headless=new --no-sandbox --hide-scrollbars --window-size=1280,1400 \
//		--screenshot=page.png 'http://localhost:6060/three/?hold=8s'
//
// and --dump-dom instead of --screenshot prints what is shown.
func TestMain(m *testing.M) {
	if address := os.Getenv("DEMO"); address != "" {
		fmt.Fprintln(os.Stderr, serveDemo(address))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveDemo(address string) error {
	page := func(of map[string]Source) *Page {
		p := New()
		for name, s := range of {
			p.Add(name, s)
		}
		return p
	}
	mux := http.NewServeMux()
	mux.Handle("/none/", page(nil))
	mux.Handle("/one/", page(map[string]Source{"orders": moving(demo{rate: 4200, topics: 4})}))
	mux.Handle("/three/", page(map[string]Source{
		"orders":   moving(demo{rate: 12800, topics: 5}),
		"payments": moving(demo{rate: 310, topics: 2, failing: 0.04}),
		"audit":    moving(demo{rate: 90, topics: 1, stalled: true}),
	}))
	mux.Handle("/many/", page(map[string]Source{
		"many topics":                              moving(demo{rate: 52000, topics: 300, failing: 0.7}),
		"<script>alert(1)</script>":                moving(demo{rate: 3, topics: 1, hostile: true}),
		strings.Repeat("a-long-name-", 12) + "end": moving(demo{closed: true}),
	}))
	server := &http.Server{Addr: address, Handler: holding(mux), ReadHeaderTimeout: time.Second}
	return server.ListenAndServe()
}

// holding sends the end of a page only after the time that the query says.
func holding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hold, err := time.ParseDuration(r.FormValue("hold"))
		if err != nil {
			next.ServeHTTP(w, r)
			return
		}
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, r)
		start, end, _ := strings.Cut(recorder.Body.String(), "</body>")
		maps.Copy(w.Header(), recorder.Header())
		_, _ = w.Write([]byte(start))
		_ = http.NewResponseController(w).Flush()
		<-time.After(hold)
		_, _ = w.Write([]byte("</body>" + end))
	})
}

// demo says what a producer of the demo does.
type demo struct {
	rate, topics             int
	failing                  float64 // the part of messages that fails
	stalled, closed, hostile bool
}

// moving returns a producer whose figures move, ten times a second.
func moving(of demo) *fake {
	f := &fake{}
	f.set(func(d *producer.Details) {
		d.State, d.Started, d.LastOutcome = producer.StateRunning, time.Now().Add(-3*time.Hour), time.Now().Add(-34*time.Second)
		d.MaxBuffered, d.MaxBufferedBytes = 100_000, 64<<20
		d.Settings = []producer.Setting{
			{Name: "Acks", Value: "all"},
			{Name: "ClientID", Value: "shop-7f9c"},
			{Name: "DeliveryTimeout", Value: "2m0s"},
			{Name: "Linger", Value: "5ms"},
			{Name: "Compression", Value: "snappy"},
		}
		for i := range of.topics {
			d.Topics = append(d.Topics, producer.TopicStats{Topic: fmt.Sprintf("shop.%s.v%d", []string{"orders", "payments", "stock", "mail"}[i%4], i)})
		}
		if of.hostile {
			d.Topics[0].Topic = strings.Repeat("long.topic_", 22) + "x"
			d.Settings[1].Value = `"><img src=x onerror=alert(1)>` + "\u2028</style></script>"
			d.SlowCallback, d.SlowCallbacks = "example.com/shop/internal/orders.(*Service).onDelivered.func1", 3
		}
		if of.closed {
			d.State, d.LastOutcome = producer.StateClosed, time.Time{}
		}
	})
	if of.closed {
		return f
	}
	go func() {
		for tick := range time.Tick(100 * time.Millisecond) {
			wave := 1 + 0.4*math.Sin(float64(tick.Unix())/20) + rand.NormFloat64()/20
			f.step(&of, int64(float64(of.rate)*wave/10))
		}
	}()
	return f
}

// step adds a tenth of a second.
func (f *fake) step(of *demo, messages int64) {
	if of.stalled {
		f.set(func(d *producer.Details) {
			d.Stalled, d.Stalls = true, 1
			d.Accepted, d.InFlight = d.Accepted+messages, min(d.InFlight+messages, 95_000)
			d.Buffered, d.BufferedBytes = d.InFlight, d.InFlight*640
			d.OldestInFlight, d.Waiting = time.Since(d.LastOutcome), 4
			d.Topics[0].InFlight = d.InFlight
		})
		return
	}
	failed := int64(float64(messages) * of.failing)
	for range 20 {
		f.deliver((messages-failed)/20, time.Duration(float64(6*time.Millisecond)*math.Exp(rand.NormFloat64()/2)))
	}
	if failed > 0 {
		f.fail(failed, []string{"NOT_ENOUGH_REPLICAS", "delivery_timeout", "network"}[rand.IntN(3)])
	}
	f.set(func(d *producer.Details) {
		d.InFlight = int64(of.rate/100) + rand.Int64N(20)
		d.Accepted = d.Delivered + d.Failed + d.InFlight
		d.Buffered, d.BufferedBytes = d.InFlight, d.InFlight*700
		d.OldestInFlight, d.LastOutcome = time.Duration(rand.IntN(20))*time.Millisecond, time.Now()
		if of.failing > 0.5 {
			d.Buffered, d.BufferedBytes, d.Waiting = 41_000, 63<<20, 12
			d.Rejected++
			d.Rejections = map[string]int64{"buffer_full": d.Rejected}
			d.OtherTopics.Accepted, d.OtherTopics.Failed = 12, 12
			d.OtherTopics.Failures = map[string]int64{"unknown_topic": 12}
		}
		for i := range d.Topics {
			topic := &d.Topics[i]
			topic.Delivered += messages / int64(i+1) / 4
			if i%3 == 0 && failed > 5 {
				topic.Failed += failed / 5
				topic.Failures = map[string]int64{"NOT_ENOUGH_REPLICAS": topic.Failed / 3 * 2, "network": topic.Failed / 3}
			}
			topic.InFlight = rand.Int64N(d.InFlight/int64(i+1) + 1)
		}
	})
}
