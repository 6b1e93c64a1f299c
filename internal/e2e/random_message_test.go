package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
)

// entry is the history of one message of a program.
type entry struct {
	message
	headers  []sarama.RecordHeader
	tag      int // what its ctx carries: the id of the first message sent with it
	refusal  error
	react    reaction
	depth    int       // how many callbacks deep it was sent
	withFunc bool      // it has a SendFunc's function
	results  []outcome // what it was told; guarded by run.mu, as outcomes are

	state  atomic.Uint32
	toldAt time.Time // when its callback began; guarded by run.mu
}

// The states of an entry, as far as they are known to the program.
const (
	entryAccepted uint32 = 1 << iota
	entryRejected
	entryDone // its callbacks have returned
)

func (e *entry) is(state uint32) bool { return e.state.Load()&state != 0 }

// tagKey is the key under which the ctx of a send carries its tag.
type tagKey struct{}

// errEncoder is what a message's Encoder fails with.
var errEncoder = errors.New("the test's encoder")

// badEncoder fails or panics.
type badEncoder struct{ panics bool }

func (b badEncoder) Encode() ([]byte, error) {
	if b.panics {
		panic(errEncoder)
	}
	return nil, errEncoder
}

func (badEncoder) Length() int { return 1 }

// caller is a goroutine that sends: one of the program's, or a callback.
type caller struct {
	*run
	sender   int
	dice     dice
	callback context.Context //nolint:containedctx // of the callback that this is; nil: a goroutine of the program
	depth    int
	last     *entry                  // what it sent last
	again    *sarama.ProducerMessage // the message that it uses again
}

func (r *run) caller(sender int, d dice) *caller { return &caller{run: r, sender: sender, dice: d} }

// next makes a message. Its bytes may be used again as soon as the send has
// returned: see spoilBytes.
func (c *caller) next(withFunc bool) (*entry, *sarama.ProducerMessage) {
	d := c.dice
	e := &entry{depth: c.depth, withFunc: withFunc}
	c.last = e
	topic := c.topicFor(d)
	var key, pad []byte
	if !d.chance(c.mix.unkeyed) {
		key = fmt.Appendf(nil, "key %d", d.roll(7))
	}
	if d.chance(c.mix.large) {
		pad = bytes.Repeat([]byte{'a' + byte(d.roll(26))}, d.between(100, c.largest()))
	}
	if d.chance(c.react.percent) && c.depth < 3 {
		e.react = c.react.kinds[d.roll(len(c.react.kinds))]
	}
	if d.chance(c.mix.headers) {
		e.headers = []sarama.RecordHeader{{Key: []byte("h"), Value: fmt.Append(nil, d.roll(1000))}, {Key: []byte("nil")}}
	}
	invalid := d.chance(c.mix.invalid)

	c.mu.Lock()
	e.ID, e.Sender = len(c.entries), c.sender
	c.entries = append(c.entries, e)
	c.mu.Unlock()
	e.tag = e.ID
	e.Topic, e.Key = topic, key
	text := fmt.Sprintf("%d %d %s %x %s", e.ID, c.sender, topic, key, pad)
	e.Value = fmt.Appendf(nil, "%s %d", text, crc32.ChecksumIEEE([]byte(text)))

	msg := &sarama.ProducerMessage{
		Topic: topic, Value: sarama.ByteEncoder(bytes.Clone(e.Value)), Metadata: e, Offset: untouched,
		Headers: cloneHeaders(e.headers),
	}
	if key != nil {
		msg.Key = sarama.ByteEncoder(bytes.Clone(key))
	}
	if c.config.manual {
		// All existing topics have a partition 0.
		msg.Partition = int32(d.roll(c.partitionsOf(topic)))
	}
	if d.chance(30) {
		// The very message that was sent before, which may be on its way still.
		if c.again == nil {
			c.again = &sarama.ProducerMessage{}
		}
		*c.again = *msg
		msg = c.again
	}
	if invalid {
		msg = c.invalidate(e, msg)
	}
	return e, msg
}

// untouched is an Offset that no send sets.
const untouched = -77

func (c *caller) topicFor(d dice) string {
	var certain, doubtful []string
	for i, t := range c.topics {
		if t.kind == exists {
			certain = append(certain, c.names[i])
		} else {
			doubtful = append(doubtful, c.names[i])
		}
	}
	if len(doubtful) > 0 && d.chance(c.mix.doubtful) {
		return doubtful[d.roll(len(doubtful))]
	}
	return certain[d.roll(len(certain))]
}

func (c *caller) partitionsOf(topic string) int {
	for i, name := range c.names {
		if name == topic {
			return max(1, c.topics[i].partitions)
		}
	}
	return 1
}

// largest is the padding that still fits.
func (c *caller) largest() int {
	return int(min(int64(c.config.maxMessage)-300, c.config.maxBytes-producer.MessageOverhead-800))
}

// invalidate makes a message one that must be refused, and notes with what.
func (c *caller) invalidate(e *entry, msg *sarama.ProducerMessage) *sarama.ProducerMessage {
	e.refusal = producer.ErrInvalidMessage
	switch c.dice.roll(6) {
	case 0:
		msg.Topic = ""
	case 1:
		return nil
	case 2:
		msg.Headers = append(msg.Headers, sarama.RecordHeader{Value: []byte("v")})
	case 3:
		msg.Value = badEncoder{}
	case 4:
		msg.Key = badEncoder{panics: true}
	case 5:
		msg.Value = sarama.StringEncoder(strings.Repeat("x", c.config.maxMessage))
		e.refusal = producer.ErrMessageTooLarge
	}
	return msg
}

func cloneHeaders(headers []sarama.RecordHeader) (clone []sarama.RecordHeader) {
	for _, h := range headers {
		clone = append(clone, sarama.RecordHeader{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)})
	}
	return clone
}

// sameHeaders compares headers; a nil value is not the same as an empty one.
func sameHeaders(a, b []sarama.RecordHeader) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i].Key, b[i].Key) || !judge.Same(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}

// spoilBytes writes into all bytes of a message, as a caller does who uses a
// buffer again.
func spoilBytes(msg *sarama.ProducerMessage) {
	if msg == nil {
		return
	}
	for _, e := range []sarama.Encoder{msg.Key, msg.Value} {
		if b, ok := e.(sarama.ByteEncoder); ok {
			clear(b)
		}
	}
	for _, h := range msg.Headers {
		clear(h.Key)
		clear(h.Value)
	}
}

// context makes the ctx of a call, and says when it will have ended: after
// bound, unless that is negative.
func (c *caller) context(how ending, within time.Duration, tag int) (ctx context.Context, end func(), bound time.Duration) {
	if how == absent {
		return nil, func() {}, -1
	}
	parent := context.Background()
	if c.callback != nil {
		switch c.dice.roll(3) {
		case 0:
			parent = c.callback
		case 1:
			type key struct{}
			parent = context.WithValue(c.callback, key{}, 1)
		}
	}
	parent = context.WithValue(parent, tagKey{}, tag)
	cause := errors.New("the test's cause")
	switch how {
	case later:
		ctx, cancel := context.WithTimeout(parent, time.Minute)
		return ctx, cancel, -1
	case soon:
		ctx, cancel := context.WithTimeoutCause(parent, within, cause)
		return ctx, cancel, within
	case cancelled:
		ctx, cancel := context.WithCancelCause(parent)
		timer := time.AfterFunc(within, func() { cancel(cause) })
		return ctx, func() { timer.Stop(); cancel(nil) }, within
	case dead:
		ctx, cancel := context.WithCancelCause(parent)
		cancel(cause)
		return ctx, func() {}, 0
	case expired:
		ctx, cancel := context.WithDeadline(parent, time.Now().Add(-time.Second))
		return ctx, cancel, 0
	default:
		return parent, func() {}, -1
	}
}
