package batch

import (
	"math"
	"sync"
	"time"
)

// Identity is how the brokers know an idempotent producer.
type Identity struct {
	ID    int64
	Epoch int16
}

// identities is the present one. Each partition counts its sequence in the epoch
// in which it began, and goes over to the next one with a new batch: a broker
// takes the first batch of an epoch whatever became of those before, and none
// of an earlier epoch after it. (Of an earlier producer id it does: when the
// epochs are used up, what was given up and is late may be stored out of order.)
type identities struct {
	mu    sync.Mutex // held for a few instructions
	now   Identity
	known bool // false: the epochs of the last one are used up
	// epoch counts the epochs of all identities.
	epoch int
	// renewal is that somebody asks for an identity, nil: nobody does.
	renewal *renewal
}

// renewal is a question for an identity.
type renewal struct {
	done chan struct{} // closed when there is an answer
	err  error         // it; written before done is closed
}

// number gives a batch of an idempotent producer its sequence, if it has none or
// may have another one. It reports false if there is no identity.
func (b *Batcher) number(batch *Batch) bool {
	if !b.cfg.Sarama.Producer.Idempotent {
		return true
	}
	b.ids.mu.Lock()
	defer b.ids.mu.Unlock()
	if batch.numbered && (batch.doubt || batch.epoch == b.ids.epoch) {
		return true
	}
	if !b.ids.known {
		return false
	}
	p := batch.p
	if p.epoch != b.ids.epoch {
		p.epoch, p.sequence = b.ids.epoch, 0
	}
	batch.numbered, batch.epoch = true, p.epoch
	batch.Wire.ProducerID, batch.Wire.ProducerEpoch = b.ids.now.ID, b.ids.now.Epoch
	batch.Wire.FirstSequence = p.sequence
	return true
}

// advance notes that a batch is stored.
func (b *Batcher) advance(batch *Batch) {
	p := batch.p
	if !batch.numbered || p.epoch != batch.epoch {
		return
	}
	// After the highest number comes 0.
	p.sequence = int32((int64(batch.Wire.FirstSequence) + int64(len(batch.records))) & math.MaxInt32)
}

// stale reports whether the epoch of a batch is over.
func (b *Batcher) stale(batch *Batch) bool {
	b.ids.mu.Lock()
	defer b.ids.mu.Unlock()
	return batch.numbered && batch.epoch != b.ids.epoch
}

// bump ends an epoch, unless that is done.
func (b *Batcher) bump(epoch int) {
	b.ids.mu.Lock()
	defer b.ids.mu.Unlock()
	if epoch != b.ids.epoch {
		return
	}
	b.ids.epoch++
	if b.ids.now.Epoch == math.MaxInt16 {
		b.ids.known = false
	} else {
		b.ids.now.Epoch++
	}
}

// identify sees to it that there is an identity. Meanwhile live lets go of what
// nobody waits for any more, and reports whether anything is left.
func (b *Batcher) identify(live func() bool) error {
	for {
		b.ids.mu.Lock()
		if b.ids.known || !b.cfg.Sarama.Producer.Idempotent {
			b.ids.mu.Unlock()
			return nil
		}
		if b.ids.renewal == nil {
			b.ids.renewal = &renewal{done: make(chan struct{})}
			b.menders.Go(b.renew)
		}
		asked := b.ids.renewal
		b.ids.mu.Unlock()
		select {
		case <-asked.done:
			if asked.err != nil {
				return asked.err
			}
		case <-time.After(looking):
			if !live() {
				return ErrNobody
			}
		case <-b.ending.Done():
			return b.over()
		}
	}
}

// renew asks for an identity, for all who wait for one.
func (b *Batcher) renew() {
	id, err := b.cfg.Identify(b.ending)
	b.ids.mu.Lock()
	defer b.ids.mu.Unlock()
	if err == nil {
		b.ids.now, b.ids.known = id, true
	}
	b.ids.renewal.err = err
	close(b.ids.renewal.done)
	b.ids.renewal = nil
}
