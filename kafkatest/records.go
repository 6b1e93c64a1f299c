package kafkatest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Record is a record as it is stored in a topic.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	// Timestamp is the one that the producer gave, in milliseconds.
	Timestamp time.Time
	// Key and Value are nil if the record has none, and empty but not nil if
	// it has empty ones.
	Key, Value []byte
	// Headers are in the order in which they were written.
	Headers []Header
}

// Header is a header of a [Record]. A key can be there more than once. The
// value is nil if the header has none, and empty but not nil if it has an empty
// one.
type Header struct {
	Key   string
	Value []byte
}

// Records returns what is stored in a topic at the time of the call, ordered by
// partition and then by offset: the committed and the uncommitted records of
// transactions, and the aborted ones. It returns no records and no error for an
// empty topic, and an error for a topic that does not exist.
//
// It reads past the network: faults, stopped brokers and outages do not matter
// to it, and it does not count as a request. It ends with the cause if ctx
// ends first, and with [ErrClosed] if the cluster is closed. The records belong
// to the caller.
func (c *Cluster) Records(ctx context.Context, topic string) ([]Record, error) {
	spans, err := c.spans(topic)
	if err != nil {
		return nil, err
	}
	defer c.readers.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Ends with the context, at the latest when this call returns.
	c.readers.Go(func() {
		select {
		case <-c.wire.done:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	})

	records, err := c.read(ctx, topic, spans)
	if err != nil {
		return nil, fmt.Errorf("kafkatest: read topic %q: %w", topic, err)
	}
	slices.SortStableFunc(records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return records, nil
}

// span is the range of offsets of a partition, without end.
type span struct{ start, end int64 }

// spans returns the partitions of a topic that are not empty. If there is no
// error, the caller counts as a reader and must call readers.Done.
func (c *Cluster) spans(topic string) (map[int32]span, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	infos := c.fake.PartitionInfos(topic)
	if len(infos) == 0 {
		return nil, fmt.Errorf("kafkatest: no topic %q: create it with CreateTopic", topic)
	}
	spans := make(map[int32]span)
	for _, info := range infos {
		if info.LogStartOffset < info.HighWatermark {
			spans[info.Partition] = span{info.LogStartOffset, info.HighWatermark}
		}
	}
	c.readers.Add(1)
	return spans, nil
}

func (c *Cluster) read(ctx context.Context, topic string, spans map[int32]span) ([]Record, error) {
	if len(spans) == 0 {
		return nil, nil
	}
	offsets := make(map[int32]kgo.Offset, len(spans))
	for partition, s := range spans {
		offsets[partition] = kgo.NewOffset().At(s.start)
	}
	// Without leader epochs, which metadata has from version 7 on. A consumer that
	// sees one change asks where the log of the old one ended, and kfake does not
	// know that of an epoch in which nothing was written: it says 0, which the
	// consumer takes for the loss of everything.
	versions := kversion.V4_0_0()
	versions.SetMaxKeyVersion(int16(kmsg.Metadata), 6)
	client, err := kgo.NewClient(
		kgo.MaxVersions(versions),
		kgo.SeedBrokers(c.Addrs()...),
		kgo.Dialer(c.dialBackDoor),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		// The last offset of a partition can be that of a transaction marker.
		kgo.KeepControlRecords(),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()

	var records []Record
	for len(spans) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var errs []error
		fetches.EachError(func(_ string, partition int32, err error) {
			errs = append(errs, fmt.Errorf("partition %d: %w", partition, err))
		})
		if len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			s, unfinished := spans[r.Partition]
			if !unfinished || r.Offset >= s.end {
				return
			}
			if !r.Attrs.IsControl() {
				records = append(records, newRecord(r))
			}
			if r.Offset == s.end-1 {
				delete(spans, r.Partition)
			}
		})
	}
	return records, nil
}

func newRecord(r *kgo.Record) Record {
	record := Record{
		Topic:     r.Topic,
		Partition: r.Partition,
		Offset:    r.Offset,
		Timestamp: r.Timestamp,
		Key:       r.Key,
		Value:     r.Value,
	}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, Header{Key: h.Key, Value: h.Value})
	}
	return record
}
