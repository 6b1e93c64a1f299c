package lane

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Counts are the messages of a topic.
type Counts struct {
	Accepted, Delivered, Failed int64
	Failures                    map[string]int64 // Failed by kind; nil: none
}

// tally counts the messages of a topic.
type tally struct {
	accepted, delivered atomic.Int64

	mu       sync.Mutex       // held for a few instructions
	failures map[string]int64 // by kind
}

func (t *tally) fail(kind string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failures == nil {
		t.failures = make(map[string]int64)
	}
	t.failures[kind] += n
}

// read returns what was counted. Accepted is read last, so that what is in
// flight, the difference, is never negative.
func (t *tally) read() (c Counts) {
	c.Delivered = t.delivered.Load()
	t.mu.Lock()
	c.Failures = maps.Clone(t.failures)
	t.mu.Unlock()
	for _, n := range c.Failures {
		c.Failed += n
	}
	c.Accepted = t.accepted.Load()
	return c
}

// moveTo moves what was counted to another tally. What is counted meanwhile is
// moved by the next call.
func (t *tally) moveTo(to *tally) {
	t.mu.Lock()
	failures := t.failures
	t.failures = nil
	t.mu.Unlock()
	to.accepted.Add(t.accepted.Swap(0))
	to.delivered.Add(t.delivered.Swap(0))
	for kind, n := range failures {
		to.fail(kind, n)
	}
}

// Delivered counts messages of which the callbacks have returned.
func (l *Lane) Delivered(n int64) {
	l.counts.delivered.Add(n)
	l.counted()
}

// Failed counts one that failed for a reason of that kind.
func (l *Lane) Failed(kind string) {
	l.counts.fail(kind, 1)
	l.counted()
}

// counted moves what was just counted if the lane is no longer in the set.
// Either this sees that it was taken out, or who takes it out sees the count.
func (l *Lane) counted() {
	if l.users.Load() < 0 {
		l.counts.moveTo(&l.set.others)
	}
}

// Counts returns the counts of the topics that the cluster knows or knew, by
// name, and the sum of those of all others, and of what is no longer in the set.
func (s *Set) Counts() (known map[string]Counts, others Counts) {
	known = make(map[string]Counts)
	var sum tally
	for _, l := range s.lanes.Range {
		l := l.(*Lane) //nolint:errcheck,forcetypeassert // the map holds nothing else
		if l.known.Load() {
			known[l.topic] = l.counts.read()
			continue
		}
		sum.add(l.counts.read())
	}
	sum.add(s.others.read())
	return known, sum.read()
}

func (t *tally) add(c Counts) {
	t.delivered.Add(c.Delivered)
	t.accepted.Add(c.Accepted)
	for kind, n := range c.Failures {
		t.fail(kind, n)
	}
}
