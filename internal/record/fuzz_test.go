package record

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// fuzzed makes a message of a fuzzer's arguments: count headers from the given
// bytes, and nil for what nils says.
func fuzzed(key, value, headers []byte, count uint16, nils uint8) *sarama.ProducerMessage {
	const nilKey, nilValue, nilHeaders, asString, emptyKeys = 1, 2, 4, 8, 16
	msg := &sarama.ProducerMessage{Topic: "t", Metadata: "m"}
	if nils&nilKey == 0 {
		msg.Key = sarama.ByteEncoder(key)
	}
	switch {
	case nils&nilValue != 0:
	case nils&asString != 0:
		msg.Value = sarama.StringEncoder(value)
	default:
		msg.Value = sarama.ByteEncoder(value)
	}
	for i := range int(count % 2000) {
		part := headers[min(len(headers), i%7):]
		h := sarama.RecordHeader{Key: part[:len(part)/2], Value: part[len(part)/2:]}
		if nils&emptyKeys != 0 || h.Key == nil {
			h.Key = []byte{}
		}
		if nils&nilHeaders != 0 {
			h.Value = nil
		}
		msg.Headers = append(msg.Headers, h)
	}
	return msg
}

// What is compared with the largest message allowed is what sarama compares,
// for every message: one byte less would let sarama refuse what we accept.
func FuzzNew_measuresAndCopiesEveryMessage(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), []byte("header"), uint16(3), uint8(0))
	f.Add([]byte{}, []byte(nil), []byte(nil), uint16(0), uint8(3))
	f.Add([]byte(nil), []byte{}, []byte("h"), uint16(1), uint8(4))
	f.Add(make([]byte, 127), make([]byte, 128), make([]byte, 300), uint16(1999), uint8(8))
	f.Add(make([]byte, 16383), make([]byte, 16384), []byte{0}, uint16(1), uint8(16))
	f.Fuzz(func(t *testing.T, key, value, headers []byte, count uint16, nils uint8) {
		msg := fuzzed(key, value, headers, count, nils)
		want := fuzzed(bytes.Clone(key), bytes.Clone(value), bytes.Clone(headers), count, nils)
		c, err := New(t.Context(), msg, &Home{})
		require.NoError(t, err)
		require.Equal(t, want, msg, "the message is left alone")
		require.Equal(t, msg.ByteSize(2), c.Wire)
		require.Equal(t, msg.ByteSize(2), c.Record.Msg.ByteSize(2), "as sarama sees the copy")

		// The caller uses its buffers again.
		clear(key)
		clear(value)
		clear(headers)
		equalEncoders(t, want.Key, c.Record.Msg.Key)
		equalEncoders(t, want.Value, c.Record.Msg.Value)
		require.Equal(t, want.Headers, c.Record.Msg.Headers)

		text := int64(c.Wire) - wireOverhead - int64(len(msg.Headers))*wireHeaderOverhead
		header := int64(unsafe.Sizeof(sarama.RecordHeader{}))
		own := int64(unsafe.Sizeof(Record{})) + text + int64(len(msg.Headers))*header
		require.GreaterOrEqual(t, c.Record.Size(), own, "it takes no more memory than it counts for")
		// But for what the allocator adds to each size, which is its own.
		require.LessOrEqual(t, allocated(text)+allocated(own-text), c.Record.Size()*3/2)
	})
}

func equalEncoders(t *testing.T, want, got sarama.Encoder) {
	t.Helper()
	encoded := func(e sarama.Encoder) []byte {
		if e == nil {
			return nil
		}
		b, err := e.Encode()
		require.NoError(t, err)
		require.Equal(t, len(b), e.Length())
		return b
	}
	w, g := encoded(want), encoded(got)
	require.Equal(t, w == nil, g == nil, "null is not the same as empty")
	require.True(t, bytes.Equal(w, g))
}

// allocated is what an allocation of n bytes takes.
func allocated(n int64) int64 { return int64(cap(append([]byte(nil), make([]byte, n)...))) }
