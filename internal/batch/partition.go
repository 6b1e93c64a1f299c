package batch

import (
	"sync"
	"time"

	"github.com/saramakit/producer/internal/record"
)

// state says who sees to a partition. Only they change it, and what is said to
// be theirs; everybody may add to the queue.
type state uint8

const (
	idle    state = iota // nobody: there are no records
	waiting              // a sender has it in its list, or is about to get it
	flying               // a batch is built, or with a broker
	mending              // a goroutine waits for its leader, or for another try
)

// part holds the records of a partition, of which one batch at a time is
// on its way: so they stay in order whatever becomes of it.
type part struct {
	b     *Batcher
	topic string
	id    int32

	// placed and placedBytes are the placer's, until it puts them into queue.
	placed      []*record.Record
	placedBytes int

	mu    sync.Mutex // held for a few instructions
	state state
	queue []*record.Record
	bytes int
	since time.Time // when the first of the queue came
	// sender is who had it last.
	sender *sender
	// most is how large a batch may be.
	most int

	// What follows belongs to whoever sees to the partition.

	batch  *Batch   // on its way, or to be sent again
	halves []*Batch // to be sent after it
	// tries is how often something has failed since the last success.
	tries int
	// epoch and sequence are for the next batch of an idempotent producer.
	epoch    int
	sequence int32
}

// put adds what was placed to the queue, and sees to it that somebody cares.
func (p *part) put(since time.Time) {
	n, bytes := len(p.placed), p.placedBytes
	p.mu.Lock()
	if len(p.queue) == 0 {
		p.since = since
		p.queue, p.placed = p.placed, p.queue
	} else {
		p.queue = append(p.queue, p.placed...)
		clear(p.placed)
	}
	p.bytes += bytes
	p.placed, p.placedBytes = p.placed[:0], 0
	p.claim().care(n, bytes)
}

// putOne is put for one record, which was not placed before. care is to follow.
func (p *part) putOne(r *record.Record, bytes int) added {
	p.mu.Lock()
	if len(p.queue) == 0 {
		p.since = time.Now()
	}
	p.queue = append(p.queue, r)
	p.bytes += bytes
	return p.claim()
}

// added is how a partition was when something was added to its queue.
type added struct {
	p      *part
	before state
	sender *sender
	full   bool
}

// claim takes the partition over if it is nobody's.
// Requires: mu held, which it lets go of.
func (p *part) claim() added {
	a := added{p, p.state, p.sender, p.bytes >= p.most}
	if a.before == idle {
		p.state = waiting
	}
	p.mu.Unlock()
	return a
}

// care sees to it that so many records more are sent.
func (a added) care(n, bytes int) {
	switch {
	case a.before == idle:
		a.p.b.busy.Add(1)
		a.p.b.route(a.p)
	case a.before == waiting && a.sender != nil && (a.full || a.p.b.counting):
		a.sender.more(n, bytes, a.full)
	}
}

// cut takes records from the queue for a batch: as many as fit, and no more than
// limit, 0: no limit. Requires: mu held.
func (p *part) cut(into []*record.Record, limit int) (records []*record.Record, bytes int) {
	n, bytes := len(p.queue), batchOverhead+p.bytes
	if limit > 0 {
		n = min(n, limit)
	}
	if bytes >= p.most || n < len(p.queue) {
		bytes = batchOverhead
		for i, r := range p.queue[:n] {
			size := r.Wire()
			if i > 0 && bytes+size >= p.most {
				n = i
				break
			}
			bytes += size
		}
	}
	if n == len(p.queue) {
		records, p.queue, p.bytes = p.queue, into, 0
		return records, bytes
	}
	records = into
	records = append(records, p.queue[:n]...)
	rest := copy(p.queue, p.queue[n:])
	clear(p.queue[rest:])
	p.queue = p.queue[:rest]
	p.bytes -= bytes - batchOverhead
	return records, bytes
}

// shrink notes that a broker takes no batches of twice that size: those that come
// are not tried in the size that was too large.
func (p *part) shrink(most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = max(min(most, p.most), 1)
}

// grow takes shrink back, step by step: it may have been one message that was
// too large, or the limit was raised. Called after each batch.
func (p *part) grow() {
	limit := p.b.cfg.Sarama.Producer.MaxMessageBytes
	if p.most < limit { // nobody else writes to it
		p.mu.Lock()
		p.most = min(p.most+p.most/16+1, limit)
		p.mu.Unlock()
	}
}

// release lets go of a partition whose batch is done: what has come meanwhile is
// sent next.
func (p *part) release() {
	p.mu.Lock()
	more := p.batch != nil || len(p.queue) > 0
	if more {
		p.state = waiting
	} else {
		p.state = idle
		p.queue = modest(p.queue)
	}
	p.mu.Unlock()
	if more {
		p.b.route(p)
	} else {
		p.b.busy.Done()
	}
}

// modest lets go of the memory of an empty queue that was once long: there may be
// thousands of them.
func modest(queue []*record.Record) []*record.Record {
	const most = 4096
	if cap(queue) > most {
		return nil
	}
	return queue
}

// next makes the next half the batch to be sent, if there is one.
func (p *part) next() {
	p.batch = nil
	if len(p.halves) > 0 {
		p.batch = p.halves[0]
		p.halves = p.halves[1:]
	}
}

// sweep returns the records of the queue that were given up, and the batches of
// which all were: what comes after them must not wait for what no longer matters.
// It reports whether anybody still waits for anything.
func (p *part) sweep() bool {
	p.drop()
	p.mu.Lock()
	queue := p.queue
	p.queue = nil
	p.mu.Unlock()

	left := p.b.sweep(queue)
	bytes := 0
	for _, r := range left {
		bytes += r.Wire()
	}
	p.mu.Lock()
	for _, r := range p.queue { // they came meanwhile
		bytes += r.Wire()
		left = append(left, r)
	}
	p.queue, p.bytes = left, bytes
	p.mu.Unlock()
	return len(left) > 0 || p.batch != nil
}

// drop gives up the batches to be sent next for which nobody waits.
func (p *part) drop() {
	outs := p.b.returning()
	for p.batch != nil && !p.batch.live() {
		batch := p.batch
		p.b.failed(batch, record.ErrRefused, outs)
		p.next()
		p.b.recycle(batch)
		p.tries = 0
	}
	outs.hand()
}

// sweep returns those of the records that were given up, and keeps the others.
func (b *Batcher) sweep(records []*record.Record) (left []*record.Record) {
	outs := b.returning()
	left = records[:0]
	for _, r := range records {
		if r.Completed() {
			outs.add(Outcome{Record: r, Err: record.ErrRefused, NotWritten: r.Attempts() == 0})
		} else {
			left = append(left, r)
		}
	}
	clear(records[len(left):])
	outs.hand()
	return left
}

// giveBack returns all records of a partition: those that were in a batch with
// sent, the others with queued. For what is wrong with the partition itself, or
// ends everything.
func (p *part) giveBack(sent, queued error) {
	outs := p.b.returning()
	for p.batch != nil {
		p.b.failed(p.batch, sent, outs)
		p.next()
	}
	p.mu.Lock()
	queue := p.queue
	p.queue, p.bytes = nil, 0
	p.mu.Unlock()
	for _, r := range queue {
		outs.add(Outcome{Record: r, Err: queued, NotWritten: r.Attempts() == 0})
	}
	p.tries = 0
	outs.hand()
}
