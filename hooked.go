package producer

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/dispatch"
	"github.com/saramakit/producer/internal/record"
)

// hooks are those of a producer, in the order of the options.
type hooks struct {
	all []Hook
	// What runs where callbacks do, without the functions that are nil.
	onDone, onLate []func(context.Context, *sarama.ProducerMessage, Outcome)
}

func (h *hooks) add(hook Hook) {
	h.all = append(h.all, hook)
	if hook.OnDone != nil {
		h.onDone = append(h.onDone, hook.OnDone)
	}
	if hook.OnLate != nil {
		h.onLate = append(h.onLate, hook.OnLate)
	}
}

// any reports whether there is a hook.
func (h *hooks) any() bool { return len(h.all) > 0 }

// errGoroutineEnded is the outcome of a message whose Send did not return: an
// Encoder, an interceptor or a hook ended its goroutine.
var errGoroutineEnded = invalidMessage(errors.New("the goroutine of its Send was ended"))

// acceptHooked is accept with hooks.
func (c *core) acceptHooked(ctx context.Context, msg *sarama.ProducerMessage, d *delivery) (r *record.Record, err error) {
	s := c.sends.take(ctx, msg)
	err = errGoroutineEnded
	begun := 0 // hooks that were told of the send
	defer func() {
		if err != nil {
			c.rejected(err)
			c.refusedHooked(c.cfg.hooks.all[:begun], s, err)
		}
		c.sends.put(s)
	}()
	for i := range c.cfg.hooks.all {
		begun++
		if f := c.cfg.hooks.all[i].OnSend; f != nil {
			c.contain(f, s.shown.Topic, func() { s.start.Extend(f(s.start.Context, &s.shown)) })
		}
	}
	keyless := func(h sarama.RecordHeader) bool { return h.Key == nil }
	switch {
	case msg == nil:
	case slices.ContainsFunc(msg.Headers, keyless):
		s.headers = msg.Headers // it is refused for that, whatever hooks have added
	default:
		s.headers = slices.DeleteFunc(s.shown.Headers, keyless)
	}
	with := *d
	with.hooked = s
	return c.admit(ctx, msg, with)
}

// hookedSend is a send of which hooks are told, until it returns.
type hookedSend struct {
	start   record.Start
	shown   sarama.ProducerMessage // what OnSend gets
	room    [4]sarama.RecordHeader // for the headers of shown
	headers []sarama.RecordHeader  // what is sent
}

// hookedSends are free ones: each send needs one.
type hookedSends struct{ pool sync.Pool }

// take returns one for a message. What is shown of that has headers of its own.
func (p *hookedSends) take(ctx context.Context, msg *sarama.ProducerMessage) *hookedSend {
	s, ok := p.pool.Get().(*hookedSend)
	if !ok {
		s = &hookedSend{}
	}
	if ctx == nil {
		ctx = context.Background()
	}
	s.start.Begin(ctx)
	if msg == nil {
		s.shown = sarama.ProducerMessage{}
		return s
	}
	s.shown = sarama.ProducerMessage{
		Topic: msg.Topic, Key: msg.Key, Value: msg.Value, Metadata: msg.Metadata,
		Headers: appendHeaders(s.room[:0], msg.Headers), Partition: msg.Partition, Timestamp: msg.Timestamp,
	}
	return s
}

// put takes one back. What it shows stays in it until the next send, or until the
// garbage collector empties the pool: to clear it would cost as much again.
func (p *hookedSends) put(s *hookedSend) {
	s.headers = nil
	p.pool.Put(s)
}

// refusedHooked tells hooks of a message that was not accepted.
func (c *core) refusedHooked(hooks []Hook, s *hookedSend, err error) {
	o := Outcome{Err: err, Partition: -1, Offset: -1, Sent: s.start.Sent, Done: time.Now()}
	for i := range hooks {
		if f := hooks[i].OnDone; f != nil {
			c.contain(f, s.shown.Topic, func() { f(s.start.Context, &s.shown, o) })
		}
	}
}

// contain runs a function of a hook in the goroutine of a sender. A panic is
// counted and logged, as one of a callback is. What it did until then stays.
func (c *core) contain(f any, topic string, call func()) {
	defer func() {
		if p := recover(); p != nil {
			c.counts.panics.Add(1)
			c.log.panicked(functionName(f), topic, dispatch.Failure{Panic: p, Stack: debug.Stack()})
		}
	}()
	call()
}

// outcome is what hooks are told of a record that was accepted.
func outcome(r *record.Record) Outcome {
	t, m := r.Trail(), r.Report()
	times := t.Times(r)
	o := Outcome{
		Err: r.Cause(), Partition: m.Partition, Offset: m.Offset, Attempts: r.Attempts(),
		Sent: t.Sent, Accepted: times.Accepted, Acknowledged: times.Acknowledged, Done: times.Decided,
	}
	if o.Attempts > 0 {
		o.Encoded = times.Encoded
	}
	return o
}

// tellLate tells hooks what a broker said of a record that had been given up,
// when its callbacks have returned.
func (c *core) tellLate(r *record.Record) {
	late, err, written := r.Late()
	if err != nil {
		status := PossiblyPersisted
		if !written {
			status = NotPersisted
		}
		late.Fail(c.deliveryError(late, late.Report().Partition, status, err))
	}
	c.callbacks.Enqueue(late)
}

// answered reports whether a broker has said what became of a record that was
// sent, whatever it said.
func answered(r *record.Record, err error) bool {
	if err == nil {
		return true
	}
	_, code := errors.AsType[sarama.KError](err)
	return code && r.Attempts() > 0
}
