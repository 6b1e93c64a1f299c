package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// wireLimit is the largest message of the two producers that are compared.
const wireLimit = 1000

// wireMessage makes a message of a fuzzer's arguments: headers from the given
// bytes, and nil or a type of Encoder as the bits say. With bit 32 the value is
// filled up to the limit and a few bytes more or less.
func wireMessage(key, value, headers []byte, bits uint8, off int8) *sarama.ProducerMessage {
	msg := &sarama.ProducerMessage{Topic: topic, Timestamp: time.UnixMilli(1_700_000_000_000)}
	if bits&1 == 0 {
		msg.Key = sarama.ByteEncoder(key)
	}
	for len(headers) > 1 {
		n := min(int(headers[0])%20, len(headers)-1)
		h := sarama.RecordHeader{Key: headers[1 : 1+n/2], Value: headers[1+n/2 : 1+n]}
		if bits&2 != 0 {
			h.Value = nil
		}
		msg.Headers = append(msg.Headers, h)
		headers = headers[1+n:]
	}
	if bits&32 != 0 {
		msg.Value = nil
		if room := wireLimit + int(off%4) - msg.ByteSize(2); room > 0 {
			value = bytes.Repeat([]byte{'v'}, room)
		}
	}
	switch bits >> 2 & 3 {
	case 1:
		msg.Value = nil
	case 2:
		msg.Value = sarama.StringEncoder(value)
	default:
		msg.Value = sarama.ByteEncoder(value)
	}
	return msg
}

// A message goes through the library and through bare sarama with the same
// limit: what one of them finds too large the other does too, and what is
// stored is the same.
func FuzzWire_isThatOfBareSarama(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), []byte("\x04abcd\x02ef"), uint8(0), int8(0))
	f.Add([]byte(nil), []byte{}, []byte(nil), uint8(0), int8(0))
	f.Add([]byte{}, []byte(nil), []byte("\x00\x01x\x00y"), uint8(2), int8(0))
	f.Add([]byte("k"), []byte("v"), []byte(nil), uint8(1|4), int8(0))
	f.Add([]byte("k"), []byte("v"), []byte(nil), uint8(8), int8(0))
	for off := int8(-2); off <= 2; off++ {
		f.Add([]byte("key"), []byte(nil), []byte("\x04abcd"), uint8(32), off)
	}
	cluster := kafkatest.Start(f)
	ours, err := producer.NewSync(f.Context(), cluster.Addrs(), producer.WithMaxMessageBytes(wireLimit), producer.WithCompression(sarama.CompressionNone))
	require.NoError(f, err)
	f.Cleanup(func() { _ = ours.Close(f.Context()) })
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = wireLimit
	bare, err := sarama.NewSyncProducer(cluster.Addrs(), config)
	require.NoError(f, err)
	f.Cleanup(func() { _ = bare.Close() })

	runs, name := 0, ""
	f.Fuzz(func(t *testing.T, key, value, headers []byte, bits uint8, off int8) {
		if len(headers) > 400 {
			return
		}
		// What is read back grows with what is stored.
		if runs%50 == 0 {
			_ = cluster.DeleteTopic(name) // the first one was never there
			name = fmt.Sprintf("%s-%d", topic, runs)
			require.NoError(t, cluster.CreateTopic(name, 1))
		}
		runs++
		msg := wireMessage(key, value, headers, bits, off)
		msg.Topic = name
		tooLarge := msg.ByteSize(2) > wireLimit
		said := ours.Send(t.Context(), msg)
		_, _, refused := bare.SendMessage(wireCopy(msg))
		if tooLarge {
			require.ErrorIs(t, said, producer.ErrMessageTooLarge)
			_, ok := errors.AsType[sarama.ConfigurationError](refused)
			require.True(t, ok, "%v", refused)
			return
		}
		require.NoError(t, said)
		require.NoError(t, refused)
		records, err := cluster.Records(t.Context(), name)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(records), 2)
		mine, bares := records[len(records)-2], records[len(records)-1]
		require.Equal(t, msg.Offset, mine.Offset)
		mine.Offset = bares.Offset
		require.Equal(t, bares, mine)
	})
}

func wireCopy(msg *sarama.ProducerMessage) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{
		Topic: msg.Topic, Key: msg.Key, Value: msg.Value, Headers: msg.Headers, Timestamp: time.UnixMilli(1_700_000_000_000),
	}
}
