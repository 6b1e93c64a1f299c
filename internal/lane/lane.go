// Package lane keeps one queue per topic between Send and the transport, so
// that a topic which cannot make progress holds up nothing but itself.
//
// A transport takes no more records of one topic than fit into its channels;
// the rest waits here, in order, and can still be withdrawn. The same queue
// parks the records of a topic that is not known yet.
package lane

import (
	"math"
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
	// decided counts those of them whose outcome was decided without the
	// transport. For the others it is worth asking the cluster again and again.
	decided atomic.Int64

	// ready says that the lane is in the feeder's list, or about to be.
	ready atomic.Bool
	// soon says that ready will be raised after pause.
	soon atomic.Bool

	// users counts the senders that have looked the lane up and not put a
	// record into it yet. It becomes removed when the lane is taken out of the
	// set; it is never both.
	users atomic.Int64

	// known says that the cluster has said once that there is such a topic.
	known  atomic.Bool
	counts tally

	mu    sync.Mutex // held for a few instructions
	queue record.Queue
	// checking says that a goroutine is asking the cluster for the topic.
	checking bool
}

// removed is the value of users in a lane that is no longer in the set: so low
// that no number of senders who come too late makes it positive.
const removed = math.MinInt64 / 2

// use counts a sender in. It reports false if the lane was taken out of the set.
func (l *Lane) use() bool {
	if l.users.Add(1) > 0 {
		return true
	}
	l.users.Add(-1)
	return false
}

// Leave counts a sender out.
func (l *Lane) Leave() {
	if l.users.Add(-1) == 0 {
		l.tidy()
	}
}

// tidy takes a lane out of the set that is not known to have a topic and that
// nothing is left of: misspelt topics must not fill the memory. Called when one
// of the things that keep a lane may have been the last.
func (l *Lane) tidy() {
	if l.open.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open.Load() || l.checking || l.queue.Len() > 0 || l.inside.Load() != 0 ||
		l.room != nil && l.room.Messages() != 0 {
		return
	}
	if l.users.CompareAndSwap(0, removed) {
		l.set.lanes.CompareAndDelete(l.topic, l)
		l.counts.moveTo(&l.set.others)
	}
}

var _ record.Lane = (*Lane)(nil)

// Topic is the lane's.
func (l *Lane) Topic() string { return l.topic }

// Room is the topic's part of the budget, nil if it has no limit.
func (l *Lane) Room() *budget.Budget { return l.room }

// exists marks the topic as one that exists: records may pass.
func (l *Lane) exists() {
	l.known.Store(true)
	l.open.Store(true)
}

// suspect makes the next records wait until the topic was asked for again.
func (l *Lane) suspect() {
	l.mu.Lock()
	l.open.Store(false)
	// What is queued already has nobody else to ask for it.
	check := l.queue.Len() > 0 && !l.checking
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
	inside := l.inside.Add(-1)
	switch {
	case l.backlog.Load() == 0:
	case inside <= l.set.low:
		l.set.wake(l)
	default:
		l.set.wakeSoon(l)
	}
}

// push queues a record. check is true if the caller has to start asking for the
// topic, first if the feeder was idle. It reports not ok for a record that was
// given up on its way here: nobody would take it out of the queue again.
func (l *Lane) push(r *record.Record) (check, first, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Completed() {
		return false, false, false
	}
	first = l.backlog.Add(1) == 1
	l.queue.Push(r)
	if !l.open.Load() && !l.checking {
		l.checking = true
		return true, first, true
	}
	return false, first, true
}

// pop takes the oldest records and places in the transport for them, as many as
// there are of both and into has room for.
func (l *Lane) pop(into []*record.Record) []*record.Record {
	if !l.open.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.takeUpTo(int64(min(cap(into), l.queue.Len())))
	into = into[:0]
	for range n {
		into = append(into, l.queue.Pop())
	}
	return into
}

// takeUpTo takes up to n places for the feeder. It needs no wake-up if there are
// fewer: the lane was not ready any more when it looked, so that whoever gives a
// place back from here on makes it ready again.
func (l *Lane) takeUpTo(n int64) int64 {
	for {
		inside := l.inside.Load()
		n = min(n, l.set.limit-inside)
		if n <= 0 {
			return 0
		}
		if l.inside.CompareAndSwap(inside, inside+n) {
			return n
		}
	}
}

// Withdraw takes a record out of the queue. False: it is not there (any more).
func (l *Lane) Withdraw(r *record.Record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.queue.Remove(r) {
		return false
	}
	l.backlog.Add(-1)
	return true
}

// Returned gives a record's place in the transport back.
func (l *Lane) Returned(completed bool) {
	if completed {
		l.decided.Add(-1) // before inside is lowered, or live might miss one
	}
	l.leave()
	l.tidy()
}

// Completed says that the outcome of a record in the transport was decided
// without it.
func (l *Lane) Completed() { l.decided.Add(1) }

// Recalled takes Completed back for a record that was never in the transport.
func (l *Lane) Recalled() { l.decided.Add(-1) }

// live is how many records the transport has whose outcome is open.
func (l *Lane) live() int64 { return l.inside.Load() - l.decided.Load() }

// Free gives room in the topic's part of the budget back.
func (l *Lane) Free(size int64) {
	if l.room != nil {
		l.room.Release(size)
		l.tidy()
	}
}

// drain ends the check and returns what was queued.
func (l *Lane) drain() (records []*record.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checking = false
	for r := l.queue.Pop(); r != nil; r = l.queue.Pop() {
		l.backlog.Add(-1)
		records = append(records, r)
	}
	return records
}
