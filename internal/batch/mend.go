package batch

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// confirming is how long a batch that has a leader waits to hear whether it still
// is the leader.
const confirming = 500 * time.Millisecond

// stumble notes that sending to a partition has failed, and tries again later if
// that is not too often. sent says that the batch may have left the process.
func (b *Batcher) stumble(p *part, cause error, sent bool) {
	p.tries++
	if b.cfg.MostRetries >= 0 && p.tries > b.cfg.MostRetries {
		p.giveUp(cause)
		return
	}
	if p.batch != nil && p.batch.built {
		// Also after a code that is a proof: one for each of many attempts would
		// be a lot to rely on.
		p.batch.doubt = p.batch.doubt || sent
		// Without a sequence nothing ties it to what was sent before: what was
		// given up meanwhile stays behind.
		p.batch.built = p.batch.numbered
	}
	b.mend(p, cause)
}

// giveUp returns the batch that was tried too often. If it never came to be, for
// there was no connection, all that waits for one is returned: when each came is
// not known.
func (p *part) giveUp(cause error) {
	if batch := p.batch; batch != nil {
		outs := p.b.returning()
		p.b.failed(batch, cause, outs)
		outs.hand()
		p.next()
		p.b.recycle(batch)
		p.tries = 0
	} else {
		p.giveBack(cause, cause)
	}
	// What comes next must not fail because it goes where this one went.
	p.b.repair(p, func() {
		ctx, cancel := context.WithTimeout(p.b.ending, confirming)
		defer cancel()
		_ = p.b.cfg.Cluster.Ask(ctx, p.topic) // without an answer it goes there all the same
	})
}

// repair has a goroutine do what may wait before more of a partition is sent.
func (b *Batcher) repair(p *part, do func()) {
	p.mu.Lock()
	p.state = mending
	p.mu.Unlock()
	b.menders.Go(func() {
		do()
		p.release()
	})
}

// mend has a goroutine find out where to send to.
func (b *Batcher) mend(p *part, cause error) {
	b.repair(p, func() {
		switch err := p.find(); {
		case b.aborted():
			p.giveBack(ErrAborted, ErrAborted)
		case err == nil, errors.Is(err, ErrNobody):
			// What has come since nobody waited is sent like any other.
		default:
			p.giveBack(cmp.Or(cause, err), err)
		}
	})
}

// find waits as long as it takes to have a leader, and a new identity if there is
// none, or until nobody waits for that any more.
func (p *part) find() error {
	b := p.b
	wait := time.Duration(0)
	if p.tries > 0 {
		wait = b.cfg.RetryWait(p.tries)
	}
	if err := b.wait(wait); err != nil {
		return err
	}
	if !p.sweep() {
		return ErrNobody
	}
	if err := b.identify(p.sweep); err != nil {
		return err
	}
	return b.questions.Repeat(p.topic, func() error {
		ctx := b.ending
		if _, err := b.cfg.Cluster.Leader(p.topic, p.id); err == nil {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, confirming)
			defer cancel()
		}
		err := b.cfg.Cluster.Ask(ctx, p.topic)
		// What is wrong may be wrong with others of its partitions only.
		_, unled := b.cfg.Cluster.Leader(p.topic, p.id)
		if unled == nil {
			return nil
		}
		if _, ok := err.(sarama.KError); ok { //nolint:errorlint // as it is
			if all, _ := b.cfg.Cluster.Topic(p.topic); len(all) > 0 {
				return unled
			}
		}
		return cmp.Or(err, unled)
	}, p.sweep)
}
