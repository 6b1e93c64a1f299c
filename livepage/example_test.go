package livepage_test

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/livepage"
)

// The page of a service, on the port that is for its operators.
func Example() {
	p, err := producer.NewAsync(context.Background(), []string{"kafka:9092"})
	if err != nil {
		log.Print(err)
		return
	}
	page := livepage.New()
	page.Add("orders", p)

	mux := http.NewServeMux()
	mux.Handle("/debug/producer/", page)
	server := &http.Server{Addr: "localhost:6060", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	server.RegisterOnShutdown(page.Close)
	log.Print(server.ListenAndServe())
}
