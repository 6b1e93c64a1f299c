package transport

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// peer answers whatever it is asked with the same bytes.
type peer struct {
	asked  bytes.Buffer
	answer *bytes.Reader
}

func (p *peer) Write(b []byte) (int, error) { return p.asked.Write(b) }
func (p *peer) Read(b []byte) (int, error)  { return p.answer.Read(b) }

func answerOf(size, id uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, size), id)
}

func TestProbe_knowsABrokerFromAnythingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer []byte
		want   error
	}{
		"a broker":            {answerOf(400, correlation), nil},
		"a web server":        {[]byte("HTTP/1.1 400 Bad Request\r\n"), ErrNotKafka},
		"a TLS alert":         {[]byte{0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46}, ErrNotKafka},
		"another correlation": {answerOf(400, 7), ErrNotKafka},
		"a negative length":   {answerOf(1<<31, correlation), ErrNotKafka},
		"two gigabytes":       {answerOf(1<<31-1, correlation), ErrNotKafka},
		"an empty answer":     {answerOf(0, correlation), ErrNotKafka},
		"a cut answer":        {answerOf(400, correlation)[:5], ErrNotKafka},
		"no answer":           {nil, io.EOF},
	} {
		p := &peer{answer: bytes.NewReader(c.answer)}
		require.Equal(t, c.want, askVersions(p, "me"), name)
		asked := p.asked.Bytes()
		require.EqualValues(t, len(asked)-4, binary.BigEndian.Uint32(asked), name)
		require.Equal(t, "\x00\x02me", string(asked[12:]), name)
	}
}

func TestProbe_verifiesTheHostUnlessAnotherNameIsSet(t *testing.T) {
	t.Parallel()
	require.Equal(t, "kafka-1", tlsFor("kafka-1:9093", nil).ServerName)
	given := &tls.Config{MinVersion: tls.VersionTLS13}
	require.Equal(t, "kafka-1", tlsFor("kafka-1:9093", given).ServerName)
	require.Empty(t, given.ServerName, "the user's own is not changed")
	require.Equal(t, "other", tlsFor("kafka-1:9093", &tls.Config{ServerName: "other"}).ServerName)
}
