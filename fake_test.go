package producer

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
	"github.com/saramakit/producer/internal/transport"
)

// fake is a transport without brokers: a test decides what becomes of each
// record. It gives records back from whatever goroutine the test calls it on.
type fake struct {
	c *core

	mu     sync.Mutex
	held   []*record.Record // submitted and not returned, in order
	all    []*record.Record // ever submitted
	offset int64

	auto    bool                        // deliver each record as it comes
	submit  func(*record.Record)        // called for each record as it comes, in place of auto
	answers func(topic string) error    // what Ask says; nil: every topic exists
	pings   func(context.Context) error // what Ping says; nil: nil
	stuck   bool                        // records do not come back, not even after Abort
	onAbort func(*record.Record)        // called by Abort for each record that is held

	aborted, closing bool
	ended            chan struct{}
}

func (f *fake) Submit(r *record.Record) {
	f.mu.Lock()
	f.held = append(f.held, r)
	f.all = append(f.all, r)
	auto, submit := f.auto, f.submit
	f.mu.Unlock()
	switch {
	case submit != nil:
		submit(r)
	case auto:
		f.deliver(r)
	}
}

func (f *fake) Ask(_ context.Context, topic string) error {
	if f.answers == nil {
		return nil
	}
	return f.answers(topic)
}

func (f *fake) Ping(ctx context.Context) error {
	if f.pings == nil {
		return nil
	}
	return f.pings(ctx)
}

func (f *fake) Abort() {
	f.mu.Lock()
	f.aborted = true
	f.mu.Unlock()
	if f.onAbort != nil {
		for _, r := range f.holding() {
			f.onAbort(r)
		}
	}
}

// Close gives back what is held, as sarama does when its connections are cut,
// unless the test wants it stuck.
func (f *fake) Close() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return f.ended
	}
	f.closing = true
	if f.stuck {
		return f.ended
	}
	go func() {
		for _, r := range f.holding() {
			f.fail(r, sarama.ErrShuttingDown)
		}
		close(f.ended)
	}()
	return f.ended
}

// holding returns the records that were submitted and not returned, in order.
func (f *fake) holding() []*record.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*record.Record(nil), f.held...)
}

// submitted returns all records that ever came, in order.
func (f *fake) submitted() []*record.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*record.Record(nil), f.all...)
}

// batch puts a record into a batch, as sarama does before it sends it. It
// reports whether the record let itself be encoded.
func (f *fake) batch(r *record.Record) bool {
	r.Msg.Partition, r.Placed = 3, true
	_, err := r.Msg.Value.Encode()
	return err == nil
}

// deliver stores a record. A record that refuses comes back failed.
func (f *fake) deliver(r *record.Record) {
	if r.Attempts() == 0 && !f.batch(r) {
		f.fail(r, record.ErrRefused)
		return
	}
	f.mu.Lock()
	r.Msg.Offset = f.offset
	f.offset++
	f.mu.Unlock()
	f.giveBack(transport.Outcome{Record: r})
}

// fail gives a record back that is not stored.
func (f *fake) fail(r *record.Record, err error) {
	f.giveBack(transport.Outcome{Record: r, Err: err, NotWritten: r.Attempts() == 0})
}

func (f *fake) giveBack(o transport.Outcome) {
	f.mu.Lock()
	for i, r := range f.held {
		if r == o.Record {
			f.held = append(f.held[:i:i], f.held[i+1:]...)
			break
		}
	}
	f.mu.Unlock()
	f.c.returned([]transport.Outcome{o})
}

// newFakeCore returns a core over a fake. The test has to close it.
func newFakeCore(t *testing.T, cfg *config, opts ...Option) (*core, *fake) {
	t.Helper()
	Options(opts).apply(cfg)
	if !cfg.given["WithLogger"] {
		cfg.logger = slog.New(slog.DiscardHandler)
	}
	_, err := cfg.sarama(nil)
	require.NoError(t, err)
	f := &fake{ended: make(chan struct{})}
	c, err := newCore(cfg, func(c *core) (seam, error) {
		f.c = c
		return f, nil
	})
	require.NoError(t, err)
	return c, f
}

func newFakeAsync(t *testing.T, opts ...Option) (*Async, *fake) {
	t.Helper()
	c, f := newFakeCore(t, asyncDefaults(), opts...)
	return &Async{core: c}, f
}

func newFakeSync(t *testing.T, opts ...Option) (*Sync, *fake) {
	t.Helper()
	c, f := newFakeCore(t, syncDefaults(), opts...)
	return &Sync{core: c}, f
}

// implementations runs a property on both producers, each in a bubble of its
// own. p is either one as a Producer.
func implementations(t *testing.T, property func(t *testing.T, open func(t *testing.T, opts ...Option) (Producer, *fake))) {
	t.Helper()
	t.Run("Sync", func(t *testing.T) {
		t.Parallel()
		property(t, func(t *testing.T, opts ...Option) (Producer, *fake) {
			t.Helper()
			return newFakeSync(t, opts...)
		})
	})
	t.Run("Async", func(t *testing.T) {
		t.Parallel()
		property(t, func(t *testing.T, opts ...Option) (Producer, *fake) {
			t.Helper()
			return newFakeAsync(t, opts...)
		})
	})
}

// text is a message for a topic.
func text(topic, value string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}
}

// advance lets virtual time pass and everything that follows from it happen.
// Only in a synctest bubble.
func advance(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the one place where tests sleep, in virtual time
	synctest.Wait()
}
