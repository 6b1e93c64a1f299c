package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

const (
	maxBody = 64 << 10
	// stuckAfter is how old the oldest message in flight has to be for the
	// service to call itself unhealthy.
	stuckAfter = 10 * time.Second
)

// sender is what the service needs of a *producer.Async.
type sender interface {
	Send(ctx context.Context, msg *sarama.ProducerMessage) error
	Stats() producer.Stats
}

type service struct {
	producer sender
	topic    string
	log      *slog.Logger
}

// order is what clients post, and what is published.
type order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Item     string `json:"item"`
}

func newServer(s *service, log *slog.Logger) *http.Server {
	routes := http.NewServeMux()
	routes.HandleFunc("POST /orders", s.postOrder)
	routes.HandleFunc("GET /health", s.health)
	return &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second, // longer than WithMaxBlock
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// postOrder answers 202 as soon as the producer has accepted the order. From
// then on the service owes its delivery.
func (s *service) postOrder(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&o); err != nil {
		status := http.StatusBadRequest
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the body is not an order", status)
		return
	}
	if o.ID == "" || o.Customer == "" {
		http.Error(w, "an order needs an id and a customer", http.StatusBadRequest)
		return
	}
	value, err := json.Marshal(o)
	if err != nil {
		s.fail(w, err)
		return
	}
	// The ctx of the request bounds how long Send waits for room, and nothing after that.
	err = s.producer.Send(r.Context(), &sarama.ProducerMessage{
		Topic:    s.topic,
		Key:      sarama.StringEncoder(o.Customer), // the orders of a customer stay in order
		Value:    sarama.ByteEncoder(value),
		Metadata: o.ID, // for OnError
	})
	if err != nil {
		s.fail(w, err)
		return
	}
	s.answer(w, http.StatusAccepted, map[string]string{"accepted": o.ID})
}

// fail answers for an error, after which nothing was accepted: the client may
// post the order again, here or elsewhere.
func (s *service) fail(w http.ResponseWriter, err error) {
	status := statusOf(err)
	switch status {
	case http.StatusServiceUnavailable: // no log line: there may be thousands, and Stats counts them
		w.Header().Set("Retry-After", "1")
	case http.StatusInternalServerError:
		s.log.Error("order was not accepted", "error", err)
	}
	http.Error(w, http.StatusText(status), status)
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, producer.ErrMessageTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, producer.ErrInvalidMessage):
		return http.StatusBadRequest
	case errors.Is(err, producer.ErrClosed), // this instance ends, another one will do
		errors.Is(err, context.Canceled), // the client has gone: nobody reads this
		producer.SafeToRetry(err):        // ErrBufferFull: the brokers are slower than the clients
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// health is for a load balancer: 503 means that the brokers take nothing, and
// that orders wait.
func (s *service) health(w http.ResponseWriter, _ *http.Request) {
	stats := s.producer.Stats()
	status := http.StatusOK
	if stats.OldestInFlight > stuckAfter {
		status = http.StatusServiceUnavailable
	}
	s.answer(w, status, map[string]any{
		"accepted": stats.Accepted, "delivered": stats.Delivered, "failed": stats.Failed, "rejected": stats.Rejected,
		"in_flight": stats.InFlight, "oldest_in_flight": stats.OldestInFlight.Round(time.Millisecond).String(),
	})
}

func (s *service) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Debug("answer was not sent", "error", err) // the client has gone
	}
}
