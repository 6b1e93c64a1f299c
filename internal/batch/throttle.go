package batch

import (
	"time"

	"github.com/IBM/sarama"
)

// A broker whose quota is used up asks in its answers to be left alone for a
// while. Sarama would wait for that inside the connection, with locks held that
// its answers need as well: what is stored would be reported late, or as timed
// out, and nothing could end the wait. So a sender waits itself, longer than
// sarama would.
//
// An answer that asks for a pause while the next request is being encoded comes
// too late for that, and sarama waits all the same. That is why a sender has one
// request on its way, and no more, until an answer asks for nothing.

// looking is how often those who wait for long look for what need not wait.
const looking = time.Second

// held is for how long nothing may be sent. Requires: mu held.
func (s *sender) held() time.Duration {
	switch {
	case s.throttled && s.flying > 0:
		return looking // or until it is answered, which wakes the sender
	case s.until.IsZero():
		return 0
	default:
		return time.Until(s.until)
	}
}

func (s *sender) isHeld() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held() > 0
}

// flies notes that a request is about to be sent.
func (s *sender) flies() {
	s.mu.Lock()
	s.flying++
	s.mu.Unlock()
}

// landed notes that it is answered, nil: that it never will be.
func (s *sender) landed(response *sarama.ProduceResponse) {
	s.mu.Lock()
	s.flying--
	was := s.throttled
	if response != nil {
		s.throttled = response.ThrottleTime > 0
		if s.throttled {
			if until := time.Now().Add(response.ThrottleTime); until.After(s.until) {
				s.until = until
			}
		}
	}
	free := was && (!s.throttled || s.flying == 0)
	s.mu.Unlock()
	if free {
		s.signal()
	}
}

// look lets those of the list go for which nobody waits any more, or which have
// another leader now.
func (s *sender) look() {
	s.mu.Lock()
	list := s.take()
	s.mu.Unlock()
	for _, p := range list {
		p.sweep()
		p.release()
	}
	clear(s.spare)
}
