package producer

import (
	"errors"
	"time"

	"github.com/saramakit/producer/internal/record"
	"github.com/saramakit/producer/internal/transport"
)

// returned takes records back from the transport. It runs on goroutines of the
// transport and waits for nothing. Those that nobody is to be told of are
// finished together: that is most of a producer's messages, and a good part of
// what each costs.
func (c *core) returned(outcomes []transport.Outcome) {
	var delivered lot
	now := c.registry.Now()
	at := c.registry.At(now)
	latencies := c.latency.Begin()
	progress := false
	for i := range outcomes {
		o := &outcomes[i]
		r := o.Record
		first, completed, finished := r.Settle()
		if !first {
			continue // reported twice
		}
		r.Lane.Returned(completed)
		progress = progress || !errors.Is(o.Err, record.ErrRefused)
		if completed {
			// Its outcome was decided while the transport had it.
			c.counts.held.Add(-1)
			if o.Err == nil {
				c.counts.late.Add(1)
			}
			if finished {
				c.free(r)
			}
			if len(c.cfg.hooks.onLate) > 0 && answered(r, o.Err) && r.Answer(at, o.Err, !o.NotWritten) {
				c.tellLate(r)
			}
			continue
		}
		if trail := r.Trail(); trail != nil {
			trail.Decide(at, answered(r, o.Err))
		}
		if o.Err == nil {
			latencies.Add(now - r.Accepted)
			r.ReportOwn(r.Msg.Partition, r.Msg.Offset)
			if r.Wait != nil || c.counts.closing.Load() || (*calls)(c).wanted(r) {
				c.decided(r, nil)
				continue
			}
			if delivered.add(r); delivered.full() {
				c.finishLot(&delivered)
			}
			continue
		}
		partition := int32(-1)
		if r.Placed {
			partition = r.Msg.Partition
		}
		r.ReportOwn(partition, -1)
		status := PossiblyPersisted
		if o.NotWritten {
			status = NotPersisted
		}
		c.decided(r, c.deliveryError(r, partition, status, o.Err))
	}
	latencies.Flush()
	if progress {
		c.lastOutcome.Store(int64(max(now, 1)))
	}
	c.finishLot(&delivered)
}

// lot is some records that were delivered, and that nobody is to be told of.
type lot struct {
	records [64]*record.Record
	n       int
}

func (l *lot) add(r *record.Record) { l.records[l.n] = r; l.n++ }
func (l *lot) full() bool           { return l.n == len(l.records) }

// finishLot is finish for many.
func (c *core) finishLot(l *lot) {
	if l.n == 0 {
		return
	}
	records := l.records[:l.n]
	size := int64(0)
	of, n := records[0].Lane, int64(0)
	for _, r := range records {
		_, _ = r.Finish()
		r.Release()
		r.Lane.Free(r.Size())
		size += r.Size()
		if r.Lane != of {
			of.Delivered(n)
			of, n = r.Lane, 0
		}
		n++
	}
	of.Delivered(n)
	c.budget.ReleaseAll(int64(l.n), size)
	c.registry.FinishAll(records)
	l.n = 0
}

func (c *core) deliveryError(r *record.Record, partition int32, status Persistence, cause error) *DeliveryError {
	return &DeliveryError{
		Topic: r.Lane.Topic(), Partition: partition, Status: status,
		Attempts: r.Attempts(), Elapsed: c.registry.Age(r), Err: cause,
	}
}

// giveUp ends a record without the transport, if its outcome is still open.
// What has not been put into a batch never will be.
func (c *core) giveUp(r *record.Record, cause error) bool {
	attempts, ok := r.Refuse()
	if ok {
		c.gaveUp(r, attempts, cause)
	}
	return ok
}

// gaveUp hands on a record that was just refused.
func (c *core) gaveUp(r *record.Record, attempts int, cause error) {
	if r.Lane.Withdraw(r) {
		r.Unhanded()
	} else {
		// Its room is kept until the transport lets go: the bytes are still
		// in memory, and may be for long.
		c.counts.held.Add(1)
		r.Lane.Completed()
	}
	status := PossiblyPersisted
	if attempts == 0 {
		status = NotPersisted
	}
	r.ReportCopy()
	c.decided(r, c.deliveryError(r, r.Partition(), status, cause))
}

// neverHanded ends records that have left their lane for good and were never in
// the transport.
func (c *core) neverHanded(records []*record.Record, cause error) {
	for _, r := range records {
		if _, ok := r.Refuse(); !ok {
			// It was given up while it left the lane, and counted as one that
			// the transport holds.
			c.counts.held.Add(-1)
			r.Lane.Recalled()
			if r.Unhanded() {
				c.free(r)
			}
			continue
		}
		r.Unhanded()
		r.ReportCopy()
		c.decided(r, c.deliveryError(r, -1, NotPersisted, cause))
	}
}

// decided tells the outcome of a record to all who want to know. Called once
// for each record, by whoever completed it. It waits for nothing.
func (c *core) decided(r *record.Record, failure *DeliveryError) {
	if failure != nil {
		r.Fail(failure) // a nil *DeliveryError must not become an error
	}
	if c.counts.closing.Load() {
		c.counts.sinceClose(failure)
	}
	if failure != nil && !(*calls)(c).unseen(r) {
		c.log.failing(failure)
	}
	if t := r.Trail(); t != nil && !t.Decided() {
		t.Decide(time.Now(), false)
	}
	w := r.Wait
	if w != nil {
		m := r.Report()
		w.Result = record.Result{Partition: m.Partition, Offset: m.Offset, Timestamp: m.Timestamp, Err: r.Cause()}
	}
	if (*calls)(c).wanted(r) {
		c.callbacks.Enqueue(r)
	} else {
		if failure == nil {
			r.Release() // what is delivered was returned
		}
		c.finish(r)
	}
	if w != nil {
		// Last, so that who has the result finds it in Stats, and nothing of
		// the message in flight but its callbacks.
		w.Done <- struct{}{}
	}
}

func (n *counters) sinceClose(failure *DeliveryError) {
	switch {
	case failure == nil:
		n.delivered.Add(1)
	case errors.Is(failure.Err, ErrAborted):
		n.aborted.Add(1)
	default:
		n.failed.Add(1)
	}
}

// finish lets a record go: its callbacks have returned.
func (c *core) finish(r *record.Record) {
	returned, answered := r.Finish()
	if returned {
		c.free(r)
	}
	if answered {
		c.tellLate(r)
	}
	if cause := r.Cause(); cause == nil {
		r.Lane.Delivered(1)
	} else {
		kind := ErrorKind(cause)
		r.Lane.Failed(kind)
		c.counts.failures.add(kind)
	}
	c.registry.Finish(r, r.Cause() == nil)
}

// free gives the room of a record back that nobody holds any more.
func (c *core) free(r *record.Record) {
	r.Lane.Free(r.Size())
	c.budget.Release(r.Size())
}
