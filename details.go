package producer

import (
	"iter"
	"math"
	"time"

	"github.com/saramakit/producer/internal/histogram"
)

// Details are all figures of a producer at one moment, for those who export or
// show them: packages prom and otel of this repository, and livepage. To read
// them takes some microseconds, and nothing is counted that would not be
// without.
//
// Figures that belong together may differ by the messages that are just on their
// way from one to the other; those of Stats never do.
type Details struct {
	Stats

	State   State
	Started time.Time // when the producer was made
	// LastOutcome is when a broker's answer, or the failure of a connection,
	// last decided messages; zero: not yet.
	LastOutcome time.Time

	MaxBuffered      int64 // the limit of Buffered, see WithMaxBuffered
	MaxBufferedBytes int64 // the limit of BufferedBytes, see WithMaxBufferedBytes

	// Latency is of delivered messages: from the acceptance to the answer of the
	// broker. The wait for room before and callbacks after are not in it.
	Latency Latency

	Failures   map[string]int64 // Failed by ErrorKind
	Rejections map[string]int64 // Rejected by ErrorKind

	// Topics are those that the cluster knows, by name. One that is deleted, and
	// of which nothing is left, is taken out.
	Topics []TopicStats
	// OtherTopics is the sum of all others: of those that the cluster has not
	// said to know yet, that do not exist, or that were deleted. So the figures of
	// all topics add up to those of Stats, however many names are misspelt.
	OtherTopics TopicStats

	// SlowCallback is the function that was last reported for being slow, as
	// the runtime names it; empty: none was.
	SlowCallback string

	Settings []Setting // of the options, with nothing secret in them
}

// State is what a producer is doing.
type State string

// The states of a producer, in this order.
const (
	StateRunning State = "running"
	StateClosing State = "closing" // Close has begun
	StateClosed  State = "closed"  // Close has ended
)

// TopicStats are the figures of one topic. Accepted == Delivered + Failed +
// InFlight, each as in [Stats].
type TopicStats struct {
	Topic                                 string // empty for OtherTopics
	Accepted, Delivered, Failed, InFlight int64
	Failures                              map[string]int64 // Failed by ErrorKind; nil: none
}

// Setting is one setting of a producer, as text.
type Setting struct {
	Name  string // of the option, without "With"
	Value string
}

// Latency is a histogram of durations. Its buckets are an eighth wide at most,
// from 10 µs to 1,000 s, and their bounds are round numbers. The zero value is
// empty.
type Latency struct {
	Count int64
	Sum   time.Duration

	buckets *histogram.Snapshot // nil: empty
}

func newLatency(s *histogram.Snapshot) Latency {
	l := Latency{Sum: s.Sum, buckets: s}
	for _, n := range &s.Counts {
		l.Count += n
	}
	return l
}

// Quantile is the duration within which that part of all is, between 0 and 1:
// the upper bound of its bucket. It is 0 if there are none, and the longest
// Duration if it is more than 1,000 s.
func (l Latency) Quantile(q float64) time.Duration {
	if l.Count == 0 {
		return 0
	}
	rank := max(1, int64(math.Ceil(q*float64(l.Count))))
	for bound, count := range l.Cumulative() {
		if count >= rank {
			return bound
		}
	}
	return math.MaxInt64
}

// Cumulative yields the upper bound of each bucket, inclusive, and how many
// durations are not longer than it. The last bound is the longest Duration there
// is, and the last count is Count.
func (l Latency) Cumulative() iter.Seq2[time.Duration, int64] {
	return func(yield func(time.Duration, int64) bool) {
		sum := int64(0)
		for i := range histogram.Buckets {
			if l.buckets != nil {
				sum += l.buckets.Counts[i]
			}
			if !yield(histogram.Bound(i), sum) {
				return
			}
		}
	}
}

// Since is what was added after an earlier state of the same producer.
func (l Latency) Since(earlier Latency) Latency {
	if earlier.buckets == nil || l.buckets == nil {
		return l
	}
	added := &histogram.Snapshot{Sum: l.Sum - earlier.Sum}
	for i := range added.Counts {
		added.Counts[i] = l.buckets.Counts[i] - earlier.buckets.Counts[i]
	}
	return newLatency(added)
}
