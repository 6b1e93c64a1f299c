package otel

import (
	"iter"
	"maps"
	"math"
	"sync"
	"sync/atomic"
)

// What is kept is bounded: it must not grow with the names of topics.
const (
	mostTopics = 1_000 // that have their span's beginning kept
	mostSeries = 1_000 // by topic and kind of error, and once more by partition
)

// unbounded is for what has few keys in any case.
const unbounded = math.MaxInt

// table keeps what is made once for each key and then read for each message: a
// map that is replaced and never changed, so that reading takes no lock. The
// zero value is empty.
type table[K comparable, V any] struct {
	mu   sync.Mutex // held to replace it
	made atomic.Pointer[map[K]V]
}

// get returns what belongs to a key, which is made if there are fewer than most;
// else it reports false.
func (t *table[K, V]) get(key K, most int, create func() V) (v V, ok bool) {
	if made := t.made.Load(); made != nil {
		if v, ok := (*made)[key]; ok {
			return v, true
		}
		if len(*made) >= most {
			return v, false
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[K]V{}
	if made := t.made.Load(); made != nil {
		if v, ok := (*made)[key]; ok {
			return v, true // somebody else was faster
		}
		if len(*made) >= most {
			return v, false
		}
		next = maps.Clone(*made)
	}
	v = create()
	next[key] = v
	t.made.Store(&next)
	return v, true
}

// all are those that were made until now.
func (t *table[K, V]) all() iter.Seq[V] {
	made := t.made.Load()
	if made == nil {
		return func(func(V) bool) {}
	}
	return maps.Values(*made)
}
