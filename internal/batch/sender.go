package batch

import (
	"sync"
	"sync/atomic"
	"time"
)

// sender sends the batches of all partitions that a broker leads, together if
// they are ready together. Its goroutine is the only one that uses the
// connection, which may wait for long: for the broker to be connected, or to
// read.
type sender struct {
	b      *Batcher
	broker Broker

	// broken says that the connection has failed, and is to be closed.
	broken atomic.Bool

	mu      sync.Mutex // held for a few instructions
	waiting []*part
	// messages and bytes are what they hold, as far as it matters.
	messages, bytes int
	// due is when they are to be sent, zero if there are none.
	due time.Time
	// sleeping says that the goroutine waits, until it is woken or it is wakeAt.
	sleeping bool
	wakeAt   time.Time // zero: until it is woken
	over     bool      // its goroutine has ended
	// flying are the requests without an answer, throttled says that the last
	// answer asked for a pause, until is when it ends. See held.
	flying    int
	throttled bool
	until     time.Time

	wake  chan struct{} // holds one signal
	spare []*part       // the goroutine's
}

// idleness is for how long a sender has nothing to do before it ends: brokers
// come and go.
const idleness = 5 * time.Minute

// route gives a partition that has something to send to the sender of its leader,
// or to a goroutine that finds out who that is. The state is waiting, and the
// caller's to change.
func (b *Batcher) route(p *part) {
	broker, err := b.cfg.Cluster.Leader(p.topic, p.id)
	if err != nil || b.aborted() {
		b.mend(p, err)
		return
	}
	for !b.sender(broker).add(p) {
		continue // it has just ended
	}
}

func (b *Batcher) sender(broker Broker) *sender {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.senders[broker]
	if s == nil {
		s = &sender{b: b, broker: broker, wake: make(chan struct{}, 1)}
		b.senders[broker] = s
		b.sending.Go(s.run)
	}
	return s
}

// add puts a partition into the list. It reports false if the sender has ended.
func (s *sender) add(p *part) bool {
	p.mu.Lock()
	p.sender = s
	n, bytes, due := len(p.queue), p.bytes, p.since.Add(s.b.linger)
	urgent := bytes >= p.most || p.batch != nil
	p.mu.Unlock()

	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return false
	}
	s.waiting = append(s.waiting, p)
	s.messages += n
	s.bytes += bytes
	if urgent || s.enough() {
		due = time.Time{}
	}
	s.hasten(due)
	return true
}

// more notes that a partition of the list has more records.
func (s *sender) more(n, bytes int, full bool) {
	s.mu.Lock()
	// Also if the list is empty: the partition may be about to get into it, and was
	// counted without these.
	s.messages += n
	s.bytes += bytes
	if len(s.waiting) == 0 || !full && !s.enough() {
		s.mu.Unlock()
		return
	}
	s.hasten(time.Time{})
}

// enough reports whether there is so much that it need not linger.
func (s *sender) enough() bool {
	flush := &s.b.cfg.Sarama.Producer.Flush
	return flush.Messages > 0 && s.messages >= flush.Messages || flush.Bytes > 0 && s.bytes >= flush.Bytes
}

// hasten sees to it that what is in the list is sent at that time, or before.
// Requires: mu held, which it lets go of.
func (s *sender) hasten(due time.Time) {
	if len(s.waiting) == 1 || due.Before(s.due) {
		s.due = due
	}
	wake := s.sleeping && (s.wakeAt.IsZero() || s.due.Before(s.wakeAt))
	if wake {
		s.sleeping = false
	}
	s.mu.Unlock()
	if wake {
		s.signal()
	}
}

func (s *sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next waits until there is something to send and returns the partitions, nil if
// the sender is to end.
func (s *sender) next() []*part {
	timer := time.NewTimer(idleness)
	defer timer.Stop()
	timeout := false
	var looked time.Time // or when it was held first
	for {
		s.disconnect()
		wait, ending := idleness, s.b.ending.Err() != nil
		s.mu.Lock()
		s.sleeping, s.wakeAt = false, time.Time{}
		held := s.held()
		switch {
		case len(s.waiting) == 0:
			if timeout && held <= 0 && s.flying == 0 {
				s.over = true
				s.mu.Unlock()
				return nil
			}
			s.sleeping = true
		case held > 0 && !ending:
			// It is not sleeping: what is added need not wake it.
			if looked.IsZero() {
				looked = time.Now()
			}
			wait = min(held, time.Until(looked.Add(looking)))
		default:
			wait = time.Until(s.due)
			if wait <= 0 || ending {
				list := s.take()
				s.mu.Unlock()
				return list
			}
			s.sleeping, s.wakeAt = true, s.due
		}
		s.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-s.wake:
			timeout = false
		case <-timer.C:
			timeout = wait == idleness
			if held > 0 && time.Since(looked) >= looking {
				s.look()
				looked = time.Now()
			}
		case <-s.b.ending.Done():
			if !s.lastly() {
				return nil
			}
		}
	}
}

// take empties the list. Requires: mu held.
func (s *sender) take() (list []*part) {
	list = s.waiting
	s.waiting, s.spare = s.spare[:0], list
	s.messages, s.bytes = 0, 0
	return list
}

// disconnect closes a connection that has failed. All that was on its way has
// said so when Close returns: the mark is lowered after that, so that it is
// never one of the next connection.
func (s *sender) disconnect() {
	if s.broken.Load() {
		s.broker.Close()
		s.broken.Store(false)
	}
}

// lastly waits for work when the batcher is ending. It reports false when there
// will be none.
func (s *sender) lastly() bool {
	s.mu.Lock()
	some := len(s.waiting) > 0
	s.sleeping, s.wakeAt = !some, time.Time{}
	s.mu.Unlock()
	if some {
		return true
	}
	select {
	case <-s.wake:
		return true
	case <-s.b.stop:
		return false
	}
}

// run sends until it is told to end, or has had nothing to do for long.
func (s *sender) run() {
	defer s.forget()
	for {
		list := s.next()
		if list == nil {
			return
		}
		for len(list) > 0 {
			list = s.send(list)
			if s.isHeld() {
				for _, p := range list {
					p.release()
				}
				break
			}
		}
		clear(s.spare)
	}
}

// forget takes the sender out of the map.
func (s *sender) forget() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.senders[s.broker] == s {
		delete(s.b.senders, s.broker)
	}
}
