package producertest

import (
	"context"
	"errors"
	"time"

	"github.com/saramakit/producer"
)

// Flush waits until every item accepted before is done.
func (m *memory) Flush(ctx context.Context) error {
	m.change(func() { m.flushed = true })
	switch {
	case m.has(flushesNothing):
		return nil
	case m.inCallback() && m.has(flushWaitsInCallbacks):
		m.hang()
		return producer.ErrInCallback
	case m.inCallback():
		return producer.ErrInCallback
	case m.has(flushLooksAtItsCtxFirst) && ctx.Err() != nil:
		return endError(ctx)
	}
	m.mu.Lock()
	last := m.stats.Accepted
	m.mu.Unlock()
	end := ctx.Done()
	if m.has(flushIgnoresItsCtx) {
		end = m.release
	}
	left := 0
	if m.await(end, func() bool {
		left = 0
		for it := range m.flying {
			if (it.seq <= last || m.has(flushWaitsForIdle)) && (!it.settled || !m.has(flushForgetsCallbacks)) {
				left++
			}
		}
		return left == 0
	}) {
		return nil
	}
	if m.has(flushHidesTheNumber) {
		return endError(ctx)
	}
	return &producer.FlushError{Left: left, Err: endError(ctx)}
}

// Close ends the memory.
func (m *memory) Close(ctx context.Context) error {
	if m.has(closesTwice) && m.isClosing() {
		panic("close of a closed channel")
	}
	if m.has(closesOnlyOnce) && m.isClosing() {
		return producer.ErrClosed
	}
	inCallback := m.inCallback()
	if inCallback && m.has(closeInCallbacksDoesNothing) {
		return producer.ErrInCallback
	}
	m.closeOnce.Do(func() {
		m.change(func() { m.closing = true })
		go m.shutdown()
		if inCallback && !m.has(closeInCallbacksHasNoBound) {
			go func() { _ = m.awaitClosed(context.WithoutCancel(ctx)) }()
		}
	})
	if inCallback && !m.has(closeWaitsInCallbacks) {
		return producer.ErrInCallback
	}
	return m.awaitClosed(ctx)
}

func (m *memory) awaitClosed(ctx context.Context) error {
	end := ctx.Done()
	if _, ok := ctx.Deadline(); !ok && !m.has(ignoresCloseTimeout) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.s.CloseTimeout)
		defer cancel()
		end = ctx.Done()
	}
	if m.has(closeIgnoresItsCtx) || (m.has(closeWaitsForTheCluster) && m.isBroken()) {
		end = m.release
	}
	select {
	case <-m.closed:
	case <-end:
		if m.has(closesForOneself) {
			return &producer.CloseError{CallbacksRunning: 1, Err: endError(ctx)}
		}
		m.abortOnce.Do(func() {
			m.abortErr = ctx.Err()
			if ctx.Err() != nil {
				m.abortErr = endError(ctx)
			}
			close(m.aborting)
		})
		<-m.closed
	}
	if m.has(forgetsItsCloseError) {
		defer func() { m.closeErr = nil }()
	}
	return m.closeErr
}

func (m *memory) isBroken() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.broken
}

func (m *memory) shutdown() {
	defer close(m.closed)
	defer m.change(func() { m.stopped = true })
	if m.has(closeDropsTheQueue) {
		return
	}
	if m.has(closeOfNothingFails) {
		<-m.aborting
	}
	if m.await(m.aborting, func() bool {
		return len(m.flying) == 0 || (m.has(closeForgetsCallbacks) && len(m.queue) == 0)
	}) && !m.has(closeOfNothingFails) {
		return
	}
	if m.has(leaksAfterAnAbort) {
		go pause(time.Minute)
	}
	short := &producer.CloseError{Err: m.abortErr}
	m.change(func() {
		for _, it := range append([]*item(nil), m.queue...) {
			if m.has(abortLosesOutcomes) {
				it.settled = true
				delete(m.flying, it)
				close(it.done)
				continue
			}
			m.settle(it, m.failure(it, producer.ErrAborted))
			short.Undelivered++
		}
	})
	grace, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if !m.await(grace.Done(), func() bool { return len(m.flying) == 0 }) {
		short.CallbacksRunning = 1
	}
	if m.has(miscountsAborted) {
		short.Undelivered++
	}
	switch {
	case m.has(closeReturnsAnyError):
		m.closeErr = errors.New("not closed")
	case short.Undelivered > 0 || m.has(closeOfNothingFails) || short.CallbacksRunning > 0:
		m.closeErr = short
	}
}
