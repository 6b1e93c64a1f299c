package lane

import (
	"context"
	"errors"
	"time"
)

// Checker asks whether topics exist.
type Checker struct {
	// Ask asks one live broker once. nil: the topic exists. ErrUnknown: the
	// broker is sure that it does not. ErrNoAnswer: nobody answered. Any other
	// error is final. It ends when ctx does.
	Ask func(ctx context.Context, topic string) error
	// Unknown makes the error for a topic that does not exist.
	Unknown error
	// Grace is how long a topic may be unknown: it may just have been created.
	Grace time.Duration
}

// What Checker.Ask answers beside nil and final errors.
var (
	ErrUnknown  = errors.New("the broker does not know the topic")
	ErrNoAnswer = errors.New("no broker answered")
)

// The waits between two questions for a topic: short, since records wait for
// the answer; growing, since the cluster may be away for long.
const (
	askFirst = 50 * time.Millisecond
	askMost  = time.Second

	// mostAsking is how many questions are open at the same time.
	mostAsking = 64
)

// startCheck asks for the topic of a lane in a goroutine of its own, so that a
// topic nobody knows delays no other.
func (s *Set) startCheck(l *Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return // the records are withdrawn by whoever stopped the set
	}
	s.wg.Go(func() { s.check(l) })
}

// check asks until there is an answer. With no answer at all it is the delivery
// timeout that ends the records; when the last one is gone, so is the question.
func (s *Set) check(l *Lane) {
	c := s.cfg.Checker
	c.Ask = func(ctx context.Context, topic string) error {
		select {
		case s.asking <- struct{}{}:
		case <-ctx.Done():
			return ErrNoAnswer
		}
		defer func() { <-s.asking }()
		return s.cfg.Checker.Ask(ctx, topic)
	}
	err := c.Wait(s.ctx, l.topic, func() bool { return !l.abandoned() })
	switch {
	case err == nil:
		s.opened(l)
	case errors.Is(err, errNobodyWaits):
		l.tidy()
	case s.ctx.Err() == nil:
		s.fail(l, err)
	}
}

// errNobodyWaits ends a question that nobody waits for any more.
var errNobodyWaits = errors.New("nobody waits for the topic")

// Wait asks until the topic exists (nil), or does not, or wanted says that
// nobody waits any more, or ctx ends.
func (c Checker) Wait(ctx context.Context, topic string, wanted func() bool) error {
	var denied time.Time // since when every answer was that there is no such topic
	wait := askFirst
	for {
		err := c.Ask(ctx, topic)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pause := wait
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrNoAnswer):
			// A broker that comes back after this may not know its topics yet.
			denied = time.Time{}
		case errors.Is(err, ErrUnknown):
			if denied.IsZero() {
				denied = time.Now()
			}
			left := c.Grace - time.Since(denied)
			if left <= 0 {
				return c.Unknown
			}
			pause = min(pause, left)
		default:
			return err
		}
		if !wanted() {
			return errNobodyWaits
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
		wait = min(2*wait, askMost)
	}
}

// opened lets the records pass.
func (s *Set) opened(l *Lane) {
	l.mu.Lock()
	l.checking = false
	l.exists()
	l.mu.Unlock()
	s.wake(l)
}

// fail ends the records that wait for the topic. The next one asks anew.
func (s *Set) fail(l *Lane, err error) {
	s.cfg.Fail(l.drain(), err)
	l.tidy()
}

// abandoned reports whether the queue is empty, and if so ends the check: the
// next record starts a new one.
func (l *Lane) abandoned() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.Len() > 0 {
		return false
	}
	l.checking = false
	return true
}
