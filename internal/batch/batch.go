package batch

import (
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/record"
)

// batchOverhead is what a batch takes beyond its records, as sarama counts.
const batchOverhead = 49

// Batch is some records of one partition that are sent together.
type Batch struct {
	Topic     string
	Partition int32
	// Wire is what is sent. Sent again it keeps the compressed records.
	Wire sarama.RecordBatch

	p       *part
	bytes   int // at most, uncompressed
	records []*record.Record
	// wires are the records of Wire, pointers leads to each of them.
	wires    []sarama.Record
	pointers []*sarama.Record

	// built says that Wire is as it is to be sent.
	built bool
	// doubt says that it may have been appended although it is to be sent again.
	doubt bool
	// numbered says that Wire has a sequence, of that epoch.
	numbered bool
	epoch    int

	// What is to become of it, see answer.go.
	verdict verdict
	cause   error
}

// batch returns an empty batch.
func (b *Batcher) batch(p *part) *Batch {
	batch := b.batches.Get().(*Batch) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	batch.p, batch.Topic, batch.Partition = p, p.topic, p.id
	return batch
}

// recycle keeps the memory of a batch for another one. Nobody has it any more.
// What the records for the wire point to stays until it is overwritten, or the
// pool is emptied: to clear them costs more than to fill them.
func (b *Batcher) recycle(batch *Batch) {
	clear(batch.records)
	*batch = Batch{records: batch.records[:0], wires: batch.wires[:0], pointers: batch.pointers[:0]}
	b.batches.Put(batch)
}

// live reports whether the outcome of any of its records is open.
func (batch *Batch) live() bool {
	for _, r := range batch.records {
		if !r.Completed() {
			return true
		}
	}
	return false
}

// build asks the records for their bytes, which is what makes them count as
// sent. Those that refuse leave the batch, and are returned. It reports whether
// any are left.
func (batch *Batch) build(b *Batcher, outs *outcomes) bool {
	n := len(batch.records)
	if cap(batch.wires) < n {
		batch.wires = make([]sarama.Record, n)
		batch.pointers = make([]*sarama.Record, n)
		for i := range batch.wires {
			batch.pointers[i] = &batch.wires[i]
		}
	}
	batch.wires, batch.pointers = batch.wires[:n], batch.pointers[:n]
	kept := batch.records[:0]
	var first, delta, latest int64
	now := time.Now()
	for _, r := range batch.records {
		key, value, err := r.Encode(now)
		if err != nil {
			outs.add(Outcome{Record: r, Err: err, NotWritten: r.Attempts() == 0})
			continue
		}
		i := len(kept)
		at := r.Msg.Timestamp.UnixMilli()
		if i == 0 {
			first = at
		}
		delta = at - first
		latest = max(latest, delta)
		w := &batch.wires[i]
		w.Key, w.Value = key, value
		w.OffsetDelta, w.TimestampDelta = int64(i), time.Duration(delta)*time.Millisecond
		w.Headers = headers(r.Msg.Headers)
		kept = append(kept, r)
	}
	clear(batch.records[len(kept):])
	batch.records = kept
	if n = len(kept); n == 0 {
		return false
	}
	conf := &b.cfg.Sarama.Producer
	batch.Wire = sarama.RecordBatch{
		Version: 2, Codec: conf.Compression, CompressionLevel: conf.CompressionLevel,
		LastOffsetDelta: int32(n - 1),
		FirstTimestamp:  time.UnixMilli(first), MaxTimestamp: time.UnixMilli(first + latest),
		ProducerID: -1, ProducerEpoch: -1,
		Records: batch.pointers[:n],
	}
	batch.built = true
	return true
}

func headers(of []sarama.RecordHeader) []*sarama.RecordHeader {
	if len(of) == 0 {
		return nil
	}
	pointers := make([]*sarama.RecordHeader, len(of))
	for i := range of {
		pointers[i] = &of[i]
	}
	return pointers
}

// split makes two of a batch that was too large: nothing of it was appended. It
// keeps the first half itself. Both are built anew.
func (batch *Batch) split(b *Batcher) (second *Batch) {
	n := (len(batch.records) + 1) / 2
	second = b.batch(batch.p)
	second.records = append(second.records, batch.records[n:]...)
	clear(batch.records[n:])
	batch.records = batch.records[:n]
	for _, half := range []*Batch{batch, second} {
		half.bytes = batchOverhead
		for _, r := range half.records {
			half.bytes += r.Wire()
		}
	}
	second.doubt = batch.doubt
	batch.built, batch.numbered = false, false
	return second
}
