package e2e

import (
	"math/rand/v2"
	"time"
)

// dice is where every decision of a random program comes from: a seed, or the
// bytes of a fuzzer. The same source makes the same program. (A library such as
// rapid draws and shrinks in one goroutine, and takes a failure that does not
// come again for a mistake of the test; these programs are concurrent.)
type dice struct {
	// roll returns a number from 0 to n-1. 0 is the plainest choice, and what
	// bytes that have run out give.
	roll func(n int) int
}

// seeded is the dice of a seed. Streams of one seed are independent.
func seeded(seed, stream uint64) dice {
	return dice{rand.New(rand.NewPCG(seed, stream)).IntN}
}

// fromBytes uses up one byte for each decision, two for one among more than 256.
func fromBytes(data []byte) dice {
	next := func() int {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return int(b)
	}
	return dice{func(n int) int {
		v := next()
		if n > 256 {
			v = v<<8 | next()
		}
		return v % n
	}}
}

// chance is true in that many of a hundred cases.
func (d dice) chance(percent int) bool { return d.roll(100) >= 100-percent }

// between returns a number from low to high.
func (d dice) between(low, high int) int { return low + d.roll(high-low+1) }

// millis returns a duration from low to high milliseconds.
func (d dice) millis(low, high int) time.Duration {
	return time.Duration(d.between(low, high)) * time.Millisecond
}

// pick returns one of several, the first being the plainest.
func pick[T any](d dice, of ...T) T { return of[d.roll(len(of))] }
