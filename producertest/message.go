package producertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/IBM/sarama"
)

func sendLeavesTheMessage(b *bench) {
	x := b.open(Settings{}, nil)
	full := func(msg *sarama.ProducerMessage) {
		msg.Value = sarama.ByteEncoder("a value of bytes")
		msg.Headers = slices.Grow(msg.Headers, 4) // an append would go unseen otherwise
	}
	bare := func(msg *sarama.ProducerMessage) {
		*msg = sarama.ProducerMessage{Topic: x.Topic, Metadata: msg.Metadata}
	}
	broken := func(msg *sarama.ProducerMessage) { msg.Value = failing{} }
	var sent, before []*sarama.ProducerMessage
	for _, edit := range []func(*sarama.ProducerMessage){full, bare, broken} {
		msg := x.message(edit)
		sent, before = append(sent, msg), append(before, clone(msg))
		_ = x.send(b.ctx(), msg) // the last is refused
	}
	x.flush()
	for i, msg := range sent {
		if x.h.Sync && i < 2 {
			before[i].Partition, before[i].Offset, before[i].Timestamp = msg.Partition, msg.Offset, msg.Timestamp
		}
		if spare := msg.Headers[len(msg.Headers):cap(msg.Headers)]; len(spare) > 0 && spare[0].Key != nil {
			b.tb.Errorf("Send has appended to the caller's headers: %q", spare[0].Key)
		}
		if !reflect.DeepEqual(before[i], msg) {
			b.tb.Errorf("Send has changed the caller's message:\n%+v became\n%+v", before[i], msg)
		}
	}
	x.finish()
}

// clone copies a message with its bytes.
func clone(msg *sarama.ProducerMessage) *sarama.ProducerMessage {
	c := *msg
	if value, ok := msg.Value.(sarama.ByteEncoder); ok {
		c.Value = sarama.ByteEncoder(bytes.Clone(value))
	}
	c.Headers = slices.Clone(msg.Headers)
	for i, h := range c.Headers {
		c.Headers[i] = sarama.RecordHeader{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)}
	}
	return &c
}

func sendCopies(b *bench) {
	x := b.open(Settings{}, nil)
	var (
		key, value, header = make([]byte, 16), make([]byte, 64), make([]byte, 16)
		headers            = make([]sarama.RecordHeader, 1)
	)
	ctx := b.ctx()
	err := b.do("Send", patience, func() error {
		for i := range x.many() {
			copy(key, fmt.Sprintf("key %12d", i%5))
			copy(value, fmt.Sprintf("the value of message %43d", i))
			copy(header, fmt.Sprintf("header %9d", i))
			headers[0] = sarama.RecordHeader{Key: header, Value: value[:8]}
			msg := x.message(func(msg *sarama.ProducerMessage) {
				msg.Key, msg.Value, msg.Headers = sarama.ByteEncoder(key), sarama.ByteEncoder(value), headers
			})
			if err := x.post(ctx, msg); err != nil {
				return err
			}
			msg.Topic, msg.Metadata = "", nil
			clear(key)
			clear(value)
			clear(header)
			clear(headers)
		}
		return nil
	})
	if err != nil {
		b.tb.Fatalf("Send returned %v", err)
	}
	x.finish()
}

func sendAgain(b *bench) {
	x := b.open(Settings{}, nil)
	msg := x.message()
	for range x.many() {
		if err := x.send(b.ctx(), msg); err != nil {
			b.tb.Fatalf("Send returned %v", err)
		}
	}
	x.finish()
}

func sendTogether(b *bench) {
	x := b.open(Settings{}, nil)
	msg := x.message()
	ctx := b.ctx()
	errs := make([]error, 8)
	err := x.workers("Send", len(errs), func(i int) {
		for range 10 {
			errs[i] = errors.Join(errs[i], x.post(ctx, msg))
		}
	}).result(patience)
	if err = errors.Join(err, errors.Join(errs...)); err != nil {
		b.tb.Fatalf("Send returned %v", err)
	}
	x.finish()
}

func sendOutlivesItsCtx(b *bench) {
	x := b.open(Settings{}, nil)
	for range 20 {
		ctx, cancel := context.WithCancel(b.ctx())
		err := x.send(ctx, x.message())
		cancel()
		if err != nil {
			b.tb.Fatalf("Send returned %v", err)
		}
	}
	x.finish()
	x.allDelivered()
}

// allDelivered checks that nothing has failed.
func (x *trial) allDelivered() {
	x.tb.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, n := range x.notes {
		for _, o := range n.outcomes {
			if o.err != nil {
				x.tb.Errorf("message %d failed: %v", n.number, o.err)
			}
		}
	}
}

func sendFillsIn(b *bench) {
	x := b.open(Settings{}, nil)
	msg := x.message()
	if err := x.send(b.ctx(), msg); err != nil {
		b.tb.Fatalf("Send returned %v", err)
	}
	x.finish()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range x.notes[0].outcomes {
		if msg.Partition != o.msg.Partition || msg.Offset != o.msg.Offset || !msg.Timestamp.Equal(o.msg.Timestamp) {
			b.tb.Errorf("Send has set partition %d, offset %d and %v; the callback got %d, %d and %v",
				msg.Partition, msg.Offset, msg.Timestamp, o.msg.Partition, o.msg.Offset, o.msg.Timestamp)
		}
	}
}
