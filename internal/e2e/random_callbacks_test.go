package e2e

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
)

// reaction is what a callback does beside noting what it was told.
type reaction string

const (
	reSend    reaction = "send"
	reTry     reaction = "try"
	reFunc    reaction = "func"
	reAll     reaction = "all"
	reFlush   reaction = "flush"
	reClose   reaction = "close"
	reStats   reaction = "stats"
	rePanic   reaction = "panic"
	reGoexit  reaction = "goexit"
	reBlock   reaction = "block"   // for a few milliseconds
	reOutlast reaction = "outlast" // for longer than a short Close
	reSpawn   reaction = "spawn"   // waits for another goroutine that sends with the callback's ctx
)

// How much callbacks of one program may do, so that it ends in good time.
const (
	mostBlocked    = 15
	mostOutlasting = 1
	mostReentered  = 400
	outlasting     = 900 * time.Millisecond
)

// errPanic is what callbacks panic with.
var errPanic = errors.New("the test's panic")

// told is every callback of a program: fn says that it is a SendFunc's function.
func (r *run) told(ctx context.Context, msg *sarama.ProducerMessage, err error, fn bool) {
	began := time.Now()
	if r.cleanEnd.Load() {
		r.violated(outcomes, "a callback came after Close had returned nil")
	}
	if n := r.running.Add(1); n > int64(r.config.workers) {
		r.violated(outcomes, "%d callbacks run at the same time", n)
	}
	e, ok := msg.Metadata.(*entry)
	last := ok && (!fn || r.config.callbacks == toldFuncs)
	defer func() {
		if last {
			e.state.Or(entryDone)
		}
		r.callbackTime.Add(int64(time.Since(began)))
		r.running.Add(-1)
	}()
	if !ok {
		r.violated(altered, "a callback got Metadata %v", msg.Metadata)
		return
	}
	if last {
		r.callsBegun.Add(1)
	}
	r.mu.Lock()
	o := outcome{Err: err, Partition: msg.Partition, Offset: msg.Offset, Order: r.reported}
	if fn {
		e.results = append(e.results, o)
		if len(e.Outcomes) > 0 {
			r.found = append(r.found, violation{Kind: outcomes, Text: fmt.Sprintf("SendFunc's function of message %d came second", e.ID)})
		}
	}
	if last {
		e.Outcomes = append(e.Outcomes, o)
		e.toldAt = began
		r.reported++
	}
	r.mu.Unlock()
	r.checkCallback(ctx, e, msg, err)
	// One of two callbacks reacts.
	if e.react != "" && last != (e.withFunc && e.ID%2 == 0 && r.config.callbacks == toldAll) {
		r.reaction(ctx, e)
	}
}

// checkCallback checks what a callback is given.
func (r *run) checkCallback(ctx context.Context, e *entry, msg *sarama.ProducerMessage, err error) {
	wrong := func(kind, what string) {
		r.violated(kind, "the callback of message %d got %s: %+v, %v", e.ID, what, msg, err)
	}
	if _, hasDeadline := ctx.Deadline(); hasDeadline || ctx.Err() != nil || ctx.Value(tagKey{}) != any(e.tag) {
		wrong(contradict, fmt.Sprintf("a wrong ctx, tag %v", ctx.Value(tagKey{})))
	}
	value, _ := msg.Value.Encode()
	var key []byte
	if msg.Key != nil {
		key, _ = msg.Key.Encode()
	}
	if msg.Topic != e.Topic || !judge.Same(value, e.Value) || !judge.Same(key, e.Key) || !sameHeaders(msg.Headers, e.headers) {
		wrong(altered, "another message")
	}
	if msg.Timestamp.IsZero() {
		wrong(altered, "no timestamp")
	}
	if err == nil {
		if msg.Partition < 0 || msg.Offset < -1 || (msg.Offset == -1) != (msg.Offset < 0) {
			wrong(misplaced, "no place")
		}
		if msg.Offset == -1 {
			r.see("an offset that is not known", 1)
			if r.config.acks != sarama.NoResponse && !r.config.idempotent {
				wrong(misplaced, "no offset")
			}
		}
		return
	}
	r.checkFailure(e, msg, err, wrong)
}

// checkFailure checks what a callback is told of a message that failed.
func (r *run) checkFailure(e *entry, msg *sarama.ProducerMessage, err error, wrong func(kind, what string)) {
	failure, ok := err.(*producer.DeliveryError) //nolint:errorlint // it is promised to be one itself
	switch {
	case !ok || failure.Pending:
		wrong(outcomes, "no final DeliveryError")
	case msg.Offset != -1 || msg.Partition < -1 || failure.Partition != msg.Partition || failure.Topic != e.Topic:
		wrong(misplaced, "another place")
	case failure.Attempts == 0 && failure.Status != producer.NotPersisted:
		wrong(untrue, "possibly persisted without an attempt")
	case errors.Is(failure.Err, producer.ErrDeliveryTimeout) && failure.Elapsed < r.config.delivery:
		wrong(kindLate, "a delivery timeout before its time")
	default:
		if why := r.explain(e, err); why != "" {
			wrong(contradict, why)
		}
	}
	// Its callback may have waited for others, its outcome must not.
	r.within("failure", time.Now().Add(-failure.Elapsed), failure.Elapsed, r.config.delivery)
}

// reaction does what a callback is planned to do.
func (r *run) reaction(ctx context.Context, e *entry) {
	sender := -1 // one worker is one goroutine after the other
	if r.config.workers > 1 {
		sender = -10 - e.ID
	}
	c := &caller{run: r, sender: sender, dice: seeded(r.seed, uint64(e.ID)<<16|0xca11), callback: ctx, depth: e.depth + 1}
	r.see("callback: "+string(e.react), 1)
	how := pick(c.dice, never, never, dead)
	switch e.react {
	case reStats:
		c.stats()
	case reFlush:
		c.flush(how, 0)
	case reClose:
		c.close(how, 0)
	case rePanic:
		r.panics.Add(1)
		panic(errPanic)
	case reGoexit:
		r.panics.Add(1)
		runtime.Goexit()
	case reBlock:
		if r.blocked.Add(1) <= mostBlocked {
			pause(c.dice.millis(1, 15))
		}
	case reOutlast:
		if r.outlasting.Add(1) <= mostOutlasting {
			pause(outlasting)
		}
	default:
		c.reenter(e.react)
	}
}

// reenter sends from a callback.
func (c *caller) reenter(what reaction) {
	most := int64(mostReentered)
	if c.config.sync {
		most = 10 // each waits for its outcome
	}
	if c.reentered.Add(1) > most {
		return
	}
	o := map[reaction]op{reSend: opSend, reTry: opTry, reFunc: opFunc, reAll: opAll, reSpawn: opSend}[what]
	if c.config.sync && o != opAll {
		o = opSend
	} else if !c.config.sync && (o == opAll || c.config.callbacks == toldFuncs) {
		o = opFunc
	}
	switch {
	case o == opAll:
		c.sendAll(3, never, 0, map[string]int{})
	case what == reSpawn:
		done := make(chan struct{})
		go func() {
			defer close(done)
			other := *c
			// Its own ctx, which says that it is part of the callback.
			other.sender = -1_000_000 - int(c.reentered.Load())
			other.dice = dice{func(int) int { return 0 }}
			other.send(o, never, 0)
		}()
		<-done
	default:
		for range c.dice.between(1, 3) {
			c.send(o, pick(c.dice, never, never, soon), time.Second)
		}
	}
}
