package batch

import (
	"math"
	"time"

	"github.com/IBM/sarama"
)

// RequestMargin is what sarama leaves of a request for the rest of it. A message
// that is larger than what remains would be accepted, and could not be sent.
const RequestMargin = 10 << 10

// send sends one request with batches of those partitions, and returns those for
// which there was no room.
func (s *sender) send(list []*part) (rest []*part) {
	b := s.b
	if b.aborted() {
		for _, p := range list {
			b.mend(p, ErrAborted)
		}
		return nil
	}
	s.disconnect()
	// Before any record is asked for its bytes: if there is no connection, it
	// remains proved that they were not sent.
	if err := s.broker.Connect(); err != nil {
		for _, p := range list {
			b.stumble(p, err, false)
		}
		return nil
	}
	var batches []*Batch
	// The first batch has to fit: nothing would ever make it smaller.
	room, messages := math.MaxInt, b.cfg.Sarama.Producer.Flush.MaxMessages
	outs := b.returning()
	for i, p := range list {
		batch, fits := b.take(p, room, messages, outs)
		if !fits {
			rest = list[i:]
			break
		}
		if batch == nil {
			continue
		}
		batches = append(batches, batch)
		room = min(room, int(sarama.MaxRequestSize)-RequestMargin) - batch.bytes
		if messages > 0 {
			messages = max(messages-len(batch.records), -1)
			if messages == 0 {
				messages = -1
			}
		}
	}
	outs.hand()
	if len(batches) == 0 {
		return rest
	}
	s.produce(batches)
	return rest
}

// produce sends a request with those batches.
func (s *sender) produce(batches []*Batch) {
	b := s.b
	s.flies()
	err := s.broker.Produce(batches, func(response *sarama.ProduceResponse, err error) {
		b.answered(s, batches, response, err)
	})
	switch {
	case err != nil && unwritten(err) && len(batches) > 1:
		// One of them may be to blame, or they are too large together.
		s.landed(nil)
		for i, batch := range batches {
			if i > 0 && s.isHeld() {
				batch.p.release() // to be sent when that is over
			} else {
				s.produce(batches[i : i+1])
			}
		}
	case err != nil:
		b.answered(s, batches, nil, err)
	case b.cfg.Sarama.Producer.RequiredAcks == sarama.NoResponse:
		b.answered(s, batches, nil, nil)
	}
}

// take makes the next batch of a partition, nil if nothing of it is left. It
// reports false if there is no room for it: limit is how many messages there may
// be, 0: any number, negative: none.
func (b *Batcher) take(p *part, room, limit int, outs *outcomes) (batch *Batch, fits bool) {
	if p.batch != nil {
		// It may have waited for long, and sarama would wait for a throttled broker
		// that it is sent to.
		p.drop()
	}
	batch = p.batch
	if batch == nil {
		batch = b.batch(p)
		p.mu.Lock()
		if batchOverhead+p.bytes > room && p.most > room || limit < 0 {
			p.mu.Unlock()
			b.recycle(batch)
			return nil, false
		}
		p.state = flying
		batch.records, batch.bytes = p.cut(batch.records, limit)
		p.mu.Unlock()
		p.batch = batch
	} else {
		if batch.bytes > room || limit < 0 {
			return nil, false
		}
		p.mu.Lock()
		p.state = flying
		p.mu.Unlock()
	}
	switch {
	case !batch.built && !batch.build(b, outs):
		p.next()
		p.tries = 0
		b.recycle(batch)
		// Before others may have the partition: outcomes come in order.
		outs.flush()
		p.release()
		return nil, true
	case !b.number(batch):
		outs.flush()
		b.mend(p, nil) // the epochs are used up
		return nil, true
	default:
		return batch, true
	}
}

// Request makes the request that sends those batches.
func Request(conf *sarama.Config, batches []*Batch) *sarama.ProduceRequest {
	request := &sarama.ProduceRequest{
		RequiredAcks: conf.Producer.RequiredAcks,
		Timeout:      int32(conf.Producer.Timeout / time.Millisecond),
		Version:      requestVersion(conf.Version),
	}
	for _, batch := range batches {
		request.AddBatch(batch.Topic, batch.Partition, &batch.Wire)
	}
	return request
}

// requestVersion is the version that sarama's producer would use.
func requestVersion(v sarama.KafkaVersion) int16 {
	for _, known := range []struct {
		since   sarama.KafkaVersion
		version int16
	}{
		{sarama.V3_7_0_0, 10},
		{sarama.V2_8_0_0, 9},
		{sarama.V2_4_0_0, 8},
		{sarama.V2_1_0_0, 7},
		{sarama.V2_0_0_0, 6},
		{sarama.V1_0_0_0, 5},
	} {
		if v.IsAtLeast(known.since) {
			return known.version
		}
	}
	return 3 // 0.11, below which there are no such batches
}
