package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/budget"
	"github.com/saramakit/producer/internal/dispatch"
	"github.com/saramakit/producer/internal/gate"
	"github.com/saramakit/producer/internal/histogram"
	"github.com/saramakit/producer/internal/lane"
	"github.com/saramakit/producer/internal/record"
	"github.com/saramakit/producer/internal/registry"
)

// seam is all that the core knows of a transport.
type seam interface {
	// Submit hands one record over. It waits for no broker.
	Submit(r *record.Record)
	// Ask asks whether a topic exists, see lane.Checker.
	Ask(ctx context.Context, topic string) error
	// Ping returns nil if a broker answers.
	Ping(ctx context.Context) error
	// Abort ends every wait inside the transport. Idempotent, never waits.
	Abort()
	// Close ends the transport; every record it holds still comes back. The
	// channel is closed when nothing is left of it.
	Close() <-chan struct{}
}

// core is the producer behind Sync and Async. A message passes
//
//	Send → gate → budget → registry → lanes → transport
//	     → returned → registry → dispatcher → callback → budget
//
// and is in flight from the registry on until its callbacks have returned.
type core struct {
	cfg  *config
	log  *logger
	home *record.Home // the mark of this producer's records

	gate      *gate.Gate
	budget    *budget.Budget
	registry  *registry.Registry
	lanes     *lane.Set
	transport seam
	callbacks *dispatch.Dispatcher

	counts counters
	// latency is of delivered messages, from the acceptance to the answer.
	latency histogram.Histogram
	// lastOutcome is when the transport last had one, as registry.Now says; 0: never.
	lastOutcome atomic.Int64
	lastSlow    atomic.Pointer[string] // the callback that was last reported as slow
	sends       hookedSends
	started     time.Time

	// One shutdown serves all calls of Close.
	closeOnce sync.Once
	boundOnce sync.Once     // of the call of Close from a callback that is waited for
	aborting  chan struct{} // closed when Close may wait no longer
	abortOnce sync.Once
	abortErr  error         // why; written before aborting is closed
	closed    chan struct{} // closed when the shutdown is over
	closeErr  error         // its result; written before closed is closed

	clocks sync.WaitGroup // the goroutines that expire records, and look for a stall
	stop   chan struct{}  // ends them
}

// counters are the figures of Stats that are not kept where they arise.
type counters struct {
	rejected, late, held  atomic.Int64
	panics, slow, waiting atomic.Int64

	// Since Close began, for its error.
	closing                    atomic.Bool
	delivered, failed, aborted atomic.Int64

	failures, rejections kinds // of what Stats counts as Failed and Rejected
	stalls               atomic.Int64
	stalled              atomic.Bool
}

// newCore builds a producer over the transport that open returns. open is given
// where records come back, and what the transport may ask about topics.
func newCore(cfg *config, open func(c *core) (seam, error)) (*core, error) {
	c := &core{
		cfg: cfg, log: newLogger(cfg.logger), home: &record.Home{Most: cfg.maxMessageBytes},
		gate:     gate.New(),
		budget:   budget.New(int64(cfg.maxBuffered), cfg.maxBufferedBytes),
		registry: registry.New(),
		started:  time.Now(),
		aborting: make(chan struct{}), closed: make(chan struct{}), stop: make(chan struct{}),
	}
	c.lanes = lane.New(lane.Config{
		Limit:    cfg.laneLimit,
		PerTopic: int64(cfg.maxBufferedPerTopic),
		Submit:   func(r *record.Record) { c.transport.Submit(r) },
		Checker: lane.Checker{
			Ask:     func(ctx context.Context, topic string) error { return c.transport.Ask(ctx, topic) },
			Unknown: ErrUnknownTopic,
			Grace:   cfg.unknownTopicTimeout,
		},
		Fail: c.neverHanded,
	})
	t, err := open(c)
	if err != nil {
		c.lanes.Stop()
		<-c.log.Stop() // nothing was logged yet
		return nil, err
	}
	c.transport = t
	for _, topic := range cfg.topics {
		c.lanes.Open(topic)
	}
	c.callbacks = dispatch.New(cfg.callbackWorkers, cfg.slowCallback, (*calls)(c))
	c.clocks.Go(c.expire)
	c.clocks.Go(c.watch)
	return c, nil
}

// delivery is how a send differs from the others.
type delivery struct {
	wait     *record.Waiter
	onResult ResultFunc
	try      bool // do not wait for room
	// until is when the wait for room ends; zero: MaxBlock from now.
	until time.Time

	hooked *hookedSend // nil: the producer has no hooks
}

// accept takes a message over and sends it on its way. If it returns an error
// nothing was accepted.
func (c *core) accept(ctx context.Context, msg *sarama.ProducerMessage, d delivery) (*record.Record, error) {
	if c.cfg.hooks.any() {
		return c.acceptHooked(ctx, msg, &d)
	}
	r, err := c.admit(ctx, msg, d)
	if err != nil {
		c.rejected(err)
	}
	return r, err
}

// rejected counts a message that was not accepted.
func (c *core) rejected(err error) {
	c.counts.rejected.Add(1)
	c.counts.rejections.add(ErrorKind(err))
}

func (c *core) admit(ctx context.Context, msg *sarama.ProducerMessage, d delivery) (*record.Record, error) {
	if ctx == nil {
		return nil, invalidMessage(record.ErrNilContext)
	}
	if ctx.Err() != nil {
		return nil, endError(ctx)
	}
	if c.gate.Closed() {
		return nil, ErrClosed
	}
	cp, err := c.copy(ctx, msg, d.hooked)
	if d.hooked != nil && errors.Is(err, ErrMessageTooLarge) {
		d.hooked.headers = msg.Headers // it may be for those of hooks
		cp, err = c.copy(ctx, msg, d.hooked)
	}
	if err != nil {
		return nil, err
	}
	// The user's Encoders have run: from here on nothing in the gate waits for
	// anything that Close cannot end.
	if !c.gate.Enter() {
		return nil, ErrClosed
	}
	defer c.gate.Leave()
	r := cp.Record
	l := c.lanes.Use(r.Msg.Topic)
	defer l.Leave()
	waited, err := c.room(ctx, l, r.Size(), d)
	if err != nil {
		return nil, err
	}
	if waited {
		cp.Now = time.Now()
	}
	if d.hooked != nil {
		r.Trail().Accept(cp.Now)
	}
	r.Lane, r.Wait, r.OnResult = l, d.wait, record.ResultFunc(d.onResult)
	c.registry.Add(r, cp.Now)
	c.lanes.Submit(l, r)
	return r, nil
}

// copy makes the record of a message, and refuses what cannot be sent.
func (c *core) copy(ctx context.Context, msg *sarama.ProducerMessage, s *hookedSend) (record.Copy, error) {
	var start *record.Start
	var headers []sarama.RecordHeader
	if s != nil {
		start, headers = &s.start, s.headers
	}
	if len(c.cfg.interceptors) > 0 && msg != nil {
		if s != nil {
			msg = shallow(msg, headers)
		}
		var err error
		if msg, err = c.intercept(msg); err != nil {
			return record.Copy{}, invalidMessage(err)
		}
		headers = msg.Headers
	}
	cp, err := record.NewFollowed(ctx, msg, c.home, start, headers)
	if err != nil {
		return record.Copy{}, invalidMessage(err)
	}
	if cp.Record == nil {
		// Not how large it is: logs are grouped by the text.
		return record.Copy{}, fmt.Errorf("%w: at most %d bytes are allowed (WithMaxMessageBytes)",
			ErrMessageTooLarge, c.cfg.maxMessageBytes)
	}
	if !c.budget.Fits(cp.Record.Size()) {
		return record.Copy{}, fmt.Errorf("%w: the whole buffer has %d bytes (WithMaxBufferedBytes)",
			ErrMessageTooLarge, c.cfg.maxBufferedBytes)
	}
	return cp, nil
}

func invalidMessage(cause error) error { return fmt.Errorf("%w: %w", ErrInvalidMessage, cause) }

// room takes room for a message of that size: first in its topic's part of the
// budget, then in the whole, so that a sender who waits for its topic holds
// nothing that others could use. It reports whether it waited.
func (c *core) room(ctx context.Context, l *lane.Lane, size int64, d delivery) (waited bool, err error) {
	topic := l.Room()
	if topic == nil || topic.TryAcquire(size) {
		if c.budget.TryAcquire(size) {
			return false, nil
		}
		if topic != nil {
			topic.Release(size)
		}
	}
	if d.try {
		return false, ErrBufferFull
	}
	if c.inCallback(ctx) {
		return false, c.overdraw(topic, size)
	}
	block := c.cfg.maxBlock
	if !d.until.IsZero() {
		block = time.Until(d.until)
	}
	if block <= 0 {
		return false, ErrBufferFull
	}
	c.counts.waiting.Add(1)
	defer c.counts.waiting.Add(-1)
	until := time.Now().Add(block)
	if topic != nil {
		if err := c.waitFor(ctx, topic, until, size); err != nil {
			return true, err
		}
	}
	if err := c.waitFor(ctx, c.budget, until, size); err != nil {
		if topic != nil {
			topic.Release(size)
		}
		return true, err
	}
	// The delivery timeout counts from here.
	return true, nil
}

// waitFor has a timer of its own: one that fired in a wait that was granted all
// the same would not fire again in the next.
func (c *core) waitFor(ctx context.Context, b *budget.Budget, until time.Time, size int64) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	switch b.Acquire(ctx, c.gate.Closing(), timer.C, size) {
	case budget.Granted:
		return nil
	case budget.Closed:
		return ErrClosed
	case budget.ContextEnded:
		return fmt.Errorf("%w: %w", ErrBufferFull, endError(ctx))
	default:
		return ErrBufferFull
	}
}

// overdraw takes room beyond the budget for a send from a callback: waiting
// would be for room that only this callback's return can free.
func (c *core) overdraw(topic *budget.Budget, size int64) error {
	if topic != nil && !topic.Overdraw(size) {
		return ErrBufferFull
	}
	if !c.budget.Overdraw(size) {
		if topic != nil {
			topic.Release(size)
		}
		return ErrBufferFull
	}
	return nil
}

// inCallback reports whether the call comes from a callback of this producer:
// by the mark in its ctx, or by its goroutine. For slow paths only.
func (c *core) inCallback(ctx context.Context) bool {
	return record.InCall(ctx, c.home) || c.callbacks.OnWorker()
}

// expire ends records that have no outcome within the delivery timeout. It
// sleeps until the oldest is due: one that is accepted meanwhile is due later.
func (c *core) expire() {
	timeout := c.cfg.deliveryTimeout
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-timer.C:
		}
		now := time.Now()
		due, next := c.registry.Undecided(now.Add(-timeout))
		for _, r := range due {
			c.giveUp(r, ErrDeliveryTimeout)
		}
		until := timeout
		if !next.IsZero() {
			until = time.Until(next.Add(timeout))
		}
		timer.Reset(expiryPause(until, time.Since(now)))
	}
}

// expiryPause is how long expire sleeps if the next record is due after until
// and the last look took so long. Looking through many records that wait for a
// stuck callback takes a while, and keeps senders waiting: no more than a tenth
// of the time, unless they are millions. But it may have taken so long because
// the machine was busy, and then those that are due must not wait for ten times
// that.
func expiryPause(until, took time.Duration) time.Duration {
	const longest = 250 * time.Millisecond
	return max(until, min(9*took, longest))
}

// flush waits until every record accepted before is finished.
func (c *core) flush(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if c.inCallback(ctx) {
		return ErrInCallback
	}
	mark := c.registry.Mark()
	if reached(mark.Reached(), ctx.Done()) {
		return nil
	}
	if left := c.registry.Drop(mark); left > 0 {
		return &FlushError{Left: left, Err: endError(ctx)}
	}
	return nil
}

// reached waits for done or end, and reports whether it was done: also if both
// have come.
func reached[T any](done <-chan struct{}, end <-chan T) bool {
	select {
	case <-done:
		return true
	case <-end:
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}
