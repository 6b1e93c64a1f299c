package producer

import (
	"context"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/record"
)

// Sync is a producer whose Send returns when the message is stored.
//
// Use it where the caller must know: a request that is answered only when its
// event is safe. One goroutine sends one message per round trip; many
// goroutines share batches, so throughput comes from calling Send from many of
// them, or from [Sync.SendAll].
//
// A Sync has callbacks too ([WithOnSuccess], [WithOnError]); Send does not wait
// for them. What they may do is said at [Async]. The zero value is a closed
// producer.
type Sync struct {
	core *core
	// waiters are re-used by sends that got their outcome. Not global: a
	// channel made inside a testing/synctest bubble must stay in it.
	waiters sync.Pool
}

// Send sends msg and waits for its outcome.
//
// nil means that the message is in the log (with acks=all, which is the
// default, on all in-sync replicas); then msg.Partition, msg.Offset and
// msg.Timestamp are set. Offset is -1 where the broker did not tell it. Nothing
// else of msg is ever written to.
//
// Send waits for room as [Async.Send] does, and then until the message is
// stored or has failed, at most for [WithDeliveryTimeout]. If ctx ends first, Send returns
// promptly: a message that was not put into a batch yet is withdrawn, its error
// is a [*DeliveryError] that is NotPersisted, and that is its outcome. One that
// was gets a DeliveryError with Pending set; its outcome follows in the
// callbacks and in Stats, and msg is not touched any more. If the outcome and
// the end of ctx are both there, the outcome wins.
//
// An error that wraps no DeliveryError means that nothing was accepted:
// ErrClosed, ErrBufferFull, ErrInvalidMessage, ErrMessageTooLarge, or ctx's own
// error (with [context.Cause]) if it had ended before.
//
// Messages that one goroutine sends to one partition are stored in that order.
// Two concurrent sends of the same pointer would both write to its result
// fields: do not.
func (p *Sync) Send(ctx context.Context, msg *sarama.ProducerMessage) error {
	if p == nil || p.core == nil {
		return ErrClosed
	}
	w := p.waiter()
	r, err := p.core.accept(ctx, msg, delivery{wait: w})
	if err != nil {
		p.waiters.Put(w)
		return err
	}
	return p.await(ctx, r, w, msg)
}

// SendAll sends msgs in their order and waits for all outcomes. It returns nil
// if all are stored, else a [*BatchError] with one entry per message: what Send
// would have returned for it. A message that cannot be accepted does not keep
// the others from being sent. A batch may be larger than the buffer, but not in a
// callback, where a send does not wait for room. [WithMaxBlock] bounds the waits
// for room of all its messages together.
//
// It is not a transaction: some may be stored and others not. An empty batch is
// nil.
func (p *Sync) SendAll(ctx context.Context, msgs []*sarama.ProducerMessage) error {
	if len(msgs) == 0 {
		return nil
	}
	errs := make([]error, len(msgs))
	failed := false
	if p == nil || p.core == nil {
		for i := range errs {
			errs[i] = ErrClosed
		}
		return &BatchError{Errs: errs}
	}
	records := make([]*record.Record, len(msgs))
	until := time.Now().Add(p.core.cfg.maxBlock)
	for i, msg := range msgs {
		records[i], errs[i] = p.core.accept(ctx, msg, delivery{wait: p.waiter(), until: until})
	}
	for i, r := range records {
		if errs[i] == nil {
			errs[i] = p.await(ctx, r, r.Wait, msgs[i])
		}
		failed = failed || errs[i] != nil
	}
	if !failed {
		return nil
	}
	return &BatchError{Errs: errs}
}

// await waits for the outcome of a record or for the end of ctx.
func (p *Sync) await(ctx context.Context, r *record.Record, w *record.Waiter, msg *sarama.ProducerMessage) error {
	if end := ctx.Done(); end == nil {
		<-w.Done
	} else if !reached(w.Done, end) {
		if r.RefuseUnbatched() {
			p.core.gaveUp(r, 0, endError(ctx))
		} else if r.Abandon(); !r.Completed() {
			// From here on the outcome finds that nobody waits.
			return p.core.pending(ctx, r)
		}
		// The outcome is decided, and on its way if it is not here.
		<-w.Done
	}
	result := w.Result
	w.Result = record.Result{}
	p.waiters.Put(w)
	if result.Err == nil {
		msg.Partition, msg.Offset, msg.Timestamp = result.Partition, result.Offset, result.Timestamp
	}
	return result.Err
}

// pending is the error of a Send that gave up waiting.
func (c *core) pending(ctx context.Context, r *record.Record) error {
	e := c.deliveryError(r, r.Partition(), PossiblyPersisted, endError(ctx))
	e.Pending = true
	return e
}

func (p *Sync) waiter() *record.Waiter {
	if w, ok := p.waiters.Get().(*record.Waiter); ok {
		return w
	}
	return record.NewWaiter()
}

// Flush waits until every message accepted before the call has its outcome and
// its callbacks have returned: see [Async.Flush].
func (p *Sync) Flush(ctx context.Context) error {
	if p == nil || p.core == nil {
		return nil
	}
	return p.core.flush(ctx)
}

// Close ends the producer: see [Async.Close]. Sends that wait for an outcome
// get it, or ErrAborted.
func (p *Sync) Close(ctx context.Context) error {
	if p == nil || p.core == nil {
		return nil
	}
	return p.core.close(ctx)
}

// Stats returns the producer's figures.
func (p *Sync) Stats() Stats {
	if p == nil || p.core == nil {
		return Stats{}
	}
	return p.core.stats()
}

// Details returns all figures that there are of the producer.
func (p *Sync) Details() Details {
	if p == nil || p.core == nil {
		return Details{State: StateClosed}
	}
	return p.core.details()
}

// Ping asks the brokers whether one of them is there: see [Async.Ping].
func (p *Sync) Ping(ctx context.Context) error {
	if p == nil || p.core == nil {
		return ErrClosed
	}
	return p.core.ping(ctx)
}

// Ready returns nil if messages can be sent: see [Async.Ready].
func (p *Sync) Ready(ctx context.Context) error {
	if p == nil || p.core == nil {
		return ErrClosed
	}
	return p.core.ready(ctx)
}
