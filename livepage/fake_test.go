package livepage

import (
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/histogram"
)

// fake is a Source whose figures a test sets.
type fake struct {
	mu      sync.Mutex
	d       producer.Details
	latency histogram.Histogram
	reads   int
}

// set changes the figures.
func (f *fake) set(change func(d *producer.Details)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.d)
}

// deliver counts n messages as delivered, each after d.
func (f *fake) deliver(n int64, d time.Duration) {
	f.set(func(details *producer.Details) {
		details.Accepted += n
		details.Delivered += n
		run := f.latency.Begin()
		for range n {
			run.Add(d)
		}
		run.Flush()
	})
}

// fail counts n messages as failed.
func (f *fake) fail(n int64, kind string) {
	f.set(func(d *producer.Details) {
		d.Accepted += n
		d.Failed += n
		if d.Failures == nil {
			d.Failures = make(map[string]int64)
		}
		d.Failures[kind] += n
	})
}

// timesRead is how often Details was called.
func (f *fake) timesRead() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

func (f *fake) Details() producer.Details {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	d := f.d
	d.Topics = slices.Clone(d.Topics)
	d.Failures, d.Rejections = maps.Clone(d.Failures), maps.Clone(d.Rejections)
	setLatency(&d.Latency, f.latency.Read())
	return d
}

// setLatency does what only the root package can do: a Latency is made there, of
// figures of its own.
func setLatency(l *producer.Latency, s *histogram.Snapshot) {
	l.Sum = s.Sum
	for _, n := range &s.Counts {
		l.Count += n
	}
	buckets := reflect.ValueOf(l).Elem().FieldByName("buckets")
	reflect.NewAt(buckets.Type(), unsafe.Pointer(buckets.UnsafeAddr())).Elem().Set(reflect.ValueOf(s))
}
