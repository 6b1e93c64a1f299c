package producertest

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// memory is a producer without brokers that keeps the contract. It is the
// reference against which the suite is tested: made with a flaw, it must fail.
type memory struct {
	flaw flaw
	s    Settings
	sync bool
	// release is closed when the test ends, and ends what a flaw makes hang.
	release chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change of what follows
	log     []*sarama.ConsumerMessage
	next    [2]int64 // the next offset of each partition
	broken  bool
	queue   []*item        // accepted, without an outcome
	pending []*item        // with an outcome, before their callbacks
	flying  map[*item]bool // accepted, and their callbacks have not returned
	used    int            // room
	stats   producer.Stats
	closing bool
	stopped bool

	// For flaws.
	flushed bool
	seen    map[*sarama.ProducerMessage]bool
	shared  sarama.ProducerMessage

	caller    atomic.Int64 // the goroutine of the callback that runs
	closeOnce sync.Once
	abortOnce sync.Once
	aborting  chan struct{}
	abortErr  error // written before aborting is closed
	closed    chan struct{}
	closeErr  error // written before closed is closed
}

// item is an accepted message.
type item struct {
	ctx     context.Context //nolint:containedctx // that of Send, for the callbacks
	from    *sarama.ProducerMessage
	msg     *sarama.ProducerMessage // the producer's own
	result  producer.ResultFunc
	seq     int64
	timeout *time.Timer

	settled bool
	err     error
	done    chan struct{} // closed with the outcome
	called  chan struct{} // closed when the callbacks have returned
}

func newMemory(s Settings, isSync bool, f flaw) *memory {
	s.MaxBuffered = cmp.Or(s.MaxBuffered, 1000)
	s.MaxBlock = cmp.Or(s.MaxBlock, time.Minute)
	s.MaxMessageBytes = cmp.Or(s.MaxMessageBytes, 1<<20)
	s.DeliveryTimeout = cmp.Or(s.DeliveryTimeout, 2*time.Minute)
	s.CloseTimeout = cmp.Or(s.CloseTimeout, 30*time.Second)
	m := &memory{
		flaw: f, s: s, sync: isSync, release: make(chan struct{}), changed: make(chan struct{}),
		flying: make(map[*item]bool), seen: make(map[*sarama.ProducerMessage]bool),
		aborting: make(chan struct{}), closed: make(chan struct{}),
	}
	go m.deliver()
	go m.work()
	if f == leaksAGoroutine {
		go pause(time.Minute)
	}
	return m
}

// open makes a Harness.Open of a memory.
func open(isSync bool, f flaw) func(tb testing.TB, s Settings) Subject {
	return func(tb testing.TB, s Settings) Subject {
		tb.Helper()
		m := newMemory(s, isSync, f)
		tb.Cleanup(func() { close(m.release) })
		var p producer.Producer = &asyncMemory{m}
		if isSync {
			p = &syncMemory{m}
		}
		return Subject{Producer: p, Topic: "memory", Stored: m.stored, Break: m.breakIt}
	}
}

func (m *memory) has(f flaw) bool { return m.flaw == f }

func (m *memory) hang() { <-m.release }

// change changes what mu guards.
func (m *memory) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	close(m.changed)
	m.changed = make(chan struct{})
}

// await waits until a condition holds, which is checked with mu held, or until
// end. It reports whether it holds.
func (m *memory) await(end <-chan struct{}, holds func() bool) bool {
	for ended := false; ; {
		m.mu.Lock()
		ok, changed := holds(), m.changed
		m.mu.Unlock()
		if ok || ended {
			return ok
		}
		select {
		case <-changed:
		case <-end:
			ended = true // and look once more
		}
	}
}

func (m *memory) stored(context.Context) ([]*sarama.ConsumerMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*sarama.ConsumerMessage(nil), m.log...), nil
}

func (m *memory) breakIt() (heal func()) {
	m.change(func() { m.broken = true })
	return func() { m.change(func() { m.broken = false }) }
}

// Stats returns the figures.
func (m *memory) Stats() producer.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.InFlight = int64(len(m.flying))
	if m.has(countsTwice) {
		s.Delivered += int64(len(m.pending))
	}
	return s
}

// asyncMemory is a memory with what an Async has more.
type asyncMemory struct{ *memory }

func (m *asyncMemory) TrySend(ctx context.Context, msg *sarama.ProducerMessage) error {
	if m.has(trySendTakesAnything) {
		ctx = context.WithoutCancel(ctx)
	}
	_, err := m.accept(ctx, msg, nil, !m.has(trySendWaits))
	return err
}

func (m *asyncMemory) SendFunc(ctx context.Context, msg *sarama.ProducerMessage, done producer.ResultFunc) error {
	_, err := m.accept(ctx, msg, done, false)
	return err
}

// syncMemory is a memory with what a Sync has more.
type syncMemory struct{ *memory }

func (m *syncMemory) SendAll(ctx context.Context, msgs []*sarama.ProducerMessage) error {
	errs := make([]error, len(msgs))
	failed := false
	for i, msg := range msgs {
		if errs[i] = m.Send(ctx, msg); errs[i] != nil {
			failed = true
			if m.has(sendAllStops) {
				break
			}
		}
	}
	if !failed {
		return nil
	}
	err := &producer.BatchError{Errs: errs}
	if m.has(sendAllForgetsWhich) {
		err.Errs = err.Unwrap()
	}
	return err
}
