package producertest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// deliveryChecks are about what becomes of a message.
func deliveryChecks() []check {
	return []check{
		{name: "every accepted message has one outcome, and a refused one has none", run: deliverOnce},
		{name: "what is delivered is stored as it was sent", run: deliverIntact},
		{name: "null and empty stay different", run: deliverNull},
		{name: "messages of one goroutine stay in order", suits: onlyIdempotent, run: deliverInOrder},
	}
}

func deliverOnce(b *bench) {
	x := b.open(Settings{}, nil)
	ctx := b.ctx()
	err := x.workers("Send", 4, func(int) {
		for i := range x.many() {
			if i%5 == 4 {
				_ = x.post(ctx, x.message(func(msg *sarama.ProducerMessage) { msg.Topic = "" }))
				continue
			}
			if err := x.post(ctx, x.message()); err != nil {
				x.problemf("Send returned %v", err)
			}
		}
	}).result(patience)
	if err != nil {
		b.tb.Fatalf("Send: %v", err)
	}
	x.finish()
	x.allDelivered()
}

func deliverIntact(b *bench) {
	x := b.open(Settings{}, nil)
	given := time.Date(2024, 2, 29, 12, 30, 0, 123_000_000, time.UTC)
	for _, edit := range []func(*sarama.ProducerMessage){
		func(*sarama.ProducerMessage) {}, // the Timestamp is that of Send
		func(msg *sarama.ProducerMessage) { msg.Timestamp = given },
		func(msg *sarama.ProducerMessage) { msg.Key, msg.Headers = nil, nil },
		func(msg *sarama.ProducerMessage) {
			msg.Headers = append(msg.Headers, sarama.RecordHeader{Key: []byte("twice"), Value: []byte("a")},
				sarama.RecordHeader{Key: []byte("twice"), Value: []byte("b")})
		},
		func(msg *sarama.ProducerMessage) {
			binary := make([]byte, 10_000)
			for i := range binary {
				binary[i] = byte(i * i >> 3)
			}
			msg.Key, msg.Value = sarama.ByteEncoder{0, 255}, sarama.ByteEncoder(binary)
		},
	} {
		if err := x.send(b.ctx(), x.message(edit)); err != nil {
			b.tb.Fatalf("Send returned %v", err)
		}
	}
	x.finish()
	x.allDelivered()
}

func deliverNull(b *bench) {
	x := b.open(Settings{}, nil)
	// By what an Encoder gives, not by whether there is one.
	encoders := []sarama.Encoder{nil, sarama.ByteEncoder(nil), sarama.ByteEncoder{}, sarama.StringEncoder("")}
	for _, e := range encoders {
		for _, edit := range []func(*sarama.ProducerMessage){
			func(msg *sarama.ProducerMessage) { msg.Value = e },
			func(msg *sarama.ProducerMessage) { msg.Key = e },
			func(msg *sarama.ProducerMessage) { msg.Key, msg.Value = e, e },
		} {
			if err := x.send(b.ctx(), x.message(edit)); err != nil {
				b.tb.Fatalf("Send returned %v", err)
			}
		}
	}
	x.finish()
	x.allDelivered()
}

// More than the interface: what an Async can do.
type (
	trySender interface {
		TrySend(ctx context.Context, msg *sarama.ProducerMessage) error
	}
	funcSender interface {
		SendFunc(ctx context.Context, msg *sarama.ProducerMessage, done producer.ResultFunc) error
	}
)

func deliverInOrder(b *bench) {
	const senders = 3
	x := b.open(Settings{}, nil)
	ctx := b.ctx()
	try, canTry := x.Producer.(trySender)
	fun, canFunc := x.Producer.(funcSender)
	sent := make([][]*note, senders)
	err := x.workers("Send", senders, func(sender int) {
		for i := range x.many() {
			msg := x.message()
			sent[sender] = append(sent[sender], noteOf(msg))
			var err error
			switch {
			case i%3 == 1 && canTry:
				err = x.answered(msg, try.TrySend(ctx, msg))
			case i%3 == 2 && canFunc:
				err = x.answered(msg, fun.SendFunc(ctx, msg, nil))
			default:
				err = x.post(ctx, msg)
			}
			if err != nil {
				x.problemf("a send returned %v", err)
			}
		}
	}).result(patience)
	if err != nil {
		b.tb.Fatalf("Send: %v", err)
	}
	x.finish()
	x.allDelivered()
	x.inOrder(sent)
}

// inOrder checks the offsets of what each sender sent, and the order of the
// callbacks, in each partition.
func (x *trial) inOrder(sent [][]*note) {
	x.tb.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	var told []outcome
	for sender, notes := range sent {
		last := make(map[int32]int64)
		for _, n := range notes {
			for _, o := range n.outcomes {
				told = append(told, o)
				if o.msg.Offset < 0 {
					continue
				}
				if before, ok := last[o.msg.Partition]; ok && o.msg.Offset <= before {
					x.tb.Errorf("sender %d: message %d has offset %d in partition %d, the one before it %d",
						sender, n.number, o.msg.Offset, o.msg.Partition, before)
				}
				last[o.msg.Partition] = o.msg.Offset
			}
		}
	}
	slices.SortFunc(told, func(a, b outcome) int { return cmp.Compare(a.order, b.order) })
	last := make(map[int32]int64)
	for _, o := range told {
		if before, ok := last[o.msg.Partition]; ok && o.msg.Offset >= 0 && o.msg.Offset <= before {
			x.tb.Errorf("callbacks of partition %d were told of offset %d after %d", o.msg.Partition, o.msg.Offset, before)
		}
		last[o.msg.Partition] = o.msg.Offset
	}
}
