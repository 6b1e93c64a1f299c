package producertest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// sendChecks are about what Send refuses, and what it does with the caller's
// message.
func sendChecks() []check {
	return []check{
		{name: "Send accepts nothing when its ctx has ended", run: sendWithAnEndedCtx},
		{name: "Send without a ctx is an error", run: sendWithoutACtx},
		{name: "Send refuses a message that cannot be sent", run: sendInvalid},
		{name: "Send refuses a message that is too large", run: sendTooLarge},
		{name: "Send looks at the ctx, then whether Close has begun, then at the message", run: sendInOrder},
		{name: "Send after Close returns ErrClosed", run: sendAfterClose},
		{name: "Send does not change the caller's message", run: sendLeavesTheMessage},
		{name: "Send copies key, value and headers", run: sendCopies},
		{name: "Send takes the same message again at once", run: sendAgain},
		{name: "Send takes one message from several goroutines", suits: onlyAsync, run: sendTogether},
		{name: "Send accepts for good: what its ctx does later changes nothing", suits: onlyAsync, run: sendOutlivesItsCtx},
		{name: "Send of a Sync fills in partition, offset and timestamp", suits: onlySync, run: sendFillsIn},
	}
}

func sendWithAnEndedCtx(b *bench) {
	x := b.open(Settings{}, nil)
	cause := errors.New("the reason of the test")
	expired, cancel := context.WithDeadlineCause(b.tb.Context(), time.Now().Add(-time.Second), cause)
	defer cancel()
	for _, ctx := range []context.Context{b.ended(cause), b.ended(nil), expired} {
		x.refused("Send with a ctx that has ended", x.send(ctx, x.message()), ctx.Err(), context.Cause(ctx))
	}
	x.finish()
}

func sendWithoutACtx(b *bench) {
	x := b.open(Settings{}, nil)
	var none context.Context
	x.refused("Send without a ctx", x.send(none, x.message()), producer.ErrInvalidMessage)
	x.finish()
}

// badValueError is what an Encoder fails with. It quotes the message, as the errors of
// encoding/json do.
type badValueError struct{}

func (badValueError) Error() string { return "the value of the message is bad" }

// Encoders that give no bytes.
type (
	failing   struct{}
	panicking struct{}
	pointed   struct{ text string }
)

func (failing) Encode() ([]byte, error)   { return nil, badValueError{} }
func (failing) Length() int               { return 1 }
func (panicking) Encode() ([]byte, error) { panic(badValueError{}) }
func (panicking) Length() int             { panic(badValueError{}) }

// Encode and Length panic for a nil pointer.
func (p *pointed) Encode() ([]byte, error) { return []byte(p.text), nil }
func (p *pointed) Length() int             { return len(p.text) }

func sendInvalid(b *bench) {
	x := b.open(Settings{}, nil)
	encoder := func(value bool, e sarama.Encoder) func(*sarama.ProducerMessage) {
		return func(msg *sarama.ProducerMessage) {
			if value {
				msg.Value = e
			} else {
				msg.Key = e
			}
		}
	}
	var none *pointed
	cases := []struct {
		what  string
		edit  func(*sarama.ProducerMessage)
		cause error
	}{
		{"a message without a topic", func(msg *sarama.ProducerMessage) { msg.Topic = "" }, nil},
		{"a header without a key", func(msg *sarama.ProducerMessage) { msg.Headers[0].Key = nil }, nil},
		{"a value that cannot be encoded", encoder(true, failing{}), badValueError{}},
		{"a key that cannot be encoded", encoder(false, failing{}), badValueError{}},
		{"a value that panics", encoder(true, panicking{}), nil},
		{"a key that panics", encoder(false, panicking{}), nil},
		{"a value that is a nil pointer", encoder(true, none), nil},
	}
	x.refused("a nil message", x.send(b.ctx(), nil), producer.ErrInvalidMessage)
	for _, c := range cases {
		err := x.send(b.ctx(), x.message(c.edit))
		x.refused(c.what, err, producer.ErrInvalidMessage)
		if c.cause != nil && !errors.Is(err, c.cause) {
			b.tb.Errorf("%s: %q does not wrap what the Encoder returned", c.what, err)
		}
		if err != nil && strings.Contains(err.Error(), "the value of") {
			b.tb.Errorf("%s: the error can hold bytes of the message: %q", c.what, err)
		}
	}
	x.mustSend(1)
	x.finish()
}

func sendTooLarge(b *bench) {
	const limit = 1000
	x := b.open(Settings{MaxMessageBytes: limit}, nil)
	sized := func(n int) func(*sarama.ProducerMessage) {
		return func(msg *sarama.ProducerMessage) { msg.Value = sarama.ByteEncoder(make([]byte, n)) }
	}
	x.refused("a message larger than MaxMessageBytes", x.send(b.ctx(), x.message(sized(limit+1))), producer.ErrMessageTooLarge)
	if err := x.send(b.ctx(), x.message(sized(limit/2))); err != nil {
		b.tb.Errorf("Send of a message of half of MaxMessageBytes returned %v", err)
	}
	x.finish()
}

func sendInOrder(b *bench) {
	x := b.open(Settings{}, nil)
	ended := b.ended(errors.New("the reason of the test"))
	x.refused("a nil message with a ctx that has ended", x.send(ended, nil), ended.Err())
	x.close()
	x.refused("a nil message with a ctx that has ended, after Close", x.send(ended, nil), ended.Err())
	x.refused("a nil message after Close", x.send(b.ctx(), nil), producer.ErrClosed)
	x.judge()
}

func sendAfterClose(b *bench) {
	x := b.open(Settings{}, nil)
	x.mustSend(3)
	x.close()
	x.refused("Send after Close", x.send(b.ctx(), x.message()), producer.ErrClosed)
	x.judge()
}
