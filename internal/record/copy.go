package record

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/IBM/sarama"
)

// What is wrong with a message. The root package wraps these.
var (
	ErrNilMessage = errors.New("the message is nil")
	ErrNoTopic    = errors.New("the topic is empty; set ProducerMessage.Topic")
	ErrHeaderKey  = errors.New("a header has no key; Kafka knows no header without one")
	ErrTimestamp  = errors.New("the timestamp is not between 1970 and 2262, which is what can be sent; leave it zero for the present time")
	ErrNilContext = errors.New("the context is nil; pass context.Background()")
)

// TopicError says that no Apache Kafka can have a topic of that name. Its text
// is always the same, since logs are grouped by it.
type TopicError struct{ Topic string }

func (*TopicError) Error() string {
	return fmt.Sprintf("the topic's name is not one: Kafka takes 1 to %d of the characters a-z, A-Z, 0-9, '.', '_' and '-', "+
		"but neither \".\" nor \"..\"", longestTopic)
}

// longestTopic is Kafka's limit: the name is part of a file's, with a suffix.
const longestTopic = 249

// CheckTopic refuses what Apache Kafka would not take as the name of a topic. To send
// it would fail all that is in the same request.
func CheckTopic(name string) error {
	if name == "" {
		return ErrNoTopic
	}
	if len(name) > longestTopic || name == "." || name == ".." {
		return &TopicError{Topic: name}
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return &TopicError{Topic: name}
		}
	}
	return nil
}

// sendable reports whether a timestamp can be sent as it is: Kafka knows none
// before 1970, and sarama counts in nanoseconds, which an int64 holds until 2262.
func sendable(t time.Time) bool {
	return t.IsZero() || t.Unix() >= 0 && t.Unix() < math.MaxInt64/int64(time.Second)
}

// EncoderError says that an Encoder failed or panicked. Its text holds neither
// the cause's text nor the panic's value: both may hold bytes of the message.
type EncoderError struct {
	Part  string // "key" or "value"
	Panic any    // what it panicked with, nil if it did not
	Err   error  // what it returned, or the panic's value if that is an error
}

func (e *EncoderError) Error() string {
	if e.Panic != nil {
		return "the Encoder of the " + e.Part + " panicked"
	}
	return "the Encoder of the " + e.Part + " failed"
}

// Unwrap returns what the Encoder returned.
func (e *EncoderError) Unwrap() error { return e.Err }

const (
	// wireOverhead and wireHeaderOverhead are what sarama adds to a record
	// when it compares it with MaxMessageBytes (ProducerMessage.ByteSize,
	// record format 2): the largest encoding of the varints around the bytes.
	wireOverhead       = 5*5 + 10 + 1
	wireHeaderOverhead = 2 * 5

	// Overhead is what one message takes of the byte budget beyond its key,
	// value and headers: the record, which takes 352 bytes, and its places in
	// queues. What sarama adds while it is in a batch, about 130 bytes, is not
	// in it: with 512 the default of 100,000 messages of 100 bytes fit into the
	// default of 64 MiB.
	Overhead = 512
	// headerOverhead is the same for one header: two slice headers, twice.
	headerOverhead = 96
)

// Copy is a message as Send takes it over: encoded, copied and measured, but
// not accepted yet.
type Copy struct {
	// Record is nil for a message that is larger than Home.Most, or than 2 GiB,
	// which no broker takes: nothing of it was copied.
	Record *Record
	// Wire is the size that is compared with the largest message allowed.
	Wire int
	// Now is when it was made.
	Now time.Time
}

// New copies msg into a new record. The message and its bytes are not used
// after New returns. Encoders are called here, in the goroutine of the caller,
// so that one that fails or panics does so where it can be answered.
func New(ctx context.Context, msg *sarama.ProducerMessage, home *Home) (Copy, error) {
	return NewFollowed(ctx, msg, home, nil, nil)
}

// NewFollowed is New for a message of which hooks were told: the record gets a
// trail that begins there, is made at the time at which Send was called, and
// headers are in place of the message's. With neither it is New.
func NewFollowed(
	ctx context.Context, msg *sarama.ProducerMessage, home *Home, start *Start, headers []sarama.RecordHeader,
) (Copy, error) {
	if ctx == nil {
		return Copy{}, ErrNilContext
	}
	if msg == nil {
		return Copy{}, ErrNilMessage
	}
	if err := CheckTopic(msg.Topic); err != nil {
		return Copy{}, err
	}
	if !sendable(msg.Timestamp) {
		return Copy{}, ErrTimestamp
	}
	key, err := encode("key", msg.Key)
	if err != nil {
		return Copy{}, err
	}
	value, err := encode("value", msg.Value)
	if err != nil {
		return Copy{}, err
	}

	total := key.len() + value.len()
	if start == nil {
		headers = msg.Headers
	}
	for i := range headers {
		if headers[i].Key == nil {
			return Copy{}, ErrHeaderKey
		}
		total += len(headers[i].Key) + len(headers[i].Value)
	}

	wire := total + wireOverhead + len(headers)*wireHeaderOverhead
	size := total + len(headers)*headerOverhead + Overhead
	if max(wire, size) > math.MaxInt32 || home.Most > 0 && wire > home.Most {
		return Copy{Wire: wire}, nil
	}

	var now time.Time
	if start != nil {
		now = start.Sent
	} else {
		now = time.Now()
	}
	timestamp := msg.Timestamp
	if timestamp.IsZero() {
		// sarama would take the time of each attempt.
		timestamp = now.Round(0)
	}
	apart := large(value.len())
	if apart {
		total -= value.len()
	}
	var r *Record
	var buf []byte
	if start != nil {
		r, buf = allocateFollowed(total, start)
	} else {
		r, buf = allocate(total)
		r.Ctx = bare(ctx)
	}
	m := &r.Msg
	m.Topic, m.Metadata = msg.Topic, msg.Metadata
	m.Partition = msg.Partition // what NewManualPartitioner reads
	m.Offset = -1               // what stays if the broker does not tell
	m.Timestamp, r.created = timestamp, timestamp
	r.size = int32(size)
	r.Home = home
	r.partition.Store(-1)

	r.key, buf = key.appendTo(buf)
	if apart {
		_, r.value = value.appendTo(home.rooms.take(value.len())) // with all of its room, for Release
	} else {
		r.value, buf = value.appendTo(buf)
	}
	if len(headers) > 0 {
		r.Msg.Headers = make([]sarama.RecordHeader, len(headers))
		for i, h := range headers {
			r.Msg.Headers[i].Key, buf = source{bytes: h.Key, present: true}.appendTo(buf)
			r.Msg.Headers[i].Value, buf = source{bytes: h.Value, present: h.Value != nil}.appendTo(buf)
		}
	}
	// The key needs no gate: sarama asks for it when it chooses a partition,
	// too, and never without the value when it makes a batch.
	r.Msg.Key = plain(&r.key)
	r.Msg.Value = (*gated)(r)
	return Copy{Record: r, Wire: wire, Now: now}, nil
}

// withFew and withSome are records with room for their bytes, so that short
// messages are one allocation.
type withFew struct {
	Record
	bytes [32]byte
}

type withSome struct {
	Record
	bytes [128]byte
}

// allocate returns an empty record, and room for its bytes.
func allocate(total int) (*Record, []byte) {
	switch {
	case total == 0:
		return new(Record), nil
	case total <= len(withFew{}.bytes):
		r := new(withFew)
		return &r.Record, r.bytes[:0:total]
	case total <= len(withSome{}.bytes):
		r := new(withSome)
		return &r.Record, r.bytes[:0:total]
	default:
		return new(Record), make([]byte, 0, total)
	}
}

// followed is a record with its trail.
type followed struct {
	Record
	Trail
}

// follow begins the trail.
func (f *followed) follow(start *Start) *Record {
	f.Start = *start
	f.Ctx = &f.Trail
	return &f.Record
}

// allocateFollowed is allocate for a record with a trail. It stays below 512 bytes:
// the garbage collector takes longer to look at what is larger.
func allocateFollowed(total int, start *Start) (*Record, []byte) {
	type withFew struct {
		followed
		bytes [32]byte
	}
	switch {
	case total == 0:
		return new(followed).follow(start), nil
	case total <= len(withFew{}.bytes):
		r := new(withFew)
		return r.follow(start), r.bytes[:0:total]
	default:
		return new(followed).follow(start), make([]byte, 0, total)
	}
}

// source is what an Encoder gave: bytes or a string, so that a StringEncoder
// costs no copy of its own.
type source struct {
	bytes   []byte
	str     string
	present bool // false: null
}

func (s source) len() int { return len(s.bytes) + len(s.str) }

// appendTo appends s to buf and returns the part it took, nil if s is null and
// empty but not nil if s is empty. The part cannot be appended to.
func (s source) appendTo(buf []byte) (part, rest []byte) {
	if !s.present {
		return nil, buf
	}
	start := len(buf)
	buf = append(buf, s.bytes...)
	buf = append(buf, s.str...)
	if len(buf) == start {
		return []byte{}, buf
	}
	return buf[start:len(buf):len(buf)], buf
}

// encode asks an Encoder for its bytes. Whether there is a key or a value is
// judged by the bytes: an Encoder that returns nil is the same as none.
func encode(part string, e sarama.Encoder) (src source, err error) {
	switch e := e.(type) {
	case nil:
		return source{}, nil
	case sarama.ByteEncoder:
		return source{bytes: e, present: e != nil}, nil
	case sarama.StringEncoder:
		return source{str: string(e), present: true}, nil
	}
	defer func() {
		if p := recover(); p != nil {
			cause, _ := p.(error) // a panic's value need not be one
			src, err = source{}, &EncoderError{Part: part, Panic: p, Err: cause}
		}
	}()
	b, err := e.Encode()
	if err != nil {
		return source{}, &EncoderError{Part: part, Err: err}
	}
	return source{bytes: b, present: b != nil}, nil
}
