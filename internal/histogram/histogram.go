// Package histogram counts durations in buckets whose bounds are round numbers,
// so that coarser histograms, with bounds of which each is one of these, can be
// had from it without a guess.
package histogram

import (
	"math"
	"sort"
	"sync/atomic"
	"time"
)

const (
	perDecade = 32
	shortest  = 10 * time.Microsecond
	decades   = 8 // up to 1,000 s
	// Buckets is how many there are: the first up to shortest, the last for all
	// that is longer than the last bound.
	Buckets = decades*perDecade + 2
)

// bounds are the upper bounds, inclusive, of all buckets but the last: 10, 11, …
// 19, 20, 22.5, … 47.5, 50, 55, … 95 µs, and so on for each power of ten. A
// bucket is no wider than an eighth of its bound.
var bounds = func() (all [Buckets - 1]time.Duration) { //nolint:gochecknoglobals // a table, never written to
	i := 0
	for decade := shortest; i < decades*perDecade; decade *= 10 {
		for tenth := decade; tenth < 10*decade; i++ {
			all[i] = tenth
			switch {
			case tenth < 2*decade:
				tenth += decade / 10
			case tenth < 5*decade:
				tenth += decade / 4
			default:
				tenth += decade / 2
			}
		}
	}
	all[i] = all[0] * time.Duration(math.Pow10(decades))
	return all
}()

// Bound is the upper bound of a bucket, inclusive. The last has none: then it
// is the longest duration there is.
func Bound(bucket int) time.Duration {
	if bucket >= len(bounds) {
		return math.MaxInt64
	}
	return bounds[bucket]
}

// bucketOf is the bucket of a duration.
func bucketOf(d time.Duration) int {
	return sort.Search(len(bounds), func(i int) bool { return d <= bounds[i] })
}

// Histogram counts durations. All methods may be called from any goroutine; the
// zero value is empty.
type Histogram struct {
	counts [Buckets]atomic.Int64
	sum    atomic.Int64
}

// Snapshot is a histogram at one moment.
type Snapshot struct {
	Counts [Buckets]int64
	Sum    time.Duration
}

// Read returns what was counted until now.
func (h *Histogram) Read() *Snapshot {
	s := &Snapshot{Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}

// Run adds durations to a histogram, many at a time: those that follow each other
// lie in the same bucket, as a rule. For one goroutine. Flush ends it.
type Run struct {
	to     *Histogram
	bucket int
	count  int64
	sum    time.Duration
	// The bucket is for what is longer than above and not longer than bound.
	above, bound time.Duration
}

// Begin returns an empty Run.
func (h *Histogram) Begin() Run { return Run{to: h, above: -1, bound: -1} }

// Add counts a duration.
func (r *Run) Add(d time.Duration) {
	d = max(d, 0) // a clock that was set back
	if d <= r.above || d > r.bound {
		r.flushBucket()
		r.bucket = bucketOf(d)
		r.above, r.bound = -1, Bound(r.bucket)
		if r.bucket > 0 {
			r.above = Bound(r.bucket - 1)
		}
	}
	r.count++
	r.sum += d
}

func (r *Run) flushBucket() {
	if r.count > 0 {
		r.to.counts[r.bucket].Add(r.count)
		r.count = 0
	}
}

// Flush puts what was added into the histogram.
func (r *Run) Flush() {
	r.flushBucket()
	if r.sum > 0 {
		r.to.sum.Add(int64(r.sum))
		r.sum = 0
	}
}
