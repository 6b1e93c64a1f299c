package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
)

// fake is a producer that gives one answer.
type fake struct {
	err   error
	sent  []*sarama.ProducerMessage
	stats producer.Stats
}

func (f *fake) Send(_ context.Context, msg *sarama.ProducerMessage) error {
	f.sent = append(f.sent, msg)
	return f.err
}

func (f *fake) Stats() producer.Stats { return f.stats }

// ask lets a service over f answer a request.
func ask(t *testing.T, f *fake, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	s := &service{producer: f, topic: "orders", log: slog.New(slog.DiscardHandler)}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	newServer(s, s.log).Handler.ServeHTTP(w, r)
	return w
}

const tea = `{"id":"7","customer":"ada","item":"tea"}`

func TestOrders_anAcceptedOneIsPublishedUnderItsCustomer(t *testing.T) {
	t.Parallel()
	f := &fake{}
	w := ask(t, f, http.MethodPost, "/orders", tea)
	require.Equal(t, http.StatusAccepted, w.Code)
	require.JSONEq(t, `{"accepted":"7"}`, w.Body.String())
	require.Equal(t, []*sarama.ProducerMessage{{
		Topic: "orders", Key: sarama.StringEncoder("ada"), Value: sarama.ByteEncoder(tea), Metadata: "7",
	}}, f.sent)
}

func TestOrders_eachErrorOfSendHasItsStatus(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err        error
		status     int
		retryAfter string
	}{
		{producer.ErrBufferFull, http.StatusServiceUnavailable, "1"},
		{fmt.Errorf("%w: %w", producer.ErrBufferFull, context.Canceled), http.StatusServiceUnavailable, "1"},
		{producer.ErrClosed, http.StatusServiceUnavailable, "1"},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, "1"},
		{fmt.Errorf("%w: no key", producer.ErrInvalidMessage), http.StatusBadRequest, ""},
		{fmt.Errorf("%w: 2 MB", producer.ErrMessageTooLarge), http.StatusRequestEntityTooLarge, ""},
		{errors.New("something else"), http.StatusInternalServerError, ""},
	} {
		w := ask(t, &fake{err: test.err}, http.MethodPost, "/orders", tea)
		require.Equal(t, test.status, w.Code, test.err)
		require.Equal(t, test.retryAfter, w.Header().Get("Retry-After"), test.err)
		require.NotContains(t, w.Body.String(), "producer", "what is inside stays inside")
	}
}

func TestOrders_whatIsNoOrderIsNotSent(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{
		`tea`:                http.StatusBadRequest,
		`{"id":"7"}`:         http.StatusBadRequest,
		`{"customer":"ada"}`: http.StatusBadRequest,
		`{"id":["7"]}`:       http.StatusBadRequest,
		`{"id":"` + strings.Repeat("7", maxBody) + `"}`: http.StatusRequestEntityTooLarge,
	} {
		f := &fake{}
		require.Equal(t, status, ask(t, f, http.MethodPost, "/orders", body).Code, "%.30s", body)
		require.Empty(t, f.sent)
	}
}

func TestHealth_isBadWhenWhatIsInFlightGrowsOld(t *testing.T) {
	t.Parallel()
	for age, status := range map[time.Duration]int{
		0: http.StatusOK, stuckAfter: http.StatusOK, stuckAfter + 1: http.StatusServiceUnavailable,
	} {
		w := ask(t, &fake{stats: producer.Stats{Accepted: 3, Delivered: 1, Failed: 1, InFlight: 1, OldestInFlight: age}}, http.MethodGet, "/health", "")
		require.Equal(t, status, w.Code, age)
		require.Contains(t, w.Body.String(), `"in_flight":1`)
	}
}
