package dispatch

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/saramakit/producer/internal/record"
)

// worker runs records one after the other.
type worker struct {
	d    *Dispatcher
	wake chan struct{} // holds one signal: there may be something in queue

	mu    sync.Mutex // held for a few instructions
	queue []*record.Record

	// batch, at and step are where the worker is. They are fields because a
	// callback may end the goroutine: the next one goes on from there.
	batch []*record.Record
	at    int
	step  atomic.Int32

	goroutine atomic.Uint64                 // the id of its goroutine
	busySince atomic.Int64                  // when the running step began, 0 if none runs
	current   atomic.Pointer[record.Record] // whose step it is
	reported  int64                         // busySince that was reported as slow; the watchdog's own
}

func (w *worker) enqueue(r *record.Record) {
	w.mu.Lock()
	w.queue = append(w.queue, r)
	first := len(w.queue) == 1
	w.mu.Unlock()
	if first {
		// With more in the queue the signal of the first is still there, or
		// the worker is about to take them all.
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// run works until the dispatcher is stopped and the queue is empty.
func (w *worker) run() {
	ended := false
	defer func() {
		if ended {
			w.d.wg.Done()
			return
		}
		// A callback called runtime.Goexit. This goroutine cannot be saved,
		// its work can.
		go w.run()
	}()
	w.goroutine.Store(goroutineID())
	for {
		for w.at < len(w.batch) {
			w.process(w.batch[w.at])
		}
		if w.take() {
			continue
		}
		select {
		case <-w.wake:
		case <-w.d.stop:
			if !w.take() {
				ended = true
				return
			}
		}
	}
}

// take swaps the queue for the batch that is done, which becomes the next
// queue: no allocation once both have grown.
func (w *worker) take() bool {
	w.at = 0
	w.mu.Lock()
	w.queue, w.batch = w.batch[:0], w.queue
	w.mu.Unlock()
	return len(w.batch) > 0
}

// process runs the record's remaining steps and then lets it go.
func (w *worker) process(r *record.Record) {
	for w.call(r) {
		continue
	}
	w.current.Store(nil)
	w.step.Store(0)
	// The record belongs to its user now, who may keep it or not; the batch may
	// last for long.
	w.batch[w.at] = nil
	w.at++
	w.d.handler.Done(r)
}

// call runs one step and moves on to the next. A step that does not return
// normally counts as done.
func (w *worker) call(r *record.Record) (more bool) {
	returned := false
	step := int(w.step.Load())
	// Deferred first, so that reporting a failure is a part of the step.
	defer w.busySince.Store(0)
	defer func() {
		// Before anything that may end the goroutine, so that the one which
		// goes on does not repeat the step.
		w.step.Add(1)
		if returned {
			return
		}
		p := recover()
		more = true // of no effect if the goroutine ends: the next one goes on all the same
		w.d.handler.Failed(r, step, Failure{Goexit: p == nil, Panic: p, Stack: debug.Stack()})
	}()
	w.current.Store(r)
	w.busySince.Store(w.d.now())
	more = w.d.handler.Call(r, step)
	returned = true
	return more
}

// goroutineID reads the id of the calling goroutine from the first line of its
// stack, "goroutine 18 [running]:". There is no other way to know that a call
// with a context of its own comes from a callback.
func goroutineID() uint64 {
	var buf [64]byte
	line := buf[:runtime.Stack(buf[:], false)]
	line = bytes.TrimPrefix(line, []byte("goroutine "))
	number, _, _ := bytes.Cut(line, []byte(" "))
	id, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return 0 // an unknown format: nobody is found, as with no id at all
	}
	return id
}
