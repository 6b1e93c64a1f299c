package e2e

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
)

// play does the steps of one goroutine.
func (c *caller) play(steps []step) {
	for _, s := range steps {
		began := time.Now()
		said := map[string]int{}
		for i := 0; i < s.n; i++ {
			switch s.op {
			case opPause:
				pause(s.within)
			case opStats:
				c.stats()
			case opFlush:
				said[c.flush(s.ending, s.within)]++
			case opClose:
				said[c.close(s.ending, s.within)]++
			case opAll:
				batch := min(10, s.n-i)
				c.sendAll(batch, s.ending, s.within, said)
				i += batch - 1
			default:
				said[c.send(s.op, s.ending, s.within)]++
			}
		}
		c.note("sender %d: %v took %v: %v", c.sender, s, time.Since(began).Round(100*time.Microsecond), said)
	}
}

// call is one call of a send, as it is judged.
type call struct {
	*caller
	op     op
	ctx    context.Context //nolint:containedctx // of the call
	dead   bool            // ctx had ended before
	after  bool            // a Close had returned before
	began  time.Time
	bound  time.Duration // when ctx will have ended; negative: never
	limit  time.Duration // the bound of the call
	waited bool          // it may wait for room
}

// begin notes what holds before a call of a send.
func (c *caller) begin(o op, ctx context.Context, bound time.Duration) *call { //nolint:revive // a ctx to judge, not to obey
	k := &call{
		caller: c, op: o, ctx: ctx, dead: ctx != nil && ctx.Err() != nil,
		after: c.closeBack.Load(), bound: bound,
	}
	if k.waited = o != opTry && c.callback == nil; k.waited {
		k.limit = c.config.maxBlock
	}
	if c.config.sync {
		k.limit += c.config.delivery
	}
	if bound >= 0 {
		k.limit = min(k.limit, bound)
	}
	k.began = time.Now()
	return k
}

// send sends one message and returns a word for what came of it.
func (c *caller) send(o op, how ending, within time.Duration) string {
	e, msg := c.next(o == opFunc)
	ctx, end, bound := c.context(how, within, e.tag)
	defer end()
	k := c.begin(o, ctx, bound)
	c.begun.Add(1)
	var err error
	switch o {
	case opTry:
		err = c.subject.TrySend(ctx, msg)
	case opFunc:
		err = c.subject.SendFunc(ctx, msg, func(ctx context.Context, msg *sarama.ProducerMessage, err error) {
			c.told(ctx, msg, err, true)
		})
	default:
		err = c.subject.Send(ctx, msg)
	}
	c.onTime(c.name(o), k.began, k.limit)
	word := k.judge(e, msg, err)
	spoilBytes(msg)
	return word
}

// name is how a call appears in the report.
func (c *caller) name(o op) string {
	name := string(o)
	if c.config.sync {
		name = "sync " + name
	}
	if c.callback != nil {
		name += " in a callback"
	}
	return name
}

// sendAll sends a batch.
func (c *caller) sendAll(n int, how ending, within time.Duration, said map[string]int) {
	entries, msgs := make([]*entry, n), make([]*sarama.ProducerMessage, n)
	for i := range n {
		entries[i], msgs[i] = c.next(false)
		entries[i].tag = entries[0].ID
		if msgs[i] != nil && msgs[i] == c.again {
			msgs[i] = new(*c.again) // one pointer cannot have two results
		}
	}
	ctx, end, bound := c.context(how, within, entries[0].ID)
	defer end()
	k := c.begin(opAll, ctx, bound)
	c.begun.Add(int64(n))
	err := c.subject.SendAll(ctx, msgs)
	c.onTime(c.name(opAll), k.began, k.limit)
	errs := make([]error, n)
	if err != nil {
		batch, ok := errors.AsType[*producer.BatchError](err)
		if !ok || len(batch.Errs) != n {
			c.violated(outcomes, "SendAll of %d returned %v", n, err)
			return
		}
		errs = batch.Errs
		c.see("BatchError", 1)
		if len(batch.Unwrap()) == 0 {
			c.violated(contradict, "a BatchError without an error")
		}
	}
	for i := range n {
		said[k.judge(entries[i], msgs[i], errs[i])]++
		spoilBytes(msgs[i])
	}
}

// judge decides whether a send may say that, notes it, and returns a word for
// it.
func (k *call) judge(e *entry, msg *sarama.ProducerMessage, err error) string {
	word := k.word(e, err)
	delivery := judge.DeliveryError(err)
	k.mu.Lock()
	e.Answered, e.Returned = true, err
	if k.config.callbacks == toldNone && (err == nil || delivery != nil) {
		o := outcome{Err: err, Partition: -1, Offset: -1}
		if err == nil {
			// Sends return in any order, which is not that of callbacks.
			o.Partition, o.Offset, o.Order = msg.Partition, msg.Offset, int(max(0, msg.Offset))
		}
		e.Outcomes = append(e.Outcomes, o)
		k.reported++
	}
	k.mu.Unlock()
	if err == nil || delivery != nil {
		k.accepted.Add(1)
		state := entryAccepted
		if k.config.callbacks == toldNone {
			state |= entryDone // at once, or a Flush could find the one without the other
		}
		e.state.Or(state)
	} else {
		k.rejected.Add(1)
		e.state.Or(entryRejected)
	}
	if msg != nil && k.config.sync && err == nil {
		if msg.Offset == untouched || msg.Partition < 0 || msg.Timestamp.IsZero() {
			k.violated(misplaced, "message %d was delivered and its message says %d@%d", e.ID, msg.Partition, msg.Offset)
		}
	} else if msg != nil && (msg.Offset != untouched || !msg.Timestamp.IsZero() || msg.Metadata != any(e)) {
		k.violated(altered, "%s wrote to message %d: %+v", k.op, e.ID, msg)
	}
	return word
}

// word names what a send said, and notes a violation if it may not say that.
func (k *call) word(e *entry, err error) string {
	wrong := func(why string) string {
		k.violated(contradict, "%s of message %d said %v: %s", k.name(k.op), e.ID, err, why)
		return "wrong"
	}
	ctxEnded := k.ctx != nil && k.ctx.Err() != nil
	ofCtx := func() bool {
		return ctxEnded && errors.Is(err, k.ctx.Err()) && errors.Is(err, context.Cause(k.ctx))
	}
	delivery := judge.DeliveryError(err)
	switch {
	case k.ctx == nil:
		if !errors.Is(err, producer.ErrInvalidMessage) {
			return wrong("its ctx was nil")
		}
		k.see("nil ctx", 1)
		return "invalid"
	case k.dead:
		if delivery != nil || !ofCtx() || errors.Is(err, producer.ErrBufferFull) {
			return wrong("its ctx had ended before")
		}
		k.see("dead ctx", 1)
		return "dead"
	case delivery != nil:
		return k.failed(delivery, e, err, wrong)
	case errors.Is(err, producer.ErrClosed):
		if !k.closing.Load() {
			return wrong("no Close had begun")
		}
		k.see("ErrClosed", 1)
		if k.waited && time.Since(k.began) > 2*time.Millisecond {
			k.see("ErrClosed while it waited", 1)
		}
		return "closed"
	case k.after:
		// A ctx that ends between our look and the library's is seen first.
		if !ofCtx() {
			return wrong("a Close had returned before")
		}
		return "dead"
	case err != nil && ofCtx() && !errors.Is(err, producer.ErrBufferFull):
		return "dead" // it ended between our look and the library's
	case e.refusal != nil:
		if !errors.Is(err, e.refusal) {
			return wrong("want " + e.refusal.Error())
		}
		k.see(e.refusal.Error(), 1)
		return "invalid"
	case errors.Is(err, producer.ErrBufferFull):
		return k.full(wrong, ofCtx)
	case err != nil:
		return wrong("no such error is promised")
	case e.depth > 0:
		k.see("re-entrant send", 1)
	}
	return "ok"
}

// full judges an ErrBufferFull.
func (k *call) full(wrong func(string) string, ofCtx func() bool) string {
	switch {
	case k.callback != nil:
		k.see("ErrBufferFull in a callback", 1)
	case k.op == opTry:
		k.see("ErrBufferFull of TrySend", 1)
	case ofCtx():
		k.see("ErrBufferFull by ctx", 1)
	case time.Since(k.began) < k.config.maxBlock:
		return wrong("neither MaxBlock nor ctx was over")
	default:
		k.see("ErrBufferFull after MaxBlock", 1)
	}
	return "full"
}

// wasTold reports whether the outcome of a message came before the deadline of
// the ctx that it was sent with.
func (k *call) wasTold(e *entry) bool {
	deadline, ok := k.ctx.Deadline()
	k.mu.Lock()
	defer k.mu.Unlock()
	return ok && !e.toldAt.IsZero() && e.toldAt.Before(deadline)
}

// failed judges a DeliveryError that a send returned.
func (k *call) failed(delivery *producer.DeliveryError, e *entry, err error, wrong func(string) string) string {
	switch {
	case !k.config.sync:
		return wrong("an Async only accepts")
	case k.after:
		return wrong("a Close had returned before")
	case e.refusal != nil:
		return wrong("the message could not be sent")
	}
	ended := k.ctx.Err() != nil && errors.Is(delivery.Err, k.ctx.Err()) && errors.Is(delivery.Err, context.Cause(k.ctx))
	switch {
	case delivery.Pending && (!ended || delivery.Status != producer.PossiblyPersisted):
		return wrong("Pending is for a ctx that ended")
	case delivery.Pending && k.wasTold(e):
		return wrong("its outcome was there before ctx ended")
	case delivery.Pending:
		k.see("pending", 1)
		return "pending"
	case ended && delivery.Status == producer.NotPersisted:
		k.see("withdrawn", 1)
		return "withdrawn"
	}
	if why := k.explain(e, err); why != "" {
		return wrong(why)
	}
	return "failed"
}
