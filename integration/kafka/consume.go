package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is a record as it is stored.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	// Key and Value are nil if the record has none, and empty but not nil if it
	// has empty ones.
	Key, Value []byte
	// Headers are in the order in which they were written.
	Headers       []Header
	Timestamp     time.Time
	TimestampType TimestampType
}

// Header is a header of a [Record].
type Header struct {
	Key   string
	Value []byte
}

// TimestampType says who gave a record its time.
type TimestampType int8

// The two types.
const (
	CreateTime    TimestampType = 0 // the producer
	LogAppendTime TimestampType = 1 // the broker
)

// Records returns everything that a topic holds at the time of the call, ordered
// by partition and offset: also what belongs to transactions that are open or
// were aborted. It needs a leader for every partition.
func (c *Cluster) Records(ctx context.Context, topic string) ([]Record, error) {
	records, err := c.read(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("kafka: read topic %s: %w", topic, err)
	}
	slices.SortFunc(records, byPlace)
	return records, nil
}

func byPlace(a, b Record) int { //nolint:gocritic // slices.SortFunc wants it so
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

// span is a range of offsets, without end.
type span struct{ start, end int64 }

// spans are the partitions of a topic that are not empty.
func (c *Cluster) spans(ctx context.Context, topic string) (map[int32]span, error) {
	all := make(map[int32]span)
	err := c.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		starts, err := admin.ListStartOffsets(ctx, topic)
		if err := errors.Join(err, starts.Error()); err != nil {
			return err
		}
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err := errors.Join(err, ends.Error()); err != nil {
			return err
		}
		ends.Each(func(end kadm.ListedOffset) {
			if start, ok := starts.Lookup(topic, end.Partition); ok && start.Offset < end.Offset {
				all[end.Partition] = span{start.Offset, end.Offset}
			}
		})
		return nil
	})
	return all, err
}

func (c *Cluster) read(ctx context.Context, topic string) ([]Record, error) {
	spans, err := c.spans(ctx, topic)
	if err != nil || len(spans) == 0 {
		return nil, err
	}
	offsets := make(map[int32]kgo.Offset, len(spans))
	for partition, s := range spans {
		offsets[partition] = kgo.NewOffset().At(s.start)
	}
	client, err := c.client(plaintextPort,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		// The last offset of a partition can be that of a transaction's end.
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
		if err := fetches.Err(); err != nil {
			return nil, err
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
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Key: r.Key, Value: r.Value,
		Timestamp: r.Timestamp, TimestampType: TimestampType(r.Attrs.TimestampType()),
	}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, Header(h))
	}
	return record
}
