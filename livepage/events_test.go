package livepage

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
)

func TestEvents_comeEverySecondWithTheFiguresOfAllProducers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, a, b := New(), &fake{}, &fake{}
		p.Add("a", a)
		p.Add("b", b)
		w := serve(t, p).watch(t)
		require.Equal(t, http.StatusOK, w.status)
		require.Equal(t, "text/event-stream", w.header.Get("Content-Type"))
		require.Equal(t, "no", w.header.Get("X-Accel-Buffering"))
		require.Equal(t, "retry: 2000\n\n", w.next())
		start := time.Now()
		for second := range int64(20) {
			all := w.figures()
			require.Equal(t, start.Add(time.Duration(second)*time.Second).UTC(), all.Time)
			require.Len(t, all.Producers, 2)
			require.Equal(t, second, all.Producers[0].Delivered)
			require.Equal(t, 2*second, all.Producers[1].Delivered)
			a.deliver(1, time.Millisecond)
			b.deliver(2, time.Millisecond)
			advance(time.Second)
		}
	})
}

// The bubble adds that no goroutine is left.
func TestEvents_nothingRunsAndNothingIsReadWhileNobodyWatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := New(), &fake{}
		p.Add("a", f)
		s := serve(t, p)
		advance(time.Hour)
		require.Zero(t, f.timesRead())

		w := s.watch(t)
		advance(3500 * time.Millisecond)
		require.Equal(t, 4, f.timesRead())
		w.leave()
		advance(time.Hour)
		require.Equal(t, 4, f.timesRead())
		require.Zero(t, watchers(p))
		require.Zero(t, remembered(p))
	})
}

func TestEvents_thoseWhoWatchShareOneReadingASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := New(), &fake{}
		p.Add("a", f)
		s := serve(t, p)
		var watching []*stream
		for range 10 {
			watching = append(watching, s.watch(t))
			advance(370 * time.Millisecond)
		}
		advance(6300 * time.Millisecond) // ten seconds in all, and a first reading
		require.Equal(t, 11, f.timesRead())
		for i, w := range watching {
			require.Equal(t, "retry: 2000\n\n", w.next())
			before := time.Time{}
			for range 10 - i*370/1000 {
				at := w.figures().Time
				require.True(t, at.After(before), "no event comes twice")
				before = at
			}
		}
	})
}

func TestEvents_aWatcherThatDoesNotReadIsCutOffAndDelaysNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New()
		p.Add("a", &fake{})
		s := serve(t, p)
		s.ask(t)
		w := s.watch(t)
		require.Equal(t, "retry: 2000\n\n", w.next())
		require.Equal(t, 2, watchers(p))
		for range 9 {
			w.figures()
			advance(time.Second)
		}
		require.Equal(t, 2, watchers(p))
		advance(time.Second)
		require.Equal(t, 1, watchers(p))
	})
}

func TestEvents_ofTooManyTheLastIsSentAwayAndMayComeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New()
		s := serve(t, p)
		watching := make([]*stream, 32)
		for i := range watching {
			watching[i] = s.watch(t)
			require.Equal(t, http.StatusOK, watching[i].status)
		}
		w := s.watch(t)
		require.Equal(t, http.StatusServiceUnavailable, w.status)
		require.Equal(t, "2", w.header.Get("Retry-After"))
		require.Equal(t, http.StatusOK, get(t, p, "/json").Code, "figures are there for all")

		watching[7].leave()
		synctest.Wait()
		require.Equal(t, http.StatusOK, s.watch(t).status)
	})
}

func TestEvents_endAfterFiveMinutesAndGoOnInTheNextStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New()
		p.Add("a", &fake{})
		s := serve(t, p)
		w := s.watch(t)
		advance(5*time.Minute - time.Millisecond)
		require.False(t, w.ended())
		advance(time.Millisecond)
		require.True(t, w.ended())

		advance(2 * time.Second)
		w = s.watch(t)
		w.next()
		require.NotNil(t, w.figures().Producers[0].LastSeconds, "the browser comes again before its history is forgotten")
	})
}

func TestEvents_endWithClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New()
		s := serve(t, p)
		s.RegisterOnShutdown(p.Close)
		w := s.watch(t)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.Less(t, time.Since(start), interval)
		require.True(t, w.ended())
		p.Close() // again

		require.Equal(t, http.StatusServiceUnavailable, get(t, p, "/events").Code)
		require.Equal(t, http.StatusOK, get(t, p, "/json").Code)
	})
}

func TestEvents_outliveTheTimeoutsOfTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, New(), func(s *http.Server) {
			s.ReadTimeout, s.WriteTimeout = 2*time.Second, 3*time.Second
		})
		w := s.watch(t)
		advance(time.Minute)
		require.Equal(t, "retry: 2000\n\n", w.next())
		for range 61 {
			w.figures()
		}
		require.False(t, w.ended())
	})
}

func TestEvents_showProducersThatComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New()
		w := serve(t, p).watch(t)
		w.next()
		require.Empty(t, w.figures().Producers)

		p.Add("a", &fake{})
		advance(time.Second)
		all := w.figures()
		require.Equal(t, "a", all.Producers[0].Name)
		require.Nil(t, all.Producers[0].LastSecond)

		advance(time.Second)
		require.NotNil(t, w.figures().Producers[0].LastSecond)

		// Another with the same name has nothing to do with the one before.
		p.Add("a", &fake{})
		advance(time.Second)
		require.Nil(t, w.figures().Producers[0].LastSecond)

		p.Remove("a")
		advance(time.Second)
		require.Empty(t, w.figures().Producers)
	})
}

// broken is a Source that panics.
type broken struct{}

func (broken) Details() producer.Details { panic("broken") }

func TestEvents_aSourceThatPanicsHarmsTheStreamAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New()
		p.Add("a", broken{})
		s := serve(t, p)
		require.True(t, s.watch(t).ended())
		require.Zero(t, watchers(p))

		p.Remove("a")
		w := s.watch(t)
		w.next()
		w.figures()
	})
}

// stuck is a Source that does not return before it is told to.
type stuck chan struct{}

func (s stuck) Details() producer.Details {
	<-s
	return producer.Details{}
}

func TestEvents_whoGoesWhileASourceIsStuckIsLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, source := New(), make(stuck)
		p.Add("a", source)
		s := serve(t, p)
		s.watch(t)
		w := s.watch(t)
		require.Equal(t, 2, watchers(p))
		w.leave()
		synctest.Wait()
		require.Equal(t, 1, watchers(p), "the one that reads")
		close(source)
	})
}

// plain is a ResponseWriter that can do no more than it must.
type plain struct{ w http.ResponseWriter }

func (p plain) Header() http.Header            { return p.w.Header() }
func (p plain) Write(data []byte) (int, error) { return p.w.Write(data) }
func (p plain) WriteHeader(status int)         { p.w.WriteHeader(status) }

func TestEvents_areRefusedWhereTheyCannotBeFlushed(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	New().ServeHTTP(plain{w}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", http.NoBody))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), "not supported")
}

// A recorder can flush and has no deadlines.
func TestEvents_needNoDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		w := httptest.NewRecorder()
		New().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", http.NoBody))
		require.Equal(t, 3, strings.Count(w.Body.String(), "data: "))
	})
}
