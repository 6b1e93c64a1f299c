package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/eapache/go-resiliency/breaker"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

// causeOf names the cause of a DeliveryError; "" is one that nobody knows.
func causeOf(err error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{producer.ErrDeliveryTimeout, "timeout"},
		{producer.ErrAborted, "aborted"},
		{producer.ErrUnknownTopic, "unknown topic"},
		{breaker.ErrBreakerOpen, "open breaker"},
		{context.Canceled, "ctx"},
		{context.DeadlineExceeded, "ctx"},
		{sarama.ErrOutOfBrokers, "no broker"},
		{sarama.ErrNotConnected, "no broker"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	if _, ok := errors.AsType[sarama.KError](err); ok {
		return "code"
	}
	if _, ok := errors.AsType[sarama.PacketDecodingError](err); ok || errors.Is(err, sarama.ErrIncompleteResponse) {
		return "garbled"
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "network"
	}
	return ""
}

// explain says why a message may not have failed like that; "" if it may.
func (r *run) explain(e *entry, err error) string {
	cause := causeOf(err)
	failure := judge.DeliveryError(err)
	r.see(fmt.Sprintf("failed: %s, %v", cause, failure.Status), 1)
	switch cause {
	case "":
		return "no cause that is known"
	case "aborted":
		if !r.closing.Load() {
			return "no Close had begun"
		}
		return ""
	case "ctx":
		if !r.config.sync || failure.Status != producer.NotPersisted {
			return "only a sync Send withdraws a message"
		}
		return ""
	case "unknown topic":
		if failure.Status != producer.NotPersisted || failure.Attempts != 0 {
			return "an unknown topic stores nothing"
		}
		if r.doubtful(e.Topic) || r.has("hidden topic") {
			return ""
		}
		return "the topic is there"
	}
	if len(r.faults) == 0 || len(r.faults[0]) == 0 {
		return "there was no fault"
	}
	if r.lossless {
		return "no fault was one that costs a message"
	}
	if code, ok := errors.AsType[sarama.KError](err); ok && cause == "code" && !r.answers(code) {
		return "nobody answered that code"
	}
	return ""
}

// doubtful reports whether a topic may not exist.
func (r *run) doubtful(topic string) bool {
	i := slices.Index(r.names, topic)
	return i >= 0 && r.topics[i].kind != exists
}

// has reports whether a fault is planned.
func (r *run) has(name string) bool {
	return slices.ContainsFunc(slices.Concat(r.faults...), func(d disturbance) bool { return d.fault == name })
}

// answers reports whether a code is one of the planned faults, or one that
// brokers answer when those have passed.
func (r *run) answers(code sarama.KError) bool {
	switch code {
	case sarama.ErrUnknownTopicOrPartition, sarama.ErrLeaderNotAvailable, sarama.ErrNotLeaderForPartition,
		// A batch that failed for good leaves a gap in the sequence.
		sarama.ErrOutOfOrderSequenceNumber, sarama.ErrInvalidProducerEpoch, sarama.ErrUnknownProducerID:
		return true
	default:
	}
	return slices.ContainsFunc(slices.Concat(r.faults...), func(d disturbance) bool {
		return slices.Contains(faultNamed(d.fault).codes, code)
	})
}

// end flushes and closes the producer, when all faults are gone.
func (r *run) end(ctx context.Context) {
	c := r.caller(-3, seeded(r.seed, 1<<40))
	clean := !r.closing.Load()
	if clean {
		if r.heals {
			c.heal()
		}
		c.flush(never, 0)
	}
	const generous = 30 * time.Second
	closing, cancel := context.WithTimeout(ctx, generous)
	defer cancel()
	if word := c.closeWith(closing, generous); clean && word != "ok" && !r.closedByCallback() {
		r.violated(contradict, "the last Close said %v", r.result)
	}
	// Callbacks that Close did not wait for.
	if err := r.subject.Flush(closing); err != nil {
		r.violated(outcomes, "after Close callbacks are left: %v", err)
	}
	if word := c.send(c.config.sendOp(), never, 0); word != "closed" {
		r.violated(contradict, "a send after Close: %s", word)
	}
	ended, cancelEnded := context.WithCancel(ctx)
	cancelEnded()
	if err := r.subject.Flush(ended); err != nil {
		r.violated(contradict, "Flush of a closed producer said %v", err)
	}
	r.released()
}

// closedByCallback reports whether a callback has begun the end.
func (r *run) closedByCallback() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.abandon.IsZero()
}

// sendOp is a send that the producer has.
func (c *settings) sendOp() op {
	if c.callbacks == toldFuncs {
		return opFunc
	}
	return opSend
}

// heal sends until messages are delivered again.
func (c *caller) heal() {
	began := time.Now()
	for delivered := 0; delivered < 3; {
		if time.Since(began) > 25*time.Second {
			c.violated("O9 no progress", "the faults are gone for %v and messages still fail", time.Since(began))
			return
		}
		c.send(c.config.sendOp(), never, 0)
		c.flush(never, 0)
		c.mu.Lock()
		e := c.last
		ok := len(e.Outcomes) == 1 && e.Outcomes[0].Err == nil
		c.mu.Unlock()
		if ok {
			delivered++
		} else {
			pause(20 * time.Millisecond)
		}
	}
	c.note("healed after %v", time.Since(began).Round(time.Millisecond))
	c.see("healed", 1)
}

// released checks that all room was given back. What an abort has cut loose
// takes a moment to come back from sarama.
func (r *run) released() {
	until := time.Now()
	if !r.cleanEnd.Load() {
		until = until.Add(5 * time.Second)
	}
	for {
		s := r.subject.Stats()
		if s.Held == 0 && s.Buffered == 0 && s.BufferedBytes == 0 && s.Waiting == 0 {
			return
		}
		if time.Now().After(until) {
			r.violated(kindRoom, "not all room was given back: %+v; all goroutines:\n%s", s, stacks())
			return
		}
		pause(5 * time.Millisecond)
	}
}

// verify judges what was said against the log and the books.
func (r *run) verify(ctx context.Context) {
	history, failed, aborted := make([]message, len(r.entries)), int64(0), 0
	for i, e := range r.entries {
		history[i] = e.message
		r.verifyFunc(e)
		for _, o := range e.Outcomes {
			if o.Err != nil {
				failed++
			}
			if errors.Is(o.Err, producer.ErrAborted) {
				aborted++
			}
		}
	}
	stored, err := r.log(ctx)
	if err != nil {
		r.violated("setup", "%v", err)
		return
	}
	for _, v := range judged(history, stored, rules{
		Sync: r.config.sync && r.config.callbacks == toldAll, Stored: r.config.acks != sarama.NoResponse, Idempotent: r.config.idempotent,
	}) {
		r.violated(v.Kind, "%s", v.Text)
	}
	r.verifyHeaders(stored)

	s := r.subject.Stats()
	if s.Accepted != r.accepted.Load() || s.Rejected != r.rejected.Load() || s.InFlight != 0 || s.CallbackPanics != r.panics.Load() {
		r.violated(kindBooks, "at the end %+v, want %d accepted, %d rejected, %d panics", s, r.accepted.Load(), r.rejected.Load(), r.panics.Load())
	}
	if r.config.callbacks != toldNone && (s.Failed != failed || s.Delivered != int64(r.reported)-failed) {
		r.violated(kindBooks, "at the end %+v, want %d outcomes, %d failed", s, r.reported, failed)
	}
	if r.watched != nil && r.spoil == nil {
		r.watched.verify(r.figures)
	}
	failure, _ := errors.AsType[*producer.CloseError](r.result)
	if r.config.callbacks != toldNone && (failure == nil && aborted > 0 || failure != nil && failure.Undelivered != aborted) {
		r.violated(kindBooks, "%d messages were aborted, Close said %+v", aborted, failure)
	}
}

// verifyFunc checks what SendFunc's function was told.
func (r *run) verifyFunc(e *entry) {
	switch {
	case !e.withFunc || r.config.callbacks != toldAll:
	case !e.Accepted():
		if len(e.results) > 0 {
			r.violated(outcomes, "SendFunc's function of message %d was called, and it was not accepted", e.ID)
		}
	case len(e.results) != 1:
		r.violated(outcomes, "SendFunc's function of message %d was called %d times", e.ID, len(e.results))
	case len(e.Outcomes) == 1 && e.results[0].Err != e.Outcomes[0].Err: //nolint:errorlint // the very same
		r.violated(contradict, "SendFunc's function of message %d was told %v, OnError %v", e.ID, e.results[0].Err, e.Outcomes[0].Err)
	}
}

// log is what is stored in the topics of the program.
func (r *run) log(ctx context.Context) (stored []kafkatest.Record, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for i, name := range r.names {
		records, err := r.stage.cluster.Records(ctx, name)
		if err != nil && (r.topics[i].kind == exists || !strings.Contains(err.Error(), "no topic")) {
			return nil, err
		}
		stored = append(stored, records...)
	}
	r.see("stored", len(stored))
	return stored, nil
}

func (r *run) verifyHeaders(stored []kafkatest.Record) {
	copies := 0
	seen := make([]bool, len(r.entries))
	for i := range stored {
		id, ok := judge.Identify(stored[i].Value)
		if !ok || id < 0 || id >= len(r.entries) {
			continue // the judge has told
		}
		if seen[id] {
			copies++
		}
		seen[id] = true
		var headers []sarama.RecordHeader
		for _, h := range stored[i].Headers {
			headers = append(headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		if !sameHeaders(headers, r.entries[id].headers) {
			r.violated(altered, "message %d has other headers in the log", id)
		}
	}
	r.see("stored twice", copies)
}

// kindRoom is a violation of the budget.
const kindRoom = "O7 room"
