// Package transport is between the core and sarama. It makes the connections of
// a client of its own, knows what has to be cut to make everything end in time,
// and asks the cluster who leads what. Over such a client package batch sends
// the records; over a borrowed one sarama's AsyncProducer does, and this is the
// only place that knows its channels and its retries.
//
// Records go in one at a time and come back one or many at a time, each once.
package transport

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/batch"
	"github.com/saramakit/producer/internal/netdial"
	"github.com/saramakit/producer/internal/record"
)

// ErrAborted is what calls inside sarama get once the transport was aborted.
var ErrAborted = batch.ErrAborted

// RequestMargin is what the rest of a request may take, beside the largest
// message.
const RequestMargin = batch.RequestMargin

// Outcome is what became of a record.
type Outcome = batch.Outcome

// Config is what Open needs.
type Config struct {
	// Sarama is the producer's private configuration. Open takes it over and
	// sets its dialer and its backoff functions.
	Sarama *sarama.Config
	// Addrs are the brokers to start from. Empty if Client is set.
	Addrs []string
	// Client is a borrowed client: its connections are not ours to cut, and it
	// is never closed.
	Client sarama.Client

	Backoff Backoff
	// DeliveryTimeout bounds how long one question to the cluster is repeated.
	DeliveryTimeout time.Duration
	// UnknownTopic is how long a cluster may deny a topic that it had before.
	UnknownTopic time.Duration

	Home *record.Home
	// Sink gets every record back, those of one partition in order. It is called
	// from several goroutines, must not wait, and not keep the slice.
	Sink func([]Outcome)
	// Live reports whether the outcome of any record of the topic is open.
	Live func(topic string) bool
	// Suspect is told that a topic seems to have been deleted.
	Suspect func(topic string)
}

// Transport sends records through a batch.Batcher or a sarama.AsyncProducer.
type Transport struct {
	cfg Config
	// connections is the configuration of an owned client's connections for
	// messages, questions that of the others.
	connections, questions *sarama.Config
	client                 sarama.Client // as it was borrowed, else nil
	owned                  bool
	// Of an owned client only.
	dialer  *netdial.Dialer
	askers  *askers
	cluster *cluster

	// batches is what sends, of an owned client; else it is sarama's producer.
	batches  *batch.Batcher
	producer sarama.AsyncProducer
	input    chan<- *sarama.ProducerMessage

	// aborted ends every wait that is ours: backoffs and repeated questions.
	aborted context.Context //nolint:containedctx // it ends the transport, not a call
	abort   context.CancelFunc

	drained chan struct{} // closed when sarama has closed both its channels
	ended   chan struct{} // closed when nothing of the transport is left
	once    sync.Once     // of Close

	// asks are the goroutines that wait for an answer of a broker; refreshes
	// is how many of them make a borrowed client fetch metadata.
	asks      sync.WaitGroup
	refreshes atomic.Int64
	mu        sync.Mutex // guards over, and so the start of asks against their end
	over      bool       // no more asks
	// closings are the connections that are being closed: see hangUp.
	closings sync.WaitGroup
}

// Open connects, and starts the producer and the goroutine that drains it. ctx
// bounds it; if Open fails nothing is left.
func Open(ctx context.Context, cfg *Config) (*Transport, error) {
	t := &Transport{cfg: *cfg, drained: make(chan struct{}), ended: make(chan struct{})}
	t.aborted, t.abort = context.WithCancel(context.Background())
	if t.owned = cfg.Client == nil; t.owned {
		t.setDialer() // before anybody may abort it
	}

	stop := context.AfterFunc(ctx, t.Abort)
	err := t.open(ctx)
	if err == nil && !stop() {
		// ctx ended while the last step succeeded: everything is cut already.
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		t.undo()
		return nil, err
	}
	return t, nil
}

func (t *Transport) open(ctx context.Context) error {
	if t.owned {
		return t.openOwned(ctx)
	}
	t.client = t.cfg.Client
	t.setBackoffs()
	producer, err := t.newProducer(ctx)
	if err != nil {
		return err
	}
	t.producer, t.input = producer, producer.Input()
	go t.drain()
	return nil
}

// openOwned connects, and starts the batcher.
func (t *Transport) openOwned(ctx context.Context) error {
	if t.connections.Net.ResolveCanonicalBootstrapServers {
		addrs, err := canonical(ctx, t.cfg.Addrs)
		if err != nil {
			return err
		}
		t.cfg.Addrs = addrs
	}
	first, err := t.connect(ctx)
	if err != nil {
		return err
	}
	t.openCluster(first)
	return t.openBatcher(ctx)
}

// newProducer starts sarama's producer over a borrowed client. An idempotent one
// asks the cluster for its id first, which cannot be cut short: then it is left
// behind, and ended when it comes.
func (t *Transport) newProducer(ctx context.Context) (sarama.AsyncProducer, error) {
	type result struct {
		producer sarama.AsyncProducer
		err      error
	}
	made := make(chan result, 1)
	go func() {
		p, err := sarama.NewAsyncProducerFromClient(&client{Client: t.client, t: t})
		made <- result{p, err}
	}()
	select {
	case r := <-made:
		return r.producer, r.err
	case <-ctx.Done():
	}
	go func() {
		if r := <-made; r.err == nil {
			r.producer.AsyncClose()
			discard(r.producer)
		}
	}()
	return nil, fmt.Errorf("the cluster gave no producer id: %w", context.Cause(ctx))
}

// Submit hands a record over. It waits for nobody, or for sarama's dispatcher,
// which waits for nobody: no more records of a topic are submitted than its
// channels hold, and no code of a user runs there. Not to be called after Close.
func (t *Transport) Submit(r *record.Record) {
	if t.batches != nil {
		t.batches.Submit(r)
		return
	}
	t.input <- &r.Msg
}

// drain takes results from both channels until both are closed. One goroutine
// for both, because sarama's order between a failure and a later success of
// the same partition is the order in which it hands them over.
func (t *Transport) drain() {
	defer close(t.drained)
	var (
		one       [1]Outcome
		causes    = causes{}
		successes = t.producer.Successes()
		failures  = t.producer.Errors()
	)
	for successes != nil || failures != nil {
		select {
		case msg, ok := <-successes:
			if !ok {
				successes = nil
				continue
			}
			one[0] = Outcome{Record: record.Of(msg)}
		case failure, ok := <-failures:
			if !ok {
				failures = nil
				continue
			}
			one[0] = t.failed(record.Of(failure.Msg), causes, failure.Err)
		}
		if one[0].Record != nil {
			t.cfg.Sink(one[:])
		}
	}
}

func (t *Transport) failed(r *record.Record, c causes, err error) Outcome {
	if r == nil {
		return Outcome{}
	}
	return Outcome{
		Record:     r,
		Err:        c.explain(r.Msg.Topic, err),
		NotWritten: r.Attempts() == 0 || neverAppended(err) && r.FirstAttempt(),
	}
}

func (t *Transport) isAborted() bool { return t.aborted.Err() != nil }

// Abort ends every wait inside sarama that can be ended: our own at once and,
// if the client is ours, all that hang on a connection. Idempotent, never waits.
func (t *Transport) Abort() {
	t.abort()
	if t.dialer != nil {
		t.dialer.Abort()
	}
}

// Close ends the producer: what sarama still holds comes back through Sink,
// then an owned client is closed. It does not wait; the returned channel is
// closed when nothing is left. Nothing may be submitted after it.
func (t *Transport) Close() <-chan struct{} {
	t.once.Do(func() {
		go func() {
			defer close(t.ended)
			switch {
			case t.batches != nil:
				t.batches.Close()
			case t.producer != nil:
				t.producer.AsyncClose()
				<-t.drained
			default: // Open failed before there was one
			}
			t.release()
		}()
	})
	return t.ended
}

// release closes what is ours once sarama's producer has ended.
func (t *Transport) release() {
	t.abort()
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	if !t.owned {
		return
	}
	// Connections first: nothing of value is on them any more, and closing a
	// client waits for the question that it may be asking.
	t.dialer.Abort()
	if t.cluster != nil {
		t.askers.close()
		t.cluster.close()
	}
	t.asks.Wait()
	t.closings.Wait() // after those that may add to them
}

// undo ends what a failed Open has begun.
func (t *Transport) undo() {
	select {
	case <-t.Close():
	case <-time.After(undoing):
	}
}

// undoing is how long a failed Open waits for its end. Everything is cut, so it
// is prompt, but for a user's dialer that cannot be interrupted.
const undoing = 500 * time.Millisecond

// discard reads both channels of an unused producer until they are closed.
func discard(p sarama.AsyncProducer) {
	for range p.Errors() {
		continue
	}
	for range p.Successes() {
		continue
	}
}
