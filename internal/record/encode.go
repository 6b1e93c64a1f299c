package record

import "github.com/IBM/sarama"

// gated is the Encoder of a record's value while the transport works on it.
// sarama asks it for the bytes when it puts the record into a batch, and only
// then, which makes it the one place where "never sent" can be decided.
//
// A tombstone has it too: an Encoder that returns nil bytes is stored as null.
type gated Record

// Encode notes an attempt and returns the bytes, or ErrRefused.
func (g *gated) Encode() ([]byte, error) {
	r := (*Record)(g)
	for {
		s := r.state.Load()
		if s&stateRefused != 0 {
			return nil, ErrRefused
		}
		// The partition and the retry mark are stored before the attempt is
		// published: who sees the attempt sees them too.
		r.partition.Store(r.Msg.Partition)
		r.encodedAt = r.Home.Retries.Load()
		if r.state.CompareAndSwap(s, s+1<<attemptShift) {
			return r.value(), nil
		}
	}
}

// Length is the number of bytes that Encode returns.
func (g *gated) Length() int { return max(0, int(g.valueLen)) }

// plainKey and plainValue are the Encoders that callbacks and partitioners see:
// they give the bytes whatever the state of the record. Each is the record
// itself, which needs no allocation.
type (
	plainKey   Record
	plainValue Record
)

func (p *plainKey) Encode() ([]byte, error) { return (*Record)(p).key(), nil }
func (p *plainKey) Length() int             { return max(0, int(p.keyLen)) }

func (p *plainValue) Encode() ([]byte, error) { return (*Record)(p).value(), nil }
func (p *plainValue) Length() int             { return max(0, int(p.valueLen)) }

// plainKey is the key, nil if there is none.
func (r *Record) plainKey() sarama.Encoder {
	if r.keyLen < 0 {
		return nil
	}
	return (*plainKey)(r)
}

// plainValue is the value, nil if there is none.
func (r *Record) plainValue() sarama.Encoder {
	if r.valueLen < 0 {
		return nil
	}
	return (*plainValue)(r)
}

// key is nil if there is none, and not nil if it is empty.
func (r *Record) key() []byte { return part(r.bytes, 0, int(r.keyLen)) }

// value is nil if there is none, and not nil if it is empty.
func (r *Record) value() []byte { return part(r.bytes, max(0, int(r.keyLen)), int(r.valueLen)) }

// part cannot be appended to.
func part(bytes []byte, from, n int) []byte {
	switch {
	case n < 0:
		return nil
	case n == 0:
		return []byte{}
	}
	return bytes[from : from+n : from+n]
}

// Of finds the record of a message that the transport got back. It returns nil
// for a message that is not ours, or that was reported already.
func Of(msg *sarama.ProducerMessage) *Record {
	if msg == nil {
		return nil
	}
	g, ok := msg.Value.(*gated)
	if !ok {
		return nil
	}
	return (*Record)(g)
}

// Around shows a partitioner the plain value, so that one which looks at it
// does not count as an attempt.
type Around struct{}

// Before is called before a partitioner sees msg. What it returns is handed to
// After.
func (Around) Before(msg *sarama.ProducerMessage) (token any) {
	r := Of(msg)
	if r == nil {
		return nil
	}
	msg.Value = r.plainValue()
	return r
}

// After is called when the partitioner has returned. placed says that it chose
// a partition. Whatever it did to the message's value is undone.
func (Around) After(msg *sarama.ProducerMessage, token any, placed bool) {
	r, ok := token.(*Record)
	if !ok {
		return
	}
	msg.Value = (*gated)(r)
	r.Placed = r.Placed || placed
}
