// Package registry knows every record that was accepted and whose callbacks
// have not returned. It counts them, finds the ones that are too old, and tells
// when all those accepted before a moment are done.
package registry

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/saramakit/producer/internal/record"
)

// shards keeps senders, the drain and the callback workers out of each other's
// way: at a million messages a second one lock would be taken every 500 ns.
// A power of two.
const shards = 8

// Registry holds records from their acceptance until their callbacks have
// returned. All methods may be called from any goroutine.
type Registry struct {
	born   time.Time // what Record.Accepted counts from: a Duration is a third of a Time
	shards [shards]shard
}

// shard is a part of the registry. Its records are in the order of acceptance.
type shard struct {
	mu sync.Mutex // held for a few instructions; never over a wait or a call-back

	records record.Queue
	// counts is consistent at any time the lock is free:
	// Accepted == Delivered + Failed + InFlight, in the shard and so in any sum.
	counts Counts
	// marks are the Flush calls whose part of this shard is not done, oldest
	// first.
	marks []*Mark

	_ [64]byte // the next shard's lock lies in another cache line
}

// Counts are the messages of a producer. Accepted == Delivered + Failed +
// InFlight holds in every value that Counts returns.
type Counts struct {
	Accepted, Delivered, Failed, InFlight int64
}

// New returns an empty Registry.
func New() *Registry { return &Registry{born: time.Now()} }

// Now is the present moment, as Record.Accepted is given.
func (g *Registry) Now() time.Duration { return time.Since(g.born) }

// At is the moment that Now gave.
func (g *Registry) At(now time.Duration) time.Time { return g.born.Add(now) }

// Age is how long ago a record was accepted.
func (g *Registry) Age(r *record.Record) time.Duration { return g.Now() - r.Accepted }

// Add takes a record in that was accepted at that time. It must be called once
// for a record, before anybody else knows it.
func (g *Registry) Add(r *record.Record, at time.Time) {
	r.Accepted = at.Sub(g.born)
	r.Shard = uint8(rand.Uint32() % shards)
	s := &g.shards[r.Shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records.Push(r)
	s.counts.Accepted++
	s.counts.InFlight++
}

// Finish lets a record go: its callbacks have returned. It must be called once
// for a record that was added.
func (g *Registry) Finish(r *record.Record, delivered bool) {
	s := &g.shards[r.Shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish(r)
	if delivered {
		s.counts.Delivered++
	} else {
		s.counts.Failed++
	}
	s.reach(r.Shard)
}

// FinishAll is Finish for some records that were delivered, with one lock for
// those of a shard.
func (g *Registry) FinishAll(records []*record.Record) {
	var of [shards]int
	for _, r := range records {
		of[r.Shard]++
	}
	for i := range g.shards {
		if of[i] == 0 {
			continue
		}
		s := &g.shards[i]
		s.mu.Lock()
		for _, r := range records {
			if int(r.Shard) == i {
				s.finish(r)
			}
		}
		s.counts.Delivered += int64(of[i])
		s.reach(uint8(i))
		s.mu.Unlock()
	}
}

// finish lets a record go.
// Requires: s.mu held.
func (s *shard) finish(r *record.Record) {
	s.records.Remove(r)
	// A message that the user keeps must not keep what it was queued with.
	r.Forget()
	s.counts.InFlight--
}

// reach notes the marks that are reached in this shard, which has that number.
// Requires: s.mu held.
func (s *shard) reach(number uint8) {
	for len(s.marks) > 0 && s.done(s.marks[0].until[number]) {
		s.marks[0].shardDone()
		s.marks = s.marks[1:]
	}
}

// done reports whether all records with lower numbers are.
// Requires: s.mu held.
func (s *shard) done(until uint64) bool {
	_, number := s.records.First()
	return number >= until
}

// Counts returns the counts of one moment per shard.
func (g *Registry) Counts() Counts {
	var sum Counts
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		c := s.counts
		s.mu.Unlock()
		sum.Accepted += c.Accepted
		sum.Delivered += c.Delivered
		sum.Failed += c.Failed
		sum.InFlight += c.InFlight
	}
	return sum
}

// Oldest returns when the oldest record was accepted; false if there is none.
func (g *Registry) Oldest() (at time.Time, ok bool) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		first, _ := s.records.First()
		s.mu.Unlock()
		if first != nil && (!ok || first.Accepted < at.Sub(g.born)) {
			at, ok = g.born.Add(first.Accepted), true
		}
	}
	return at, ok
}

// OldestUndecided returns when the oldest record whose outcome is open was
// accepted; false if there is none.
func (g *Registry) OldestUndecided() (at time.Duration, ok bool) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for _, r := range s.records.All() {
			if !r.Completed() {
				if !ok || r.Accepted < at {
					at, ok = r.Accepted, true
				}
				break
			}
		}
		s.mu.Unlock()
	}
	return at, ok
}

// Undecided returns the records accepted at or before the given time whose
// outcome is open. next is when the oldest of the others was accepted, zero if
// there is none.
func (g *Registry) Undecided(until time.Time) (records []*record.Record, next time.Time) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for _, r := range s.records.All() {
			if r.Completed() {
				continue // its outcome waits for its callbacks
			}
			if r.Accepted > until.Sub(g.born) {
				if next.IsZero() || r.Accepted < next.Sub(g.born) {
					next = g.born.Add(r.Accepted)
				}
				break
			}
			records = append(records, r)
		}
		s.mu.Unlock()
	}
	return records, next
}

// Mark is a moment: it is reached when all records accepted before it are done.
type Mark struct {
	until   [shards]uint64
	pending atomic.Int32 // shards whose part is not done
	reached chan struct{}
}

// Mark returns the present moment.
func (g *Registry) Mark() *Mark {
	m := &Mark{reached: make(chan struct{})}
	m.pending.Store(shards + 1) // one for this loop
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		m.until[i] = s.records.Pushed()
		if s.records.Len() == 0 {
			m.shardDone()
		} else {
			s.marks = append(s.marks, m)
		}
		s.mu.Unlock()
	}
	m.shardDone()
	return m
}

func (m *Mark) shardDone() {
	if m.pending.Add(-1) == 0 {
		close(m.reached)
	}
}

// Reached is closed when the mark is reached.
func (m *Mark) Reached() <-chan struct{} { return m.reached }

// Drop forgets a mark that nobody waits for any more, and returns how many of
// its records are not done.
func (g *Registry) Drop(m *Mark) (left int) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for number := range s.records.All() {
			if number >= m.until[i] {
				break
			}
			left++
		}
		for j, other := range s.marks {
			if other == m {
				// A copy, because Finish moves the start of the slice.
				s.marks = append(s.marks[:j:j], s.marks[j+1:]...)
				break
			}
		}
		s.mu.Unlock()
	}
	return left
}
