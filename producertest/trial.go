package producertest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// trial is one producer, what it was sent and what it told.
type trial struct {
	Subject
	*bench
	hook hook
	heal func() // ends the break; nil: there was none

	mu       sync.Mutex
	notes    []*note
	told     int           // callbacks that have begun
	finished int           // of them: have returned, or ended in another way
	changed  chan struct{} // closed and replaced whenever one of the two changes
	problems []string
}

// hook is what a check does in callbacks. It may block, panic and end its
// goroutine.
type hook func(ctx context.Context, n *note)

// open opens a producer that is closed with the check.
func (b *bench) open(s Settings, h hook) *trial {
	b.tb.Helper()
	x := &trial{bench: b, hook: h, changed: make(chan struct{})}
	s.OnSuccess = func(ctx context.Context, msg *sarama.ProducerMessage) { x.tell(ctx, msg, nil, true) }
	s.OnError = func(ctx context.Context, msg *sarama.ProducerMessage, err error) { x.tell(ctx, msg, err, false) }
	x.Subject = b.h.Open(b.tb, s)
	if x.Producer == nil || x.Topic == "" {
		b.tb.Fatal("Harness.Open returned no Producer, or no Topic")
	}
	b.tb.Cleanup(func() {
		for _, g := range b.gates {
			g.open()
		}
		if x.heal != nil {
			x.heal()
		}
		// Checks that care have closed it before. The ctx has ended by now.
		b.begin("Close", func() error { return x.Producer.Close(b.tb.Context()) }).returned(2 * closeGrace)
	})
	return x
}

// breakIt breaks the cluster until heal is called, at the latest when the check
// ends.
func (x *trial) breakIt() {
	x.tb.Helper()
	if x.Break == nil {
		x.tb.Skip("Subject.Break is nil")
	}
	x.heal = sync.OnceFunc(x.Break())
}

// tell takes down what a callback is told.
func (x *trial) tell(ctx context.Context, msg *sarama.ProducerMessage, err error, success bool) {
	n := noteOf(msg)
	x.mu.Lock()
	x.told++
	switch {
	case n == nil:
		x.problems = append(x.problems, "a callback got a message whose Metadata is not what was sent")
	case !success && err == nil:
		x.problems = append(x.problems, "OnError was called without an error")
	default:
		n.outcomes = append(n.outcomes, outcome{msg: msg, err: err, order: x.told})
	}
	x.signal()
	x.mu.Unlock()
	defer func() { // also of a callback that panics
		x.mu.Lock()
		defer x.mu.Unlock()
		x.finished++
		x.signal()
	}()
	if x.hook != nil && n != nil {
		x.hook(ctx, n)
	}
}

func (x *trial) signal() {
	close(x.changed)
	x.changed = make(chan struct{})
}

// problemf notes what is wrong, from any goroutine and also after the check.
func (x *trial) problemf(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.problems = append(x.problems, fmt.Sprintf(format, args...))
}

// until waits until a condition holds, and ends the check if it does not within
// limit. The condition is checked with mu held.
func (x *trial) until(what string, limit time.Duration, holds func() bool) {
	x.tb.Helper()
	end := newAlarm(limit)
	defer end.stop()
	for {
		x.mu.Lock()
		ok, changed := holds(), x.changed
		x.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-end.rung:
			x.tb.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// untilTold waits until n callbacks have begun.
func (x *trial) untilTold(n int) {
	x.tb.Helper()
	x.until(fmt.Sprintf("%d outcomes are told", n), patience, func() bool { return x.told >= n })
}

// message makes a message that can be told from all others.
func (x *trial) message(edits ...func(*sarama.ProducerMessage)) *sarama.ProducerMessage {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := &note{number: len(x.notes), made: time.Now()}
	x.notes = append(x.notes, n)
	msg := &sarama.ProducerMessage{
		Topic:    x.Topic,
		Key:      sarama.StringEncoder(fmt.Sprint("key ", n.number%7)),
		Value:    sarama.StringEncoder(fmt.Sprint("the value of message ", n.number)),
		Headers:  []sarama.RecordHeader{{Key: []byte("number"), Value: fmt.Append(nil, n.number)}},
		Metadata: n,
	}
	for _, edit := range edits {
		edit(msg)
	}
	n.content, n.timestamp = contentOf(msg), msg.Timestamp
	return msg
}

// answered notes what a send of a message returned.
func (x *trial) answered(msg *sarama.ProducerMessage, err error) error {
	n := noteOf(msg)
	if n == nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	n.returned = time.Now()
	failure := deliveryError(err)
	switch {
	case err == nil:
		n.accepted++
	case failure == nil:
		n.refused++
	case failure.Pending:
		n.pending++
	default:
		n.failed++
	}
	return err
}

// flush waits until everything is done.
func (x *trial) flush() {
	x.tb.Helper()
	ctx := x.ctx()
	if err := x.do("Flush", patience+slack, func() error { return x.Producer.Flush(ctx) }); err != nil {
		x.tb.Fatalf("Flush returned %v", err)
	}
}

// close closes the producer, which must have time enough.
func (x *trial) close() {
	x.tb.Helper()
	ctx := x.ctx()
	if err := x.do("Close", patience+closeGrace, func() error { return x.Producer.Close(ctx) }); err != nil {
		x.tb.Fatalf("Close returned %v", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if told := x.expected(); x.told != told || x.finished != told {
		x.tb.Errorf("Close returned nil when of %d callbacks %d had begun and %d had returned", told, x.told, x.finished)
	}
}

// expected is how many callbacks there have to be, with mu held.
func (x *trial) expected() (told int) {
	for _, n := range x.notes {
		told += n.taken()
	}
	return told
}

// finish flushes, closes and judges.
func (x *trial) finish() {
	x.tb.Helper()
	x.flush()
	x.close()
	x.judge()
}

// settle judges a producer whose Close ran out of time: callbacks that found no
// time come after it.
func (x *trial) settle() {
	x.tb.Helper()
	x.until("every accepted message has its outcome, and the callbacks have returned", patience,
		func() bool { return x.told >= x.expected() && x.finished >= x.told })
	// The last callback has returned, which Stats may show a little later.
	x.untilStats(func(inFlight int64) bool { return inFlight == 0 })
	x.judge()
}
