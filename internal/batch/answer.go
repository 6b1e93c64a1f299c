package batch

import (
	"errors"

	"github.com/IBM/sarama"
)

// verdict is what is to become of a batch.
type verdict uint8

const (
	done   verdict = iota // its records have their outcome
	again                 // it is to be sent again, after a wait
	anew                  // it is to be sent at once, with a sequence of the present epoch
	halves                // it is to be sent in two parts
)

// answered takes in the answer to a request, nil if none is wanted, or why there
// is none. The outcomes are handed over before anything more of those
// partitions is sent, so that they come in order.
func (b *Batcher) answered(s *sender, batches []*Batch, response *sarama.ProduceResponse, err error) {
	s.landed(response)
	outs := b.returning()
	for _, batch := range batches {
		if err != nil {
			b.unanswered(batch, err, outs)
		} else {
			b.judge(batch, response, outs)
		}
	}
	outs.hand()
	if err != nil && !unwritten(err) {
		s.broken.Store(true)
		s.signal()
	}
	for _, batch := range batches {
		p := batch.p
		switch batch.verdict {
		case done:
			p.tries = 0
			p.grow()
			p.next()
			b.recycle(batch)
			p.release()
		case again:
			b.stumble(p, batch.cause, !errors.Is(err, sarama.ErrNotConnected))
		case anew:
			p.release()
		case halves:
			p.shrink(batch.bytes / 2)
			p.halves = append([]*Batch{batch.split(b)}, p.halves...)
			p.release()
		}
	}
}

// unwritten reports whether nothing of a request was written because it cannot
// be, or the broker would not understand it: nothing is wrong with the
// connection.
func unwritten(err error) bool {
	_, ok := errors.AsType[sarama.PacketEncodingError](err)
	return ok || errors.Is(err, sarama.ErrUnsupportedVersion)
}

// unanswered decides what becomes of a batch without an answer.
func (b *Batcher) unanswered(batch *Batch, err error, outs *outcomes) {
	if !unwritten(err) && !errors.Is(err, sarama.ErrNotConnected) {
		batch.doubt = true
	}
	switch {
	case b.aborted():
		b.failed(batch, ErrAborted, outs)
	case unwritten(err):
		b.failed(batch, err, outs)
	default:
		batch.verdict, batch.cause = again, err
	}
}

// judge decides what becomes of a batch after an answer.
func (b *Batcher) judge(batch *Batch, response *sarama.ProduceResponse, outs *outcomes) {
	if response == nil {
		b.delivered(batch, nil, outs)
		return
	}
	block := response.GetBlock(batch.Topic, batch.Partition)
	if block == nil {
		batch.doubt = true
		b.failed(batch, sarama.ErrIncompleteResponse, outs)
		return
	}
	code := block.Err
	switch {
	case code == sarama.ErrNoError:
		b.delivered(batch, block, outs)
		return
	case code == sarama.ErrDuplicateSequenceNumber:
		b.delivered(batch, nil, outs)
		return
	case code == sarama.ErrInvalidProducerEpoch && !batch.doubt && b.stale(batch):
		// Another partition has begun the epoch while this batch was on its way.
		// Kafka takes it all the same; a broker that does not has not stored it.
		batch.verdict = anew
		return
	}
	doubt := batch.doubt
	batch.doubt = doubt || !NeverAppended(code)
	switch {
	case code == sarama.ErrMessageSizeTooLarge && len(batch.records) > 1 && (!batch.numbered || !doubt):
		// Not if an earlier try may have stored it: a part of it would be new to
		// the broker.
		batch.verdict = halves
	case retriable(code):
		batch.verdict, batch.cause = again, code
	default:
		b.failed(batch, code, outs)
	}
}

// delivered returns the records of a batch that is stored. block says where, nil
// if that is not known.
func (b *Batcher) delivered(batch *Batch, block *sarama.ProduceResponseBlock, outs *outcomes) {
	for i, r := range batch.records {
		if block != nil {
			if block.Offset >= 0 {
				r.Msg.Offset = block.Offset + int64(i)
			}
			if !block.Timestamp.IsZero() {
				r.Msg.Timestamp = block.Timestamp
			}
		}
		outs.add(Outcome{Record: r})
	}
	batch.verdict = done
	b.advance(batch)
}

// failed returns the records of a batch that is given up.
func (b *Batcher) failed(batch *Batch, cause error, outs *outcomes) {
	for _, r := range batch.records {
		outs.add(Outcome{Record: r, Err: cause, NotWritten: !batch.doubt})
	}
	batch.verdict = done
	if batch.numbered {
		// Whether the broker has its sequence is not certain, or nothing to rely
		// on: what comes next would be taken for a copy of it, and be lost.
		b.bump(batch.epoch)
	}
}
