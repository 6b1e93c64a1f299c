// Package lane keeps one queue per topic between Send and the transport, so
// that a topic which cannot make progress holds up nothing but itself.
//
// A transport takes no more records of one topic than fit into its channels;
// the rest waits here, in order, and can still be withdrawn. The same queue
// parks the records of a topic that is not known yet.
package lane

import (
	"sync"
	"sync/atomic"

	"github.com/saramakit/producer/internal/budget"
	"github.com/saramakit/producer/internal/record"
)

// Lane is the queue of one topic.
type Lane struct {
	set   *Set
	topic string
	room  *budget.Budget // the topic's part of the budget; nil: no limit

	// open says that the topic is known to exist: records may pass.
	open atomic.Bool
	// backlog counts the records that are queued or just being fed. While it
	// is not 0 a record must queue up too, or it would overtake. It is raised
	// before a record is queued and lowered after the transport has it.
	backlog atomic.Int64
	// inside counts the records that the transport has.
	inside atomic.Int64
	// live counts those of them whose outcome is open: for them it is worth
	// asking the cluster again and again.
	live atomic.Int64

	// ready says that the lane is in the feeder's list, or about to be.
	ready atomic.Bool

	mu          sync.Mutex // held for a few instructions
	first, last *record.Record
	// dead says that the lane was taken out of the set: its topic does not
	// exist. Only senders that had looked it up before still come here.
	dead bool
	// checking says that a goroutine is asking the cluster for the topic.
	checking bool
	// verdict is why it is dead; written before dead is, and never again.
	verdict error
}

var _ record.Lane = (*Lane)(nil)

// Room is the topic's part of the budget, nil if it has no limit.
func (l *Lane) Room() *budget.Budget { return l.room }

// Live is the number of records in the transport whose outcome is open.
func (l *Lane) Live() int64 { return l.live.Load() }

// Suspect makes the next records wait until the cluster has said again that the
// topic exists: the transport was told that it does not.
func (l *Lane) Suspect() {
	l.mu.Lock()
	l.open.Store(false)
	// What is queued already has nobody else to ask for it.
	check := l.first != nil && !l.checking
	l.checking = l.checking || check
	l.mu.Unlock()
	if check {
		l.set.startCheck(l)
	}
}

// pass takes a place in the transport if the record may go straight through.
func (l *Lane) pass() bool {
	if l.backlog.Load() != 0 || !l.open.Load() {
		return false
	}
	return l.take()
}

// take takes a place in the transport.
func (l *Lane) take() bool {
	if l.inside.Add(1) <= l.set.limit {
		l.live.Add(1)
		return true
	}
	// What was taken too much for a moment may have kept the feeder from
	// feeding, so giving it back counts as a return.
	l.leave()
	return false
}

// leave gives a place back. The feeder is told if somebody waits for it:
// whoever queues a record raises backlog before looking at inside, whoever
// leaves lowers inside before looking at backlog, so one of them sees the other.
func (l *Lane) leave() {
	l.inside.Add(-1)
	if l.backlog.Load() > 0 {
		l.set.wake(l)
	}
}

// push queues a record. It reports false if the lane is dead. check is true if
// the caller has to start asking for the topic.
func (l *Lane) push(r *record.Record) (check, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return false, false
	}
	l.backlog.Add(1)
	r.Queued = true
	r.LanePrev = l.last
	if l.last == nil {
		l.first = r
	} else {
		l.last.LaneNext = r
	}
	l.last = r
	if !l.open.Load() && !l.checking {
		l.checking = true
		return true, true
	}
	return false, true
}

// pop takes the oldest record and a place in the transport for it.
func (l *Lane) pop() *record.Record {
	if !l.open.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.first
	if r == nil || !l.takeLocked() {
		return nil
	}
	l.unlink(r)
	return r
}

// takeLocked is take for the feeder, which needs no wake-up: it looks again
// when a place is given back. Requires: mu held.
func (l *Lane) takeLocked() bool {
	if l.inside.Add(1) <= l.set.limit {
		l.live.Add(1)
		return true
	}
	// A place that was given back in between would be missed without this look.
	return l.inside.Add(-1) < l.set.limit && l.takeLocked()
}

// unlink takes a record out of the queue. Requires: mu held, r.Queued.
func (l *Lane) unlink(r *record.Record) {
	if r.LanePrev == nil {
		l.first = r.LaneNext
	} else {
		r.LanePrev.LaneNext = r.LaneNext
	}
	if r.LaneNext == nil {
		l.last = r.LanePrev
	} else {
		r.LaneNext.LanePrev = r.LanePrev
	}
	r.LanePrev, r.LaneNext = nil, nil
	r.Queued = false
}

// Withdraw takes a record out of the queue. False: it is not there (any more).
func (l *Lane) Withdraw(r *record.Record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !r.Queued {
		return false
	}
	l.unlink(r)
	l.backlog.Add(-1)
	return true
}

// Returned gives a record's place in the transport back.
func (l *Lane) Returned(completed bool) {
	if !completed {
		l.live.Add(-1)
	}
	l.leave()
}

// Completed says that the outcome of a record in the transport was decided
// without it.
func (l *Lane) Completed() { l.live.Add(-1) }

// Free gives room in the topic's part of the budget back.
func (l *Lane) Free(size int64) {
	if l.room != nil {
		l.room.Release(size)
	}
}

// drain empties the queue for good and returns what was in it.
func (l *Lane) drain(verdict error) (records []*record.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead, l.verdict, l.checking = true, verdict, false
	for r := l.first; r != nil; r = l.first {
		l.unlink(r)
		l.backlog.Add(-1)
		records = append(records, r)
	}
	return records
}
