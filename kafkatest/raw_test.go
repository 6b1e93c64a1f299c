package kafkatest_test

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/saramakit/producer/kafkatest"
)

// rawVersion is the version of produce requests that raw clients send: the last
// with plain headers.
const rawVersion = 8

// rawClient is a connection to a broker on which a test counts bytes.
type rawClient struct {
	*net.TCPConn
	tb testing.TB
}

func dialRaw(tb testing.TB, cluster *kafkatest.Cluster, broker int32) rawClient {
	tb.Helper()
	conn, err := net.Dial("tcp", cluster.Addrs()[broker])
	require.NoError(tb, err)
	tcp, ok := conn.(*net.TCPConn)
	require.True(tb, ok)
	c := rawClient{tcp, tb}
	tb.Cleanup(func() { _ = c.Close() })
	require.NoError(tb, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c
}

func (c rawClient) send(frame []byte) {
	c.tb.Helper()
	_, err := c.Write(frame)
	require.NoError(c.tb, err)
}

// answer reads the next answer, with its length in front.
func (c rawClient) answer() []byte {
	c.tb.Helper()
	var size [4]byte
	_, err := io.ReadFull(c, size[:])
	require.NoError(c.tb, err)
	frame := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
	copy(frame, size[:])
	_, err = io.ReadFull(c, frame[4:])
	require.NoError(c.tb, err)
	return frame
}

// acknowledged reads the next answer, which has to be that to a produce request
// that was stored.
func (c rawClient) acknowledged(correlation int32) {
	c.tb.Helper()
	frame := c.answer()
	require.Equal(c.tb, correlation, int32(binary.BigEndian.Uint32(frame[4:])))
	for _, p := range produceAnswer(c.tb, frame).Topics[0].Partitions {
		require.Zero(c.tb, p.ErrorCode)
	}
}

// hearsNothing waits a little for bytes that must not come.
func (c rawClient) hearsNothing() {
	c.tb.Helper()
	require.NoError(c.tb, c.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	var timeout net.Error
	require.ErrorAs(c.tb, err, &timeout)
	require.True(c.tb, timeout.Timeout())
	require.NoError(c.tb, c.SetReadDeadline(time.Now().Add(30*time.Second)))
}

// cannotWrite returns when the connection has ended for the broker as well, which
// waits for a second of silence.
func (c rawClient) cannotWrite() {
	c.tb.Helper()
	require.Eventually(c.tb, func() bool {
		_, err := c.Write([]byte{0})
		return err != nil
	}, 20*time.Second, 1500*time.Millisecond)
}

func produceAnswer(tb testing.TB, frame []byte) *kmsg.ProduceResponse {
	tb.Helper()
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = rawVersion
	require.NoError(tb, resp.ReadFrom(frame[8:]))
	return resp
}

// requireClosed wants the end of a stream, by FIN (which io.Copy does not report)
// or RST, and no time-out.
func requireClosed(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		require.ErrorIs(tb, err, syscall.ECONNRESET)
	}
}

// metadataRequest asks for all topics.
func metadataRequest() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = rawVersion
	return req
}

// produceFrame is a produce request for one record without idempotence.
func produceFrame(correlation, partition int32, value string) []byte {
	return requestFrame(correlation, produceRequest(partition, newBatch(value)))
}

func requestFrame(correlation int32, req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter().AppendRequest(nil, req, correlation)
}

func produceRequest(partition int32, batch *kmsg.RecordBatch) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version = rawVersion
	req.Acks = -1
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition = partition
	p.Records = encodeBatch(batch)
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// newBatch is a batch of one record without idempotence.
func newBatch(value string) *kmsg.RecordBatch {
	record := kmsg.Record{Value: []byte(value)}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // which itself takes a byte
	return &kmsg.RecordBatch{
		Magic:                2,
		PartitionLeaderEpoch: -1,
		ProducerID:           -1,
		ProducerEpoch:        -1,
		FirstSequence:        -1,
		NumRecords:           1,
		Records:              record.AppendTo(nil),
	}
}

func encodeBatch(batch *kmsg.RecordBatch) []byte {
	const beforeLength, beforeCRC, crc = 12, 17, 21
	batch.Length = int32(len(batch.AppendTo(nil)) - beforeLength)
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[beforeCRC:], crc32.Checksum(raw[crc:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}
