// Shutdown is an HTTP service that publishes what is posted to it, and ends
// after a SIGTERM or Ctrl-C without losing what it has promised:
//
//  1. it takes no more requests, and answers those that it has;
//  2. it delivers what it has accepted;
//  3. it logs what became of everything, and exits.
//
// All of this takes no longer than -drain and about a second. A second signal
// ends the waiting, a third one kills.
//
// Exit codes: 0 everything that was accepted (202) is stored; 1 the service
// could not start or serve; 2 the flags are wrong; 3 something that was accepted
// was not delivered: the log names each such order and whether it may be stored
// all the same, and has the counts.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
)

var errNotDelivered = errors.New("not everything that was accepted was delivered")

type config struct {
	listen, brokers string
	drain           time.Duration
}

func main() {
	var c config
	flag.StringVar(&c.listen, "listen", "127.0.0.1:0", "`address` to listen on; port 0 stands for a free one")
	flag.StringVar(&c.brokers, "brokers", os.Getenv("KAFKA_BROKERS"), demo.Usage+"; the environment's KAFKA_BROKERS is the default")
	flag.DurationVar(&c.drain, "drain", 20*time.Second, "how long the end may take after a signal; less than the time after which the process is killed")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	err := run(context.Background(), c, log)
	code := 0
	switch {
	case errors.Is(err, errNotDelivered):
		code = 3
	case err != nil:
		code = 1
	}
	if err != nil {
		log.Error("exit", "code", code, "error", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, c config, log *slog.Logger) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	starting, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	cluster, err := demo.Open(starting, c.brokers, "orders", 3)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(starting, "tcp", c.listen)
	if err != nil {
		return err
	}
	p, err := producer.NewAsync(starting, cluster.Addrs,
		producer.WithTopics(cluster.Topic), // do not start without it
		producer.WithMaxBlock(time.Second), // a client is rather told 503 than kept waiting
		producer.WithLogger(log),
		producer.WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, err error) {
			// The client was told 202, so somebody has to see to it. A service may write a record
			// for that here, to a table for example.
			log.Error("not delivered", "order", msg.Metadata, "may_be_stored", producer.MayHaveBeenWritten(err), "error", err)
		}))
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	server := newServer(&service{producer: p, topic: cluster.Topic, log: log}, log)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("listening", "url", "http://"+listener.Addr().String(), "topic", cluster.Topic)
	select {
	case err = <-served: // though nobody has told it to end
	case <-ctx.Done():
	}

	// A fresh ctx: that of the signal has ended, and with it Close would give up what is on its way.
	// The next signal may do so.
	ending, stopEnding := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stopEnding()
	stop()
	context.AfterFunc(ending, stopEnding) // the signal after that kills
	log.Info("ending", "cause", context.Cause(ctx))
	return errors.Join(err, end(ending, server, p, c.drain, log))
}

// end stops the server and then the producer, in this order: whoever has a
// request here is still served.
func end(ctx context.Context, server *http.Server, p *producer.Async, drain time.Duration, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	// A slow client must not take all the time: what was accepted before comes first.
	requests, cancel := context.WithTimeout(ctx, drain/2)
	defer cancel()
	if err := server.Shutdown(requests); err != nil {
		log.Warn("requests are cut off", "cause", err)
		if err := server.Close(); err != nil {
			log.Warn("close the server", "error", err)
		}
	}
	// A handler that still runs gets ErrClosed from here on.
	err := p.Close(ctx)
	s := p.Stats()
	log.Info("ended", "accepted", s.Accepted, "delivered", s.Delivered, "failed", s.Failed, "in_flight", s.InFlight)
	if s.Delivered != s.Accepted {
		return errors.Join(errNotDelivered, err)
	}
	return err
}
