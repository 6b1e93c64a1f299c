package producertest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// post sends a message on the caller's goroutine.
func (x *trial) post(ctx context.Context, msg *sarama.ProducerMessage) error {
	return x.answered(msg, x.Producer.Send(ctx, msg))
}

// send sends a message, and does not wait for ever.
func (x *trial) send(ctx context.Context, msg *sarama.ProducerMessage) error {
	x.tb.Helper()
	return x.do("Send", patience, func() error { return x.post(ctx, msg) })
}

// mustSend sends n messages, which must be accepted. Those of a Sync are sent at
// the same time: each would take a way there and back.
func (x *trial) mustSend(n int) {
	x.tb.Helper()
	ctx := x.ctx()
	senders := 1
	if x.h.Sync {
		senders = n
	}
	errs := make([]error, senders)
	err := x.workers("Send", senders, func(i int) {
		for range n / senders {
			errs[i] = errors.Join(errs[i], x.post(ctx, x.message()))
		}
	}).result(patience)
	if err = errors.Join(err, errors.Join(errs...)); err != nil {
		x.tb.Fatalf("Send returned %v", err)
	}
}

// many is how many messages a goroutine sends one after the other.
func (x *trial) many() int {
	if x.h.Sync {
		return 15
	}
	return 90
}

// some is how many messages sendSome sends.
const some = 20

// sendSome sends messages that may find no outcome. It returns when they are
// accepted, as far as that can be seen.
func (x *trial) sendSome() *call {
	x.tb.Helper()
	ctx := x.ctx()
	if !x.h.Sync {
		x.mustSend(some)
		return x.begin("Send", func() error { return nil })
	}
	var begun sync.WaitGroup
	begun.Add(some)
	c := x.workers("Send", some, func(int) {
		msg := x.message()
		begun.Done()
		_ = x.post(ctx, msg)
	})
	begun.Wait()
	if _, ok := x.stats(); !ok {
		pause(moment)
		return c
	}
	x.untilStats(func(inFlight int64) bool { return inFlight >= some })
	return c
}

// untilStats waits until the number of messages in flight is right, for a second
// at most.
func (x *trial) untilStats(right func(inFlight int64) bool) {
	end := newAlarm(slack)
	defer end.stop()
	for ; !end.rang(); pause(time.Millisecond) {
		if s, ok := x.stats(); !ok || right(s.InFlight) {
			return
		}
	}
}

// refused checks that an error says that nothing was accepted, and why.
func (x *trial) refused(what string, err error, want ...error) {
	x.tb.Helper()
	if err == nil {
		x.tb.Errorf("%s: it was accepted", what)
		return
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			x.tb.Errorf("%s: %q does not wrap %q", what, err, w)
		}
	}
	if deliveryError(err) != nil {
		x.tb.Errorf("%s: %q wraps a *DeliveryError, which says that it was accepted", what, err)
	}
}
