package integration

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/integration/kafka"
)

// place is where a message was said to be.
type place struct {
	partition int32
	offset    int64
}

// entry is one message: who sent it as its how many-th, and what was said of it.
type entry struct {
	topic       string
	sender, seq int
	outcomes    []outcome
	returned    *place // what a sync Send wrote into its message
}

type outcome struct {
	err error
	place
}

// ledger is what was sent, by value.
type ledger struct {
	mu      sync.Mutex
	entries map[string]*entry
}

func newLedger() *ledger { return &ledger{entries: make(map[string]*entry)} }

// message makes the next message of a sender. Its value is its identity, with a
// filling of size bytes whose checksum it bears. Every third has no key.
func (l *ledger) message(topic string, sender, seq, size int) *sarama.ProducerMessage {
	filling := strings.Repeat(fmt.Sprint(sender, seq, "\x00\xff\t\n\\"), 1+size/8)[:size]
	value := fmt.Sprintf("%s %d %d %08x %s", topic, sender, seq, crc32.ChecksumIEEE([]byte(filling)), filling)
	msg := &sarama.ProducerMessage{
		Topic: topic, Value: sarama.StringEncoder(value), Metadata: value,
		Headers: []sarama.RecordHeader{{Key: []byte("sender"), Value: fmt.Append(nil, sender)}},
	}
	if key := keyOf(sender, seq); key != nil {
		msg.Key = sarama.ByteEncoder(key)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[value] = &entry{topic: topic, sender: sender, seq: seq}
	return msg
}

func keyOf(sender, seq int) []byte {
	if seq%3 == 0 {
		return nil
	}
	return fmt.Appendf(nil, "\x00key %d", (sender+seq)%17)
}

// options let the producer tell the ledger of every outcome.
func (l *ledger) options() producer.Options {
	return producer.Options{
		producer.WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) { l.note(msg, nil) }),
		producer.WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, err error) { l.note(msg, err) }),
	}
}

func (l *ledger) note(msg *sarama.ProducerMessage, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	value, _ := msg.Metadata.(string)
	e := l.entries[value]
	e.outcomes = append(e.outcomes, outcome{err, place{msg.Partition, msg.Offset}})
}

// sent notes what a sync Send has written into its message.
func (l *ledger) sent(msg *sarama.ProducerMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	value, _ := msg.Metadata.(string)
	l.entries[value].returned = &place{msg.Partition, msg.Offset}
}

// failures are the messages of a topic that failed, by value, each with its
// error. Every message must have had one outcome.
func (l *ledger) failures(t *testing.T, topic string) map[string]error {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	failed := make(map[string]error)
	for value, e := range l.entries {
		require.Len(t, e.outcomes, 1, "%s: message %d of sender %d", e.topic, e.seq, e.sender)
		if err := e.outcomes[0].err; err != nil && e.topic == topic {
			failed[value] = err
		}
	}
	return failed
}

// requireAllDelivered fails the test unless every message was delivered once.
func (l *ledger) requireAllDelivered(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		require.Len(t, e.outcomes, 1, "%s: message %d of sender %d", e.topic, e.seq, e.sender)
		require.NoError(t, e.outcomes[0].err, "%s: message %d of sender %d", e.topic, e.seq, e.sender)
	}
}

// requireStored fails the test unless a topic holds exactly the messages of it,
// each once, with its bytes, where the producer said (if places are told), and
// those of each sender in order within a partition.
func (l *ledger) requireStored(t *testing.T, topic string, records []kafka.Record, places bool) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(map[string]bool)
	type line struct {
		sender    int
		partition int32
	}
	last := make(map[line]int)
	for i := range records {
		r := &records[i]
		e := l.entries[string(r.Value)]
		require.NotNil(t, e, "%s/%d@%d is nobody's: %.80q", r.Topic, r.Partition, r.Offset, r.Value)
		require.Equal(t, topic, e.topic)
		require.False(t, seen[string(r.Value)], "message %d of sender %d is stored twice", e.seq, e.sender)
		seen[string(r.Value)] = true
		require.Equal(t, keyOf(e.sender, e.seq), r.Key)
		require.Equal(t, []kafka.Header{{Key: "sender", Value: fmt.Append(nil, e.sender)}}, r.Headers)
		require.Len(t, e.outcomes, 1, "message %d of sender %d", e.seq, e.sender)
		told := e.outcomes[0]
		if told.err != nil {
			require.True(t, producer.MayHaveBeenWritten(told.err), "message %d of sender %d is stored", e.seq, e.sender)
		} else if places {
			stored := place{r.Partition, r.Offset}
			require.Equal(t, stored, told.place, "message %d of sender %d", e.seq, e.sender)
		}
		if e.returned != nil {
			require.Equal(t, place{r.Partition, r.Offset}, *e.returned, "message %d of sender %d", e.seq, e.sender)
		}
		before, later := last[line{e.sender, r.Partition}]
		require.False(t, later && before >= e.seq, "message %d of sender %d comes after %d", e.seq, e.sender, before)
		last[line{e.sender, r.Partition}] = e.seq
	}
	for value, e := range l.entries {
		if e.topic == topic && len(e.outcomes) == 1 && e.outcomes[0].err == nil {
			require.True(t, seen[value], "message %d of sender %d is lost", e.seq, e.sender)
		}
	}
}

// read is everything that a topic holds.
func read(t *testing.T, cluster *kafka.Cluster, topic string) []kafka.Record {
	t.Helper()
	records, err := cluster.Records(bounded(t), topic)
	require.NoError(t, err)
	return records
}

// requireConsoleAgrees fails the test unless Kafka's console consumer reads the
// same as what was read.
func requireConsoleAgrees(t *testing.T, cluster *kafka.Cluster, topic string, records []kafka.Record) {
	t.Helper()
	console, err := cluster.ConsoleRecords(bounded(t), topic)
	require.NoError(t, err)
	require.Len(t, console, len(records))
	for i := range records {
		want := records[i] // the console consumer tells less
		want.Headers, want.Timestamp, want.TimestampType = nil, time.Time{}, kafka.CreateTime
		require.Equal(t, want, console[i])
	}
}

// startAsync starts a producer that is closed, at the latest, when the test ends.
func startAsync(t *testing.T, cluster *kafka.Cluster, opts ...producer.Option) *producer.Async {
	t.Helper()
	p, err := producer.NewAsync(bounded(t), cluster.Addrs(), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { closeAtEnd(t, p) })
	return p
}

// startSync is startAsync for the other producer.
func startSync(t *testing.T, cluster *kafka.Cluster, opts ...producer.Option) *producer.Sync {
	t.Helper()
	p, err := producer.NewSync(bounded(t), cluster.Addrs(), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { closeAtEnd(t, p) })
	return p
}

// closeAtEnd closes a producer when the test's own ctx has ended.
func closeAtEnd(t *testing.T, p producer.Producer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, p.Close(ctx))
}
