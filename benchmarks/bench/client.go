package bench

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Message is what a client is asked to send. One may be sent again and again, by
// several goroutines, unless somebody waits for its outcome.
type Message struct {
	Topic string
	Value []byte

	// due is when it was to be sent; took is what that took until its outcome
	// was known. Of messages whose latency is measured only.
	timed bool
	due   time.Time
	took  time.Duration
}

// Client is a producer. Its methods but Close may be called by many goroutines.
type Client interface {
	// Send hands a message over, and waits as the producer does. A client that is
	// asked for outcomes tells each to its Outcomes, with the same Message.
	Send(m *Message) error
	// Flush waits until the outcome of everything sent before is known.
	Flush() error
	// Delivered is how many messages were acknowledged, since the start.
	Delivered() int64
	Close() error
}

// Settings are what every producer is told as far as it has such a setting.
type Settings struct {
	Addrs  []string
	Topics []string
	Linger time.Duration
	// Defaults leaves everything but the addresses and the outcomes as it is.
	Defaults bool
}

// The settings that are not compared are ours: acks=all, idempotent, snappy, and
// these limits.
const (
	BatchBytes  = 1_000_000
	BufferBytes = 64 << 20
	Buffered    = 100_000
)

// Producer is a kind of client.
type Producer struct {
	Name    string
	Version string
	// Sync says that Send returns when the outcome is known.
	Sync bool
	// Ours says that goals are set for it.
	Ours bool
	Open func(s Settings) (Client, error)
}

// Outcomes counts what became of messages, and times those that want it. It is
// the part that all clients share.
type Outcomes struct {
	delivered atomic.Int64
	failed    atomic.Int64
	first     atomic.Pointer[error]
}

// Done notes the outcome of a message.
func (o *Outcomes) Done(m *Message, err error) {
	if err != nil {
		o.failed.Add(1)
		o.first.CompareAndSwap(nil, &err)
		return
	}
	if m.timed {
		m.took = time.Since(m.due)
	}
	o.delivered.Add(1) // last: who sees the number sees the times, too
}

// Delivered is how many messages were acknowledged.
func (o *Outcomes) Delivered() int64 { return o.delivered.Load() }

// ErrFailed says that a benchmark has lost messages, and so measured nothing.
var ErrFailed = errors.New("bench: messages have failed")

// Err is an error if any message has failed.
func (o *Outcomes) Err() error {
	if n := o.failed.Load(); n > 0 {
		return fmt.Errorf("%w: %d of them, first: %w", ErrFailed, n, *o.first.Load())
	}
	return nil
}

// Await waits until so many messages were acknowledged, or one has failed. For
// clients that cannot flush.
func (o *Outcomes) Await(n int64) error {
	for o.delivered.Load() < n {
		if err := o.Err(); err != nil {
			return err
		}
		<-time.After(50 * time.Microsecond)
	}
	return o.Err()
}
