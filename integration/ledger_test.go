package integration

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/integration/internal/stored"
	"github.com/saramakit/producer/integration/kafka"
	"github.com/saramakit/producer/internal/judge"
)

// ledger is the history of what was sent, for the judge.
type ledger struct {
	mu      sync.Mutex
	history []*judge.Message // the message with id n is the n-th
	told    int              // outcomes
	wrote   map[int]judge.Outcome
}

func newLedger() *ledger { return &ledger{wrote: make(map[int]judge.Outcome)} }

// message makes the next message of a sender, of some more bytes than size. Every
// third has no key.
func (l *ledger) message(topic string, sender, size int) *sarama.ProducerMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &judge.Message{ID: len(l.history), Sender: sender, Topic: topic}
	msg := &sarama.ProducerMessage{
		Topic: topic, Metadata: m,
		Headers: []sarama.RecordHeader{{Key: []byte("sender"), Value: fmt.Append(nil, sender)}},
	}
	if m.ID%3 != 0 {
		m.Key = fmt.Appendf(nil, "\x00key %d", m.ID%17)
		msg.Key = sarama.ByteEncoder(m.Key)
	}
	m.Value = judge.Payload(m.ID, sender, topic, m.Key, bytes.Repeat([]byte("\x00\xff\t\n\\ "), 1+size/6)[:size]...)
	msg.Value = sarama.ByteEncoder(m.Value)
	l.history = append(l.history, m)
	return msg
}

// send sends a message and notes what was said.
func (l *ledger) send(ctx context.Context, p producer.Producer, msg *sarama.ProducerMessage) error {
	err := p.Send(ctx, msg)
	l.mu.Lock()
	defer l.mu.Unlock()
	m := of(msg)
	m.Answered, m.Returned = true, err
	if _, ok := p.(*producer.Sync); ok {
		l.wrote[m.ID] = judge.Outcome{Err: err, Partition: msg.Partition, Offset: msg.Offset}
	}
	return err
}

// of is the entry of a message.
func of(msg *sarama.ProducerMessage) *judge.Message {
	m, _ := msg.Metadata.(*judge.Message)
	return m
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
	m := of(msg)
	m.Outcomes = append(m.Outcomes, judge.Outcome{Err: err, Partition: msg.Partition, Offset: msg.Offset, Order: l.told})
	l.told++
}

// failures are the errors of the messages of a topic that failed.
func (l *ledger) failures(topic string) (failed []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.history {
		for _, o := range m.Outcomes {
			if m.Topic == topic && o.Err != nil {
				failed = append(failed, o.Err)
			}
		}
	}
	return failed
}

// requireAllDelivered fails the test unless every message was delivered once.
func (l *ledger) requireAllDelivered(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.history {
		require.Len(t, m.Outcomes, 1, "message %d", m.ID)
		require.NoError(t, m.Outcomes[0].Err, "message %d", m.ID)
		if wrote, ok := l.wrote[m.ID]; ok {
			wrote.Order = m.Outcomes[0].Order
			require.Equal(t, m.Outcomes[0], wrote, "a sync Send has written something else into its message")
		}
	}
}

// requireStored fails the test unless the judge finds that a topic holds what was
// said of it, and all headers are there.
func (l *ledger) requireStored(t *testing.T, topic string, records []kafka.Record, r judge.Rules) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var history []judge.Message
	for _, m := range l.history {
		if m.Topic == topic {
			history = append(history, *m)
		}
	}
	for i := range records {
		s := &records[i]
		id, _ := judge.Identify(s.Value)
		require.Less(t, id, len(l.history))
		require.Equal(t, []kafka.Header{{Key: "sender", Value: fmt.Append(nil, l.history[id].Sender)}}, s.Headers)
	}
	require.Empty(t, judge.Compare(history, stored.Records(records), r).First)
}

// asSaid are the rules for a producer with acknowledgements, on a cluster where
// nothing goes wrong: each message is stored once, in order.
func asSaid() judge.Rules { return judge.Rules{Stored: true, Idempotent: true} }

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
