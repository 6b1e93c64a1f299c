package bench

import (
	"hash/crc32"
	"io"
	"net"
	"sync"
	"testing"

	snappy "github.com/klauspost/compress/snappy/xerial"
	"github.com/stretchr/testify/require"
)

// limitBatch is a batch of 100-byte messages as far as its bytes go, and how
// many there are.
func limitBatch() (bytes []byte, messages int) {
	const size = 100
	values := JSON.values(size)
	for len(bytes) < BatchBytes {
		bytes = append(bytes, values[messages%len(values)]...)
		messages++
	}
	return bytes, messages
}

// perMessage reports what a batch costs for each of its messages.
func perMessage(b *testing.B, messages int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(messages), "ns/message")
}

// BenchmarkLimit is what no producer can do without: each byte is copied,
// compressed, summed, and written to a socket.
func BenchmarkLimit(b *testing.B) {
	batch, messages := limitBatch()
	compressed := snappy.Encode(nil, batch)
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(int64(len(batch)))
		to := make([]byte, len(batch))
		for b.Loop() {
			copy(to, batch)
		}
		perMessage(b, messages)
	})
	b.Run("snappy", func(b *testing.B) {
		b.SetBytes(int64(len(batch)))
		to := make([]byte, 0, 2*len(batch))
		for b.Loop() {
			snappy.Encode(to, batch)
		}
		perMessage(b, messages)
	})
	b.Run("CRC-32C", func(b *testing.B) {
		b.SetBytes(int64(len(compressed)))
		table := crc32.MakeTable(crc32.Castagnoli)
		for b.Loop() {
			crc32.Checksum(compressed, table)
		}
		perMessage(b, messages)
	})
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(compressed)))
		c := discarding(b)
		for b.Loop() {
			if _, err := c.Write(compressed); err != nil {
				b.Fatal(err)
			}
		}
		perMessage(b, messages)
	})
}

// discarding is a connection to somebody who reads and does nothing with it.
func discarding(b *testing.B) net.Conn {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	var reading sync.WaitGroup
	reading.Go(func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c})
		}
	})
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, c.Close())
		reading.Wait()
		require.NoError(b, l.Close())
	})
	return c
}
