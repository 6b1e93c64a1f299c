package producertest

import (
	"context"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// deliver is the goroutine that stores what is in the queue.
func (m *memory) deliver() {
	for {
		m.await(nil, func() bool {
			return m.over() || (len(m.queue) > 0 && !m.broken && (m.flushed || !m.has(borrowsBytes)))
		})
		pause(time.Millisecond) // the way there and back
		stopped := false
		m.change(func() {
			stopped = m.over()
			if stopped || m.broken {
				return
			}
			batch := slices.Clone(m.queue)
			if m.has(reorders) {
				slices.Reverse(batch)
			}
			for _, it := range batch {
				m.store(it)
			}
			if m.has(reordersCallbacks) {
				slices.Reverse(m.pending)
			}
		})
		if stopped {
			return
		}
	}
}

// over reports whether nothing is to be stored any more, with mu held.
func (m *memory) over() bool {
	return m.stopped && (!m.has(storesWhatItGaveUp) || len(m.queue) == 0)
}

// store puts an item into the log, with mu held.
func (m *memory) store(it *item) {
	if m.has(tiesMessagesToTheirCtx) && it.ctx.Err() != nil {
		m.settle(it, m.failure(it, it.ctx.Err()))
		return
	}
	msg := it.msg
	key, _ := bytesOf(msg.Key)
	value, _ := bytesOf(msg.Value)
	r := &sarama.ConsumerMessage{Partition: int32(len(value) % 2), Key: key, Value: value, Timestamp: msg.Timestamp}
	for _, h := range msg.Headers {
		r.Headers = append(r.Headers, &h)
	}
	r.Offset = m.next[r.Partition]
	m.next[r.Partition]++
	switch {
	case m.has(dropsHeaders):
		r.Headers = nil
	case m.has(stampsLate):
		r.Timestamp = r.Timestamp.Add(time.Hour)
	case m.has(emptiesNull) && value == nil:
		r.Value = []byte{}
	}
	if !m.has(storesNothing) {
		m.log = append(m.log, r)
	}
	if m.has(storesTwice) {
		again := *r
		again.Offset = m.next[r.Partition]
		m.next[r.Partition]++
		m.log = append(m.log, &again)
	}
	msg.Partition, msg.Offset = r.Partition, r.Offset
	if m.has(misplaces) {
		msg.Offset++
	}
	m.settle(it, nil)
}

// settle decides the outcome of an item, once, with mu held.
func (m *memory) settle(it *item, err error) {
	if it.settled {
		m.queue = slices.DeleteFunc(m.queue, func(other *item) bool { return other == it })
		return
	}
	it.settled, it.err = true, err
	if it.timeout != nil {
		it.timeout.Stop()
	}
	if err == nil || !m.has(storesWhatItGaveUp) {
		m.queue = slices.DeleteFunc(m.queue, func(other *item) bool { return other == it })
	}
	m.pending = append(m.pending, it)
	if m.has(reportsTwice) && it.seq%7 == 0 {
		m.pending = append(m.pending, it)
	}
	close(it.done)
}

// work is the goroutine that runs callbacks.
func (m *memory) work() {
	for {
		var it *item
		m.await(nil, func() bool {
			if len(m.pending) > 0 {
				it = m.pending[0]
				return true
			}
			return m.stopped
		})
		if it == nil {
			return
		}
		panicked := false
		if !m.has(losesOutcomes) || it.seq%7 != 0 {
			panicked = m.call(it)
		}
		m.change(func() {
			m.pending = m.pending[1:]
			if !m.flying[it] {
				return
			}
			delete(m.flying, it)
			if !m.has(keepsRoom) {
				m.used--
			}
			if it.err == nil {
				m.stats.Delivered++
			} else {
				m.stats.Failed++
			}
			close(it.called)
		})
		if panicked && m.has(diesOfAPanic) {
			return
		}
	}
}

// call runs the callbacks of an item.
func (m *memory) call(it *item) (panicked bool) {
	ctx := context.WithoutCancel(it.ctx)
	switch {
	case m.has(passesTheCtxOn):
		ctx = it.ctx
	case m.has(forgetsTheCtx):
		ctx = context.Background()
	}
	msg := it.msg
	switch {
	case m.has(changesMetadata):
		msg.Metadata = nil
	case m.has(reusesMessages):
		m.shared = *msg
		msg = &m.shared
	}
	result := func() {
		if it.result != nil {
			it.result(ctx, msg, it.err)
		}
	}
	outcome := func() {
		if it.err == nil {
			m.s.OnSuccess(ctx, msg)
		} else {
			m.s.OnError(ctx, msg, it.err)
		}
	}
	if m.has(sendFuncTellsLast) {
		result, outcome = outcome, result
	}
	return !m.guarded(result) || !m.guarded(outcome)
}

// guarded runs a callback on a goroutine of its own, which it may end, and
// reports whether it returned.
func (m *memory) guarded(f func()) (returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.caller.Store(goroutine())
		defer func() {
			m.caller.Store(0)
			_ = recover()
		}()
		f()
		returned = true
	}()
	<-done
	return returned
}
