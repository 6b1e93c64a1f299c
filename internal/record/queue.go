package record

import "iter"

// Kind is whose queue it is. A record is in at most one queue of each kind.
type Kind uint8

// The kinds of queues.
const (
	OfRegistry Kind = iota
	OfLane
	kinds
)

// Queue holds records in the order in which they came; any of them can be taken
// out. Its owner locks it. The zero value is an empty queue of a registry.
//
// It is a list of blocks, not of records: to link records with each other would
// mean to write to three of them for each that comes or goes, none of which the
// processor has at hand, and to keep all of them for whoever keeps one. A block
// lasts as long as one of its records is there.
type Queue struct {
	Kind        Kind
	first, last *block
	// spare is the block that became empty last: a queue of constant length
	// needs no new ones.
	spare  *block
	pushed uint64 // how many have ever come
	length int
}

// block is a part of a queue, 128 bytes: so much may stay for one record that
// outlives its neighbours, which Overhead has room for.
type block struct {
	records    [12]*Record
	next, prev *block
	base       uint64 // the number of the first of its places
	// Of its places, those before head are empty, those from tail on are free
	// yet, and live of the others hold a record.
	head, tail, live uint8
}

// Push puts a record at the end.
func (q *Queue) Push(r *Record) {
	b := q.last
	if b == nil || int(b.tail) == len(b.records) {
		b = q.extend()
	}
	b.records[b.tail] = r
	r.blocks[q.Kind], r.at[q.Kind] = b, b.tail
	b.tail++
	b.live++
	q.pushed++
	q.length++
}

// extend adds an empty block.
func (q *Queue) extend() *block {
	b := q.spare
	if b == nil {
		b = new(block)
	}
	q.spare = nil
	*b = block{base: q.pushed, prev: q.last}
	if q.last == nil {
		q.first = b
	} else {
		q.last.next = b
	}
	q.last = b
	return b
}

// Remove takes a record out. It reports false if it is not there (any more).
func (q *Queue) Remove(r *Record) bool {
	b, at := r.blocks[q.Kind], r.at[q.Kind]
	if b == nil || b.records[at] != r {
		return false
	}
	q.remove(b, at)
	return true
}

// remove empties a place. Its record is left as it is: that it is there no more
// is what the place says.
func (q *Queue) remove(b *block, at uint8) {
	b.records[at] = nil
	b.live--
	q.length--
	if b.live == 0 && int(b.tail) == len(b.records) {
		q.drop(b)
	}
}

// drop takes an empty block out of the list.
func (q *Queue) drop(b *block) {
	if b.prev == nil {
		q.first = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		q.last = b.prev
	} else {
		b.next.prev = b.prev
	}
	b.next, b.prev = nil, nil
	q.spare = b
}

// First returns the oldest record and its number, nil if the queue is empty.
func (q *Queue) First() (r *Record, number uint64) {
	b := q.first
	if b == nil || b.live == 0 {
		return nil, q.pushed
	}
	for b.records[b.head] == nil {
		b.head++
	}
	return b.records[b.head], b.base + uint64(b.head)
}

// Pop takes the oldest record out, nil if the queue is empty.
func (q *Queue) Pop() *Record {
	r, _ := q.First()
	if r != nil {
		q.remove(q.first, q.first.head)
	}
	return r
}

// Forget lets go of the queues that a record was in: who keeps it would keep
// them. It must be in none any more.
func (r *Record) Forget() { r.blocks, r.at = [kinds]*block{}, [kinds]uint8{} }

// Pushed is how many records have ever come: the number that the next one gets.
func (q *Queue) Pushed() uint64 { return q.pushed }

// Len is the number of records.
func (q *Queue) Len() int { return q.length }

// All are the records with their numbers, the oldest first.
func (q *Queue) All() iter.Seq2[uint64, *Record] {
	return func(yield func(uint64, *Record) bool) {
		for b := q.first; b != nil; b = b.next {
			for i := b.head; i < b.tail; i++ {
				if r := b.records[i]; r != nil && !yield(b.base+uint64(i), r) {
					return
				}
			}
		}
	}
}
