// Package batch puts records into batches and sends these to the brokers that
// lead their partitions. It is a producer over sarama's connections, in the
// place of sarama's own, which passes each message through five channels.
//
// A record passes
//
//	Submit → inbox of its topic → queue of its partition → batch → request
//
// and comes back through Config.Sink, together with those that it was sent
// with. Nobody is woken, and nothing is allocated, for a single record.
package batch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/record"
)

// Outcome is what became of a record.
type Outcome struct {
	Record *record.Record
	Err    error // nil: delivered
	// NotWritten is a proof: the record's bytes are not in any log and never
	// will be. False proves nothing.
	NotWritten bool
}

// Cluster is where to send records.
type Cluster interface {
	// Version changes whenever anything that is known does.
	Version() int64
	// Topic returns the partitions of a topic, and those of them that have a
	// leader, as far as they are known: it asks nobody.
	Topic(name string) (all, writable []int32)
	// Leader returns the broker that leads a partition. It asks nobody.
	Leader(topic string, partition int32) (Broker, error)
	// Ask asks the cluster about a topic, once, and returns what is wrong with it.
	Ask(ctx context.Context, topic string) error
}

// Broker is the connection to a broker. It is used by one goroutine. Two of the
// same broker must be equal.
type Broker interface {
	// Connect returns when the broker is connected.
	Connect() error
	// Produce sends a request with those batches. answer is called once, from
	// another goroutine, unless Produce fails or no answer is wanted.
	Produce(batches []*Batch, answer func(*sarama.ProduceResponse, error)) error
	// Close closes the connection. What is on its way fails before it returns.
	Close()
}

// Config is what New needs. All functions may be called from any goroutine.
type Config struct {
	// Aborted ends every wait that is not one for a broker: those end when the
	// connections are cut. Then all records come back.
	Aborted context.Context //nolint:containedctx // it ends the batcher, not a call

	// Sarama is the producer's configuration.
	Sarama  *sarama.Config
	Cluster Cluster
	// Sink gets every record back, those of one partition in order. It must not
	// wait, and not keep the slice.
	Sink func([]Outcome)
	// Suspect is told that a topic seems to have been deleted.
	Suspect func(topic string)
	// Identify asks for a producer id. Of an idempotent producer only.
	Identify func(ctx context.Context) (Identity, error)

	// RetryWait is how long to wait before the n-th sending again of a batch,
	// AskWait before the n-th repetition of a question, n >= 1.
	RetryWait, AskWait func(n int) time.Duration
	// MostRetries is how often sending to a partition is tried again, negative: as
	// long as anybody waits for the outcome of one of its records.
	MostRetries int
	// UnknownTopic is how long a cluster may deny a topic that it had before.
	UnknownTopic time.Duration
	// Final reports whether it is no use to ask again after that error.
	Final func(error) bool
}

// Batcher sends records. It has a goroutine for each broker that it sends to, and
// for each topic and each partition only as long as there is something to do
// for it that may wait.
type Batcher struct {
	cfg       Config
	linger    time.Duration
	questions Questions
	// counting says that so many messages or bytes are enough to be sent.
	counting bool
	ids      identities

	// ending ends the waits before something is tried again.
	ending context.Context //nolint:containedctx // it ends the batcher, not a call
	end    context.CancelFunc

	topics sync.Map // name -> *topic
	// last is the topic that was looked up last: most producers have few.
	last atomic.Pointer[topic]

	mu      sync.Mutex // held for a few instructions
	senders map[Broker]*sender

	placers, menders, sending sync.WaitGroup // goroutines
	// busy are the partitions that have records.
	busy sync.WaitGroup
	stop chan struct{} // closed to end the senders

	batches  sync.Pool // of *Batch
	outcomes sync.Pool // of *outcomes
}

// New returns a Batcher. If the producer is idempotent it asks for a producer
// id first, until ctx ends.
func New(ctx context.Context, cfg *Config) (*Batcher, error) {
	b := &Batcher{
		cfg: *cfg, linger: cfg.Sarama.Producer.Flush.Frequency,
		senders: make(map[Broker]*sender), stop: make(chan struct{}),
	}
	flush := &cfg.Sarama.Producer.Flush
	b.questions = Questions{
		UnknownTopic: cfg.UnknownTopic, Suspect: cfg.Suspect, Final: cfg.Final,
		Wait: func(n int) error { return b.wait(cfg.AskWait(n)) }, Over: b.over,
	}
	b.counting = flush.Messages > 0 || flush.Bytes > 0
	b.batches.New = func() any { return new(Batch) }
	b.outcomes.New = func() any { return &outcomes{b: b} }
	if cfg.Sarama.Producer.Idempotent {
		id, err := cfg.Identify(ctx)
		if err != nil {
			return nil, err
		}
		b.ids.now, b.ids.known = id, true
	}
	b.ending, b.end = context.WithCancel(cfg.Aborted)
	return b, nil
}

// Submit takes a record over. It waits for nobody. Not to be called after Close.
func (b *Batcher) Submit(r *record.Record) {
	t := b.last.Load()
	if t == nil || t.name != r.Msg.Topic {
		t = b.topic(r.Msg.Topic)
		b.last.Store(t)
	}
	t.submit(r)
}

func (b *Batcher) topic(name string) *topic {
	if t, ok := b.topics.Load(name); ok {
		return t.(*topic) //nolint:errcheck,forcetypeassert // the map holds nothing else
	}
	t, _ := b.topics.LoadOrStore(name, newTopic(b, name))
	return t.(*topic) //nolint:errcheck,forcetypeassert // see above
}

// Close sends what there is, once, and waits until it is answered: nothing is
// tried again. It returns when all records have come back and no goroutine is
// left.
func (b *Batcher) Close() {
	b.end()
	b.placers.Wait()
	b.busy.Wait() // nobody becomes busy any more: that is the placers' work
	b.menders.Wait()
	close(b.stop)
	b.sending.Wait()
}

// aborted reports whether everything is to end at once.
func (b *Batcher) aborted() bool { return b.cfg.Aborted.Err() != nil }

// over is why nothing is to be tried again, nil if it is.
func (b *Batcher) over() error {
	switch {
	case b.aborted():
		return ErrAborted
	case b.ending.Err() != nil:
		return sarama.ErrShuttingDown
	default:
		return nil
	}
}

// wait waits for d, or until nothing is to be tried again: then it returns why.
func (b *Batcher) wait(d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-b.ending.Done():
		}
	}
	return b.over()
}

// returning collects outcomes until they are handed over.
func (b *Batcher) returning() *outcomes {
	return b.outcomes.Get().(*outcomes) //nolint:errcheck,forcetypeassert // the pool holds nothing else
}

// outcomes are some that are handed over together. Not too many: what is left in
// them after that keeps records alive until it is overwritten.
type outcomes struct {
	b    *Batcher
	n    int
	list [256]Outcome
}

func (o *outcomes) add(outcome Outcome) {
	if o.n == len(o.list) {
		o.flush()
	}
	o.list[o.n] = outcome
	o.n++
}

func (o *outcomes) flush() {
	if o.n > 0 {
		o.b.cfg.Sink(o.list[:o.n])
		o.n = 0
	}
}

// hand hands over what there is. It ends the use of o.
func (o *outcomes) hand() {
	o.flush()
	o.b.outcomes.Put(o)
}
