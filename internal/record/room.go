package record

import (
	"sort"
	"sync"
)

// The room of a large value is used again: at ten kilobytes a message, the copy
// that Send makes would be most of the garbage of this library. Short values are
// one allocation with their record and gain nothing.
//
// Room comes back only of a message that was delivered, and of which no callback
// is told: in all other cases somebody may still hold the bytes.

const (
	smallestRoom = 4 << 10
	largestRoom  = 1 << 20
	roomSizes    = 4*8 + 1 // four in each doubling, so that at most a fifth of a room is for nothing
)

// rooms holds those of a producer that are free, by their size.
type rooms [roomSizes]sync.Pool

// large reports whether a value of n bytes has a room of its own.
func large(n int) bool { return smallestRoom <= n && n <= largestRoom }

// roomSize is the size of the rooms at place i.
func roomSize(i int) int { return smallestRoom << (i / 4) / 4 * (4 + i%4) }

// place is where the smallest rooms for n bytes are.
func place(n int) int {
	return sort.Search(roomSizes, func(i int) bool { return roomSize(i) >= n })
}

// take returns an empty room for n bytes.
func (r *rooms) take(n int) []byte {
	i := place(n)
	if b, ok := r[i].Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, roomSize(i))
}

// Release gives the room of the value back. Only for a record that was delivered,
// that the transport has returned, and whose Report nobody has seen or will see.
func (r *Record) Release() {
	n := cap(r.value)
	if !large(n) {
		return
	}
	empty := []byte(r.value)[:0]
	r.value = nil
	r.Home.rooms[place(n)].Put(&empty)
}
