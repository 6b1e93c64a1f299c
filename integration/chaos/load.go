package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
)

// load sends numbered messages at a steady rate, and keeps their history.
type load struct {
	topic      string
	client     Client
	heap       *heap
	pulse      *pulse
	ours       bool // its errors are DeliveryErrors
	goroutines int
	rate       int    // messages a second, all goroutines together
	keys       int    // of each goroutine; 1: all goroutines have the same
	filling    []byte // of large values, in blocks of their size
	start      time.Time

	ids     atomic.Int64
	pausing atomic.Bool
	stop    chan struct{}
	senders sync.WaitGroup

	mu       sync.Mutex
	history  []*sent
	outcomes int
	acks     []ack // in the order of their times
	// open is how many accepted messages have no outcome, mostOpen the most of it.
	open, mostOpen int
}

// sent is the history of a message with its times, since the start.
type sent struct {
	judge.Message
	began, returned time.Duration // Send
	ended           time.Duration // the first outcome
}

// ack is when a message of a partition was acknowledged, since the start.
type ack struct {
	partition int32
	at        time.Duration
}

// keys is how many keys each goroutine has: its messages of one key are in order.
const keys = 20

// size is how many messages the history has.
func (l *load) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.history)
}

// tick is how often a goroutine sends what is due.
const tick = 10 * time.Millisecond

func (l *load) begin() {
	l.stop = make(chan struct{})
	for sender := range l.goroutines {
		l.senders.Go(func() { l.send(sender) })
	}
}

// send is one goroutine. What could not be sent in time is sent later, as long
// as the producer takes it: a service does not forget its requests either.
func (l *load) send(sender int) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	perSecond := float64(l.rate) / float64(l.goroutines)
	began, sent := time.Now(), 0
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
		if l.pausing.Load() {
			began, sent = time.Now(), 0
			continue
		}
		for due := int(time.Since(began).Seconds() * perSecond); sent < due; sent++ {
			l.one(sender, sent)
			select {
			case <-l.stop:
				return
			default:
			}
		}
	}
}

func (l *load) one(sender, n int) {
	key := []byte("one")
	if l.keys > 1 {
		key = fmt.Appendf(nil, "%d-%d", sender, n%l.keys)
	}
	m := &sent{Message: judge.Message{ID: int(l.ids.Add(1)), Sender: sender, Topic: l.topic, Key: key}}
	m.Value = judge.Payload(m.ID, m.Sender, m.Topic, m.Key, l.block(m.ID)...)
	m.began = time.Since(l.start)
	l.mu.Lock()
	l.history = append(l.history, m)
	l.mu.Unlock()
	err := l.client.Send(l.topic, m.Key, m.Value, func(partition int32, offset int64, err error) {
		l.done(m, partition, offset, err)
	})
	returned := time.Since(l.start)
	l.mu.Lock()
	defer l.mu.Unlock()
	m.Answered, m.Returned, m.returned = true, err, returned
	if m.Accepted() {
		l.open++ // or the outcome was there before
		l.mostOpen = max(l.mostOpen, l.open)
	}
}

// block is what fills the value of a message.
func (l *load) block(id int) []byte {
	if l.filling == nil {
		return nil
	}
	at := id * large % len(l.filling)
	return l.filling[at : at+large]
}

func (l *load) done(m *sent, partition int32, offset int64, err error) {
	if err != nil && !l.ours && judge.DeliveryError(err) == nil {
		// A peer's says nothing on whether the message is stored.
		err = &producer.DeliveryError{Topic: l.topic, Partition: -1, Status: producer.PossiblyPersisted, Err: err}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := time.Since(l.start) // under the lock, so that acks are in order
	if len(m.Outcomes) == 0 {
		m.ended = at
		l.open--
	}
	m.Outcomes = append(m.Outcomes, judge.Outcome{Err: err, Partition: partition, Offset: offset, Order: l.outcomes})
	l.outcomes++
	if err == nil {
		l.acks = append(l.acks, ack{partition, at})
	}
}

// end stops sending. It waits for goroutines whose Send waits, but not for ever:
// an error says that some are left.
func (l *load) end(within time.Duration) error {
	close(l.stop)
	return ended(within, l.senders.Wait)
}

// snapshot is the history, in the order of ids.
func (l *load) snapshot() []judge.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	history := make([]judge.Message, len(l.history))
	for i, m := range l.history {
		history[i] = m.Message
		history[i].Outcomes = slices.Clone(m.Outcomes)
	}
	slices.SortFunc(history, func(a, b judge.Message) int { return a.ID - b.ID })
	return history
}

// partitions is how many get messages.
func (l *load) partitions() int {
	if l.keys == 1 {
		return 1
	}
	return partitions
}

// gap is the longest time without an acknowledgement in any partition, from its
// first one until a moment.
func (l *load) gap(until time.Duration) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := map[int32]time.Duration{}
	for _, a := range l.acks {
		if a.at > until {
			break
		}
		if before, ok := last[a.partition]; ok {
			longest = max(longest, a.at-before)
		}
		last[a.partition] = a.at
	}
	if len(last) < l.partitions() {
		return until // one had none at all
	}
	for _, at := range last {
		longest = max(longest, until-at)
	}
	return longest
}

// recovery is how long after healed the last partition had its first
// acknowledgement, ok is false if one had none.
func (l *load) recovery(healed time.Duration) (longest time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := map[int32]bool{}
	from, _ := slices.BinarySearchFunc(l.acks, healed, func(a ack, at time.Duration) int { return cmp.Compare(a.at, at) })
	for _, a := range l.acks[from:] {
		if !first[a.partition] {
			first[a.partition] = true
			longest = max(longest, a.at-healed)
		}
	}
	return longest, len(first) == l.partitions()
}

// awaitRecovery is recovery, once every partition has recovered or limit is over.
func (l *load) awaitRecovery(ctx context.Context, healed, limit time.Duration) (took time.Duration, ok bool) {
	for {
		took, ok = l.recovery(healed)
		if ok || time.Since(l.start) > healed+limit || sleep(ctx, tick) != nil {
			return took, ok
		}
	}
}

// longestSend is the longest of the calls that have returned.
func (l *load) longestSend() (longest span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.history {
		if m.Answered {
			longest = longer(longest, span{m.began, m.returned})
		}
	}
	return longest
}

// slowest is the longest time from the acceptance of a message until its
// outcome. If Send returns the outcome, acceptance is when it was called.
func (l *load) slowest(sync bool) (longest span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.history {
		if !m.Accepted() || len(m.Outcomes) == 0 {
			continue
		}
		accepted := m.returned
		if sync {
			accepted = m.began
		}
		longest = longer(longest, span{accepted, m.ended})
	}
	return longest
}

// fastest is the shortest time from a Send since a moment until the message was
// acknowledged; false if none was.
func (l *load) fastest(since time.Duration) (shortest time.Duration, some bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shortest = time.Duration(math.MaxInt64)
	for _, m := range l.history {
		if m.began >= since && len(m.Outcomes) > 0 && m.Outcomes[0].Err == nil {
			shortest, some = min(shortest, m.ended-m.began), true
		}
	}
	return shortest, some
}

// refused is how many were refused for another reason than that the producer was
// closed at that moment.
func (l *load) refused(closed time.Duration) (count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.history {
		if m.Answered && !m.Accepted() && (m.returned < closed || !errors.Is(m.Returned, producer.ErrClosed)) {
			count++
		}
	}
	return count
}

// after is how many that were sent since a moment were accepted.
func (l *load) after(since time.Duration) (count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.history {
		if m.began >= since && m.Accepted() {
			count++
		}
	}
	return count
}

// settle waits until every accepted message has an outcome, but not for long.
func (l *load) settle(ctx context.Context, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		l.mu.Lock()
		open := l.open
		l.mu.Unlock()
		if open == 0 || sleep(ctx, tick) != nil {
			return
		}
	}
}

// early is how many messages failed before their time was over, and before a
// moment at which Close may give them up.
func (l *load) early(timeout, closed time.Duration) (count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.history {
		if m.Accepted() && len(m.Outcomes) > 0 && m.Outcomes[0].Err != nil && m.ended-m.began < timeout && m.ended < closed {
			count++
		}
	}
	return count
}
