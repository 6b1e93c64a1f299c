// Package budget bounds how many messages, and how many bytes of them, are in
// the library's hands. Whoever finds no room waits in line.
//
// # No wake-up is lost
//
// Taking and giving room back are atomic operations while nobody waits; the
// mutex is for the line only. What makes this safe is the order of two steps on
// each side:
//
//   - a waiter raises waiting, then looks for room;
//   - a releaser lowers the counters, then looks at waiting.
//
// Go's atomics are sequentially consistent, so of two such pairs at least one
// sees the other: either the waiter finds the room, or the releaser finds the
// waiter and serves the line. Room that was taken for a moment and put back (a
// place for the message, but no bytes for it) may be what a waiter missed, so
// putting it back is a release like any other.
package budget

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Budget is room for a number of messages and of bytes. Use [New]. Sizes are
// never negative.
type Budget struct {
	maxMessages, maxBytes int64
	// lotMessages and lotBytes are how much room makes it worth while to wake
	// those in line. Less is handed out after pause: with a full budget every
	// release would otherwise wake one sender for one message, which costs more
	// than the message.
	lotMessages, lotBytes int64
	// armed says that the line will be served after pause. It is lowered before
	// the line is looked at, so a release that finds it raised is seen.
	armed atomic.Bool

	// messages and bytes are what is taken. take never lets them pass its
	// limit, not even for an instant: max, or twice max for Overdraw.
	messages, bytes atomic.Int64
	// waiting is the number of waiters in line. It is changed under mu only,
	// and read without: while it is not 0, TryAcquire keeps out.
	waiting atomic.Int64

	// mu guards the line. It is held for a few instructions, never while
	// anyone waits or is woken.
	mu          sync.Mutex
	first, last *waiter

	// spare holds waiters for re-use, each with an empty channel. It belongs to
	// the budget, since a channel must not leave its synctest bubble.
	spare sync.Pool
}

// waiter is one call of Acquire in line.
type waiter struct {
	bytes int64
	// granted gets one token, after the waiter was taken out of the line.
	granted chan struct{}
	// inLine, prev and next are guarded by Budget.mu. Once the waiter is out of
	// line, next is its granter's until the token is sent.
	inLine     bool
	prev, next *waiter
}

// Outcome is how a call of Acquire ended.
type Outcome int

// The outcomes of Acquire. Only Granted took room.
const (
	Granted      Outcome = iota + 1
	ContextEnded         // ctx was done first
	Closed               // closing was closed first
	TimedOut             // timeout fired first
)

// parts is into how many lots a budget is divided, and pause how long room for
// less than one is kept from those in line. No waiter of a small budget (under
// parts messages) waits for either.
const (
	parts = 16
	pause = time.Millisecond
)

// New returns a budget of that size. With maxBytes <= 0 bytes are counted but
// not limited.
func New(maxMessages, maxBytes int64) *Budget {
	if maxBytes <= 0 {
		maxBytes = math.MaxInt64
	}
	b := &Budget{maxMessages: maxMessages, maxBytes: maxBytes}
	if maxMessages >= parts {
		b.lotMessages, b.lotBytes = maxMessages/parts, maxBytes/parts
	}
	return b
}

// Fits reports whether a message of that size can ever be granted. Callers must
// ask before they call Acquire: for one that cannot, it waits until it is
// ended, and nobody passes it meanwhile.
func (b *Budget) Fits(bytes int64) bool { return b.maxMessages > 0 && bytes <= b.maxBytes }

// Messages is the number of messages that hold room.
func (b *Budget) Messages() int64 { return b.messages.Load() }

// Bytes is the sum of their sizes.
func (b *Budget) Bytes() int64 { return b.bytes.Load() }

// Waiting is the number of callers in line.
func (b *Budget) Waiting() int64 { return b.waiting.Load() }

// TryAcquire takes room for one message of that size, if there is any and
// nobody waits for it. It never waits.
func (b *Budget) TryAcquire(bytes int64) bool {
	// A caller that reads 0 just before another one joins the line may still
	// go first. The two calls overlap, so either order is a fair one.
	return b.waiting.Load() == 0 && b.take(bytes, b.maxMessages, b.maxBytes)
}

// Overdraw takes room for one message of that size whoever waits, from the
// budget and as much again: up to twice its messages and twice its bytes. It
// never waits. It is for those on whom the release of room depends.
func (b *Budget) Overdraw(bytes int64) bool {
	return b.take(bytes, twice(b.maxMessages), twice(b.maxBytes))
}

// Acquire takes room for one message of that size. If there is none, or others
// wait for it, it waits in line until it is granted or ended by the first of
// ctx, closing and timeout; the last two may be nil. A grant wins over an end
// that is there at the same time; of several ends ctx comes first, then closing.
//
// With room it returns [Granted] without a look at the ends.
func (b *Budget) Acquire(
	ctx context.Context, closing <-chan struct{}, timeout <-chan time.Time, bytes int64,
) Outcome {
	if b.TryAcquire(bytes) {
		return Granted
	}
	w := b.join(bytes)
	// The waiter is out of line and its channel empty wherever this returns.
	defer b.spare.Put(w)
	select {
	case <-w.granted:
		return Granted
	case <-ctx.Done():
	case <-closing:
	case <-timeout:
	}
	if !b.leave(w) {
		// Granted after all: the token is there, or about to be sent. The room
		// is ours, and to use it is simpler than to give it back.
		<-w.granted
		return Granted
	}
	// Of several ends select took any.
	if ctx.Err() != nil {
		return ContextEnded
	}
	select {
	case <-closing:
		return Closed
	default:
		return TimedOut
	}
}

// Release gives back the room of one message of that size. Those at the head of
// the line get it, one after the other, as far as they fit: at once if there is
// a lot of room, else a millisecond later.
func (b *Budget) Release(bytes int64) { b.ReleaseAll(1, bytes) }

// ReleaseAll is Release for so many messages, which have that size together.
func (b *Budget) ReleaseAll(messages, bytes int64) {
	b.messages.Add(-messages)
	b.bytes.Add(-bytes)
	b.released()
}

// released must follow whenever a counter was lowered.
func (b *Budget) released() {
	if b.waiting.Load() == 0 {
		return
	}
	if b.maxMessages-b.messages.Load() >= b.lotMessages && b.maxBytes-b.bytes.Load() >= b.lotBytes {
		b.serve()
		return
	}
	if !b.armed.Load() && b.armed.CompareAndSwap(false, true) {
		time.AfterFunc(pause, func() {
			b.armed.Store(false)
			b.serve()
		})
	}
}

// serve grants what room there is to those in line.
func (b *Budget) serve() {
	b.mu.Lock()
	granted := b.grant()
	b.mu.Unlock()
	wake(granted)
}

// take is reserve for those who are not in line.
func (b *Budget) take(bytes, maxMessages, maxBytes int64) bool {
	ok, undone := b.reserve(bytes, maxMessages, maxBytes)
	if undone {
		b.released()
	}
	return ok
}

// reserve takes room from both counters or from neither. undone says that a
// counter was raised and lowered again.
func (b *Budget) reserve(bytes, maxMessages, maxBytes int64) (ok, undone bool) {
	if !add(&b.messages, 1, maxMessages) {
		return false, false
	}
	if !add(&b.bytes, bytes, maxBytes) {
		b.messages.Add(-1)
		return false, true
	}
	return true, false
}

// add adds n unless that would pass limit. To add blindly and take it back would
// be a little cheaper, but meanwhile others who do fit would be refused.
func add(counter *atomic.Int64, n, limit int64) bool {
	for {
		v := counter.Load()
		if v > limit-n {
			return false
		}
		if counter.CompareAndSwap(v, v+n) {
			return true
		}
	}
}

func twice(n int64) int64 {
	if n > math.MaxInt64/2 {
		return math.MaxInt64
	}
	return 2 * n
}
