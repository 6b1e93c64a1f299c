package producertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// Send sends a message, and waits for its outcome if the memory is one that
// does.
func (m *memory) Send(ctx context.Context, msg *sarama.ProducerMessage) error {
	if m.has(sendWaitsForTheCluster) {
		m.await(m.release, func() bool { return !m.broken })
	}
	it, err := m.accept(ctx, msg, nil, false)
	if err != nil || !m.sync || it == nil {
		return err
	}
	end := ctx.Done()
	if m.has(syncIgnoresItsCtx) {
		end = nil
	}
	outcome := it.done
	if m.has(syncWaitsForCallbacks) {
		outcome = it.called
	}
	select {
	case <-outcome:
	case <-m.release:
	case <-end:
		m.change(func() { m.settle(it, m.failure(it, endError(ctx))) })
		<-it.done
	}
	if it.err == nil && !m.has(fillsInNothing) {
		msg.Partition, msg.Offset, msg.Timestamp = it.msg.Partition, it.msg.Offset, it.msg.Timestamp
	}
	return it.err
}

// accept takes a message over.
func (m *memory) accept(ctx context.Context, msg *sarama.ProducerMessage, result producer.ResultFunc, try bool) (it *item, err error) {
	defer func() {
		if err != nil {
			m.change(func() { m.stats.Rejected++ })
			if m.has(tellsOfRefused) {
				m.s.OnError(context.WithoutCancel(ctx), msg, &producer.DeliveryError{Err: err})
			}
		}
	}()
	if ctx == nil && !m.has(panicsWithoutACtx) {
		return nil, fmt.Errorf("%w: no ctx", producer.ErrInvalidMessage)
	}
	if m.has(looksAtTheMessageFirst) {
		if _, err := m.copy(ctx, msg, result); err != nil {
			return nil, err
		}
	}
	if m.has(looksAtCloseFirst) && m.isClosing() {
		return nil, producer.ErrClosed
	}
	if ctx.Err() != nil && !m.has(ignoresTheCtx) {
		return nil, m.endError(ctx)
	}
	if m.isClosing() {
		switch {
		case m.has(panicsAfterClose):
			panic("send on a closed channel")
		case m.has(acceptsAfterClose):
			return nil, nil //nolint:nilnil // a flaw
		}
		return nil, producer.ErrClosed
	}
	it, err = m.copy(ctx, msg, result)
	if err != nil {
		return nil, err
	}
	if m.has(remembersPointers) && m.knows(msg) {
		return nil, nil //nolint:nilnil // a flaw
	}
	if m.has(racesClose) {
		pause(moment + rand.N(moment))
		if m.isClosing() {
			return it, nil // and nobody is there to deliver it
		}
	}
	return it, m.enter(ctx, it, try)
}

func (m *memory) isClosing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closing
}

func (m *memory) knows(msg *sarama.ProducerMessage) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.seen[msg]
	m.seen[msg] = true
	return known
}

// copy makes the producer's own message, and refuses what cannot be sent.
func (m *memory) copy(ctx context.Context, msg *sarama.ProducerMessage, result producer.ResultFunc) (*item, error) {
	invalid := func(cause error) (*item, error) {
		return nil, fmt.Errorf("%w: %w", producer.ErrInvalidMessage, cause)
	}
	if msg == nil || msg.Topic == "" {
		return invalid(errors.New("no message, or no topic"))
	}
	own := &sarama.ProducerMessage{Topic: msg.Topic, Metadata: msg.Metadata, Timestamp: msg.Timestamp, Offset: -1, Partition: -1}
	var err error
	if own.Key, err = m.encoded(msg.Key); err != nil {
		return invalid(err)
	}
	if own.Value, err = m.encoded(msg.Value); err != nil {
		return invalid(err)
	}
	if size := length(own.Key) + length(own.Value); size > m.s.MaxMessageBytes && !m.has(hasNoSizeLimit) {
		return nil, producer.ErrMessageTooLarge
	}
	for _, h := range msg.Headers {
		if h.Key == nil && !m.has(takesAnyMessage) {
			return invalid(errors.New("a header without a key"))
		}
		own.Headers = append(own.Headers, sarama.RecordHeader{Key: slices.Clone(h.Key), Value: slices.Clone(h.Value)})
	}
	if own.Timestamp.IsZero() {
		own.Timestamp = time.Now()
	}
	switch {
	case m.has(writesToTheMessage):
		msg.Offset = -1
	case m.has(addsAHeader):
		_ = append(msg.Headers, sarama.RecordHeader{Key: []byte("trace")})
	case m.has(borrowsBytes):
		own.Key, own.Value, own.Headers = msg.Key, msg.Value, msg.Headers
	}
	return &item{ctx: ctx, from: msg, msg: own, result: result, done: make(chan struct{}), called: make(chan struct{})}, nil
}

// encoded is a copy of what an Encoder gives.
func (m *memory) encoded(e sarama.Encoder) (_ sarama.Encoder, err error) {
	if e == nil {
		return nil, nil //nolint:nilnil // null
	}
	defer func() {
		if recover() != nil {
			err = errors.New("an Encoder panicked")
		}
	}()
	b, err := e.Encode()
	switch {
	case err == nil && b == nil:
		return nil, nil //nolint:nilnil // null
	case err == nil:
		return sarama.ByteEncoder(append([]byte{}, b...)), nil
	case m.has(hidesTheEncodersError):
		return nil, errors.New("an Encoder failed")
	case m.has(quotesTheEncodersError):
		return nil, err
	case m.has(blamesTheDelivery):
		return nil, &producer.DeliveryError{Err: hiddenError{err}}
	default:
		return nil, hiddenError{err}
	}
}

// hiddenError wraps an error whose text can hold bytes of the message.
type hiddenError struct{ err error }

func (hiddenError) Error() string   { return "an Encoder failed" }
func (e hiddenError) Unwrap() error { return e.err }

func length(e sarama.Encoder) int {
	if e == nil {
		return 0
	}
	return e.Length()
}

// enter waits for room and puts an item into the queue.
func (m *memory) enter(ctx context.Context, it *item, try bool) (err error) {
	inCallback := m.inCallback()
	if inCallback && m.has(deadlocksInCallbacks) {
		m.hang()
	}
	if m.has(roomIgnoresTheCtx) {
		ctx = context.WithoutCancel(ctx)
	}
	wait, cancel := context.WithTimeout(ctx, m.s.MaxBlock)
	defer cancel()
	end := wait.Done()
	if m.has(waitsForEver) {
		end = m.release
	}
	entered := m.await(end, func() bool {
		limit := m.s.MaxBuffered
		switch {
		case m.closing && !m.has(closeForgetsWaiters):
			err = producer.ErrClosed
		case m.used < limit || m.has(hasNoBound) || (inCallback && m.used < 2*limit && !m.has(waitsForRoomInCallbacks)):
			m.add(it)
		case try || m.has(givesUpAtOnce) || (inCallback && !m.has(waitsForRoomInCallbacks)):
			err = producer.ErrBufferFull
		default:
			return false
		}
		return true
	})
	switch {
	case entered:
		m.change(func() {})
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", producer.ErrBufferFull, endError(ctx))
	default:
		return producer.ErrBufferFull
	}
}

// add accepts an item, with mu held.
func (m *memory) add(it *item) {
	m.stats.Accepted++
	it.seq = m.stats.Accepted
	m.used++
	m.flying[it] = true
	m.queue = append(m.queue, it)
	if m.broken && m.has(hasNoPatience) {
		m.settle(it, m.failure(it, errors.New("the cluster is broken")))
	}
	if !m.has(hasNoDeliveryTimeout) {
		it.timeout = time.AfterFunc(m.s.DeliveryTimeout, func() {
			m.change(func() { m.settle(it, m.failure(it, producer.ErrDeliveryTimeout)) })
		})
	}
}

// failure is the error of an item that was never stored.
func (m *memory) failure(it *item, cause error) error {
	if m.has(failsWithAnyError) {
		return cause
	}
	return &producer.DeliveryError{Topic: it.msg.Topic, Partition: -1, Status: producer.NotPersisted, Err: cause}
}

// endError is the error of a ctx that has ended, with its cause.
func endError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Cause(ctx)) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ctx.Err(), context.Cause(ctx))
}

func (m *memory) endError(ctx context.Context) error {
	if m.has(hidesTheCause) {
		return ctx.Err()
	}
	return endError(ctx)
}

// inCallback reports whether the caller is the callback that runs.
func (m *memory) inCallback() bool { return m.caller.Load() == goroutine() }

// goroutine is the number of the caller's goroutine.
func goroutine() int64 {
	buf := make([]byte, 64)
	text := strings.TrimPrefix(string(buf[:runtime.Stack(buf, false)]), "goroutine ")
	number, _, _ := strings.Cut(text, " ")
	id, _ := strconv.ParseInt(number, 10, 64)
	return id
}
