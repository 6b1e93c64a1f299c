package lane

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/saramakit/producer/internal/record"
)

// errUnknownTopic is what the root calls a topic that does not exist.
var errUnknownTopic = errors.New("no such topic")

const grace = 5 * time.Second

// sink is a transport that keeps what it gets until a test gives it back.
type sink struct {
	mu     sync.Mutex
	sent   []*record.Record
	failed []*record.Record
	cause  error
	asked  []time.Duration // since the start

	start  time.Time
	ask    func(ctx context.Context, topic string) error // nil: every topic exists
	submit func(r *record.Record)                        // called for each record
}

func (k *sink) take(r *record.Record) {
	k.mu.Lock()
	k.sent = append(k.sent, r)
	k.mu.Unlock()
	if k.submit != nil {
		k.submit(r)
	}
}

func (k *sink) fail(records []*record.Record, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed, k.cause = append(k.failed, records...), err
}

func (k *sink) answer(ctx context.Context, topic string) error {
	k.mu.Lock()
	k.asked = append(k.asked, time.Since(k.start))
	k.mu.Unlock()
	if k.ask == nil {
		return nil
	}
	return k.ask(ctx, topic)
}

func (k *sink) all() []*record.Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.sent)
}

// count is how many records came.
func (k *sink) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.sent)
}

func (k *sink) asks() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.asked)
}

func (k *sink) failures() ([]*record.Record, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.failed), k.cause
}

// newSet returns a Set over k that ends with the test. Call it in a bubble.
func newSet(t *testing.T, limit int, k *sink) *Set {
	t.Helper()
	k.start = time.Now()
	s := New(Config{
		Limit: limit, Submit: k.take, Fail: k.fail,
		Checker: Checker{Ask: k.answer, Unknown: errUnknownTopic, Grace: grace},
	})
	t.Cleanup(s.Stop)
	return s
}

// send submits n new records to a lane and returns them.
func send(s *Set, l *Lane, n int) []*record.Record {
	records := make([]*record.Record, n)
	for i := range records {
		records[i] = &record.Record{}
		records[i].Msg.Topic = l.topic
		s.Submit(l, records[i])
	}
	return records
}

// always is a cluster with one answer.
func always(err error) func(context.Context, string) error {
	return func(context.Context, string) error { return err }
}

// advance lets virtual time pass and everything that follows from it happen.
func advance(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the one place where tests sleep, in virtual time
	synctest.Wait()
}

// of is the lane of a topic, in use for the rest of the test.
func of(s *Set, topic string) *Lane {
	if l := s.Find(topic); l != nil {
		return l
	}
	return s.Use(topic)
}
