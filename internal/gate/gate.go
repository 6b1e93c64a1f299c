// Package gate lets any number of senders pass until it is closed, and tells
// when the last of them has left. No lock is taken and nobody waits inside it.
package gate

import (
	"math"
	"sync/atomic"
)

// closed is the sign bit of the state, so that one comparison with 0 tells
// whether the gate is open.
const closed = math.MinInt64

// Gate counts the senders that are inside. Use [New].
type Gate struct {
	// state is the closed bit and the number of those inside. Once the bit is
	// set it stays, and only three may still be counted: senders that entered
	// before, the Close that set it, and for a moment each refused Enter. So
	// when the number is 0 beside the bit, no sender is left and none will come.
	state atomic.Int64

	closing chan struct{}
	idle    chan struct{}
	// idled elects the one that closes idle: a refused Enter takes the number
	// from 0 to 1 and back, so that 0 is reached more than once.
	idled atomic.Bool
}

// New returns an open gate.
func New() *Gate {
	return &Gate{closing: make(chan struct{}), idle: make(chan struct{})}
}

// Enter reports whether the caller may pass. If so it must call Leave exactly
// once; if not, the gate is closed and it must not.
func (g *Gate) Enter() bool {
	if g.state.Add(1) >= 0 {
		return true
	}
	// Counted for a moment all the same. If the last sender left in that moment
	// it did not see 0; this Leave does.
	g.Leave()
	return false
}

// Leave undoes one Enter that returned true.
func (g *Gate) Leave() {
	if g.state.Add(-1) == closed {
		g.settle()
	}
}

// settle closes idle, once.
func (g *Gate) settle() {
	if g.idled.CompareAndSwap(false, true) {
		close(g.idle)
	}
}

// Close makes Enter refuse and closes Closing. It never waits: see Idle. It
// returns true for the first caller only; another one may get its false an
// instant before Closing is closed, but never before Enter refuses.
func (g *Gate) Close() bool {
	for {
		s := g.state.Load()
		if s < 0 {
			return false
		}
		// Close counts itself in with the same step, and leaves when it is
		// done: Idle is never closed before Closing.
		if g.state.CompareAndSwap(s, (s+1)|closed) {
			break
		}
	}
	close(g.closing)
	g.Leave()
	return true
}

// Closing is closed when Close begins. Whatever a sender waits for inside, it
// waits for this too.
func (g *Gate) Closing() <-chan struct{} { return g.closing }

// Idle is closed when the gate is closed and the last sender has left.
func (g *Gate) Idle() <-chan struct{} { return g.idle }

// Closed reports whether the gate is closed: Enter would refuse.
func (g *Gate) Closed() bool { return g.state.Load() < 0 }
