package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// dripping is a peer that gives its answer in slices: byte by byte, or as it
// comes.
type dripping struct {
	io.Writer
	io.Reader
}

// Whatever answers, the probe looks at eight bytes of it and believes only what
// a broker would say; and what it asks is a well-formed request.
func FuzzProbe_believesNobodyButABroker(f *testing.F) {
	f.Add(answerOf(400, correlation), "client", false)
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n"), "", true)
	f.Add(answerOf(mostOfAnswer, correlation), string(make([]byte, 2000)), true)
	f.Add(answerOf(1<<31, correlation), "client", false)
	f.Add(answerOf(5, correlation), "client", false)
	f.Add([]byte{0, 0, 0}, "client", true)
	f.Add([]byte{}, "client", false)
	f.Fuzz(func(t *testing.T, answer []byte, clientID string, slow bool) {
		p := &peer{answer: bytes.NewReader(answer)}
		conn := dripping{p, p}
		if slow {
			conn.Reader = iotest.OneByteReader(p)
		}
		err := askVersions(conn, clientID)
		switch {
		case len(answer) == 0:
			require.ErrorIs(t, err, io.EOF)
		case len(answer) < 8:
			require.ErrorIs(t, err, ErrNotKafka)
		default:
			size, id := binary.BigEndian.Uint32(answer), binary.BigEndian.Uint32(answer[4:])
			believed := size >= 6 && size <= mostOfAnswer && id == correlation
			require.Equal(t, believed, err == nil, "%v", err)
			require.Equal(t, !believed, errors.Is(err, ErrNotKafka))
			require.Equal(t, len(answer)-8, p.answer.Len(), "it reads no more than it needs")
		}

		asked := p.asked.Bytes()
		require.EqualValues(t, len(asked)-4, binary.BigEndian.Uint32(asked))
		require.EqualValues(t, apiVersionsKey, binary.BigEndian.Uint16(asked[4:]))
		require.Zero(t, binary.BigEndian.Uint16(asked[6:]), "the version that every broker knows")
		require.EqualValues(t, correlation, binary.BigEndian.Uint32(asked[8:]))
		length := int(binary.BigEndian.Uint16(asked[12:]))
		require.Equal(t, len(asked)-14, length)
		require.Equal(t, clientID[:length], string(asked[14:]))
	})
}
