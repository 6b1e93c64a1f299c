// Package dispatch runs callbacks where they can block nothing: on workers that
// hold no lock and drain no channel. A callback may block, panic, end its
// goroutine and call the producer again.
package dispatch

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/saramakit/producer/internal/record"
)

// Handler is the user's side of a record.
type Handler interface {
	// Call runs the record's callback of that step and reports whether there
	// may be a next step. It may panic, block, or end the goroutine: then the
	// next step is tried, also after the last.
	Call(r *record.Record, step int) (more bool)
	// Done is called once for each record, after its last step, whatever the
	// steps did.
	Done(r *record.Record)
	// Failed reports a step that panicked, or ended its goroutine.
	Failed(r *record.Record, step int, f Failure)
	// Slow reports a step that has run for longer than the limit.
	Slow(r *record.Record, step int, running time.Duration)
}

// Failure is how a callback ended that did not return.
type Failure struct {
	Goexit bool
	Panic  any // what it panicked with
	Stack  []byte
}

// Dispatcher runs records through a Handler on a fixed number of workers.
type Dispatcher struct {
	handler Handler
	slow    time.Duration
	workers []*worker
	seed    maphash.Seed
	base    time.Time // busySince counts from here

	stop    chan struct{}
	stopped atomic.Bool
	wg      sync.WaitGroup // the workers
	watch   sync.WaitGroup // the watchdog
}

// New starts n workers and a watchdog. A step that runs for longer than slow is
// reported once.
func New(n int, slow time.Duration, h Handler) *Dispatcher {
	d := &Dispatcher{handler: h, slow: slow, seed: maphash.MakeSeed(), base: time.Now(), stop: make(chan struct{})}
	for range n {
		w := &worker{d: d, wake: make(chan struct{}, 1)}
		d.workers = append(d.workers, w)
		d.wg.Add(1)
		go w.run()
	}
	d.watch.Go(d.watchdog)
	return d
}

// Enqueue hands over a record whose outcome is decided. It never waits. With
// one worker records are run in the order of the calls, with more in that order
// per partition.
func (d *Dispatcher) Enqueue(r *record.Record) {
	w := d.workers[0]
	if n := uint64(len(d.workers)); n > 1 {
		hash := maphash.String(d.seed, r.Report().Topic) + uint64(uint32(r.Report().Partition))
		w = d.workers[hash%n]
	}
	w.enqueue(r)
}

// OnWorker reports whether the calling goroutine is running a callback. It
// costs about a microsecond: for slow paths only.
func (d *Dispatcher) OnWorker() bool {
	id := uint64(0)
	for _, w := range d.workers {
		if w.busySince.Load() == 0 {
			continue
		}
		if id == 0 {
			id = goroutineID()
		}
		if id != 0 && w.goroutine.Load() == id {
			return true
		}
	}
	return false
}

// Running is the number of callbacks that have been entered and have not
// returned.
func (d *Dispatcher) Running() int {
	n := 0
	for _, w := range d.workers {
		if w.busySince.Load() != 0 {
			n++
		}
	}
	return n
}

// Stop lets the workers end once their queues are empty. Nothing may be
// enqueued after it. The returned channel is closed when all have ended, which
// may be never if a callback, or what is told of a slow one, does not return.
func (d *Dispatcher) Stop() <-chan struct{} {
	if d.stopped.CompareAndSwap(false, true) {
		close(d.stop)
	}
	ended := make(chan struct{})
	// Workers that are stuck in a callback hold this goroutine's end, and the
	// author of the callback holds theirs. The watchdog logs, which can be
	// stuck too.
	go func() {
		defer close(ended)
		d.watch.Wait()
		d.wg.Wait()
	}()
	return ended
}

// now is the time since the dispatcher was made, never 0.
func (d *Dispatcher) now() int64 { return int64(time.Since(d.base)) + 1 }

// watchdog reports callbacks that run for longer than the limit. It sleeps
// until the earliest moment at which one can be too slow: a call that begins
// while it sleeps cannot be before it wakes.
func (d *Dispatcher) watchdog() {
	timer := time.NewTimer(d.slow)
	defer timer.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-timer.C:
		}
		next := d.slow
		for _, w := range d.workers {
			since := w.busySince.Load()
			if since == 0 || since == w.reported {
				continue
			}
			running := time.Duration(d.now() - since)
			if running < d.slow {
				next = min(next, d.slow-running)
				continue
			}
			w.reported = since
			// The call may have ended since: then the report names the one that
			// follows it, or is left out.
			if c := w.current.Load(); c != nil {
				d.handler.Slow(c, int(w.step.Load()), running)
			}
		}
		timer.Reset(next)
	}
}
