package dispatch

import (
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/record"
)

// event is what a handler was told.
type event struct {
	what string // "call", "done", "failed", "slow"
	r    *record.Record
	step int
}

// handler notes all it is told, and does what a test wants.
type handler struct {
	call   func(r *record.Record, step int) bool // nil: one step
	failed func(f Failure)
	slow   func()

	mu       sync.Mutex
	events   []event
	failures []Failure
	slowFor  []time.Duration
}

func (h *handler) note(what string, r *record.Record, step int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event{what, r, step})
}

func (h *handler) Call(r *record.Record, step int) bool {
	h.note("call", r, step)
	return h.call != nil && h.call(r, step)
}

func (h *handler) Done(r *record.Record) { h.note("done", r, 0) }

func (h *handler) Failed(r *record.Record, step int, f Failure) {
	h.note("failed", r, step)
	h.mu.Lock()
	h.failures = append(h.failures, f)
	h.mu.Unlock()
	if h.failed != nil {
		h.failed(f)
	}
}

func (h *handler) Slow(r *record.Record, step int, running time.Duration) {
	h.note("slow", r, step)
	h.mu.Lock()
	h.slowFor = append(h.slowFor, running)
	h.mu.Unlock()
	if h.slow != nil {
		h.slow()
	}
}

// all returns what the handler was told.
func (h *handler) all() []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

// of returns the records of one kind of event.
func (h *handler) of(what string) []*record.Record {
	var records []*record.Record
	for _, e := range h.all() {
		if e.what == what {
			records = append(records, e.r)
		}
	}
	return records
}

// decided is a record whose outcome is known.
func decided(partition int32) *record.Record {
	return &record.Record{Msg: sarama.ProducerMessage{Topic: "t", Partition: partition}}
}

// several are records of that many partitions, in turn.
func several(n, partitions int) []*record.Record {
	records := make([]*record.Record, n)
	for i := range records {
		records[i] = decided(int32(i % partitions))
	}
	return records
}

func enqueueAll(d *Dispatcher, records []*record.Record) {
	for _, r := range records {
		d.Enqueue(r)
	}
}

// advance lets virtual time pass and everything that follows from it happen.
func advance(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the one place where tests sleep, in virtual time
	synctest.Wait()
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
