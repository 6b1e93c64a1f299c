package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
)

// hostile is a server that answers requests with the same bytes, behind a length
// and the request's own correlation id: enough to be looked into. Only what it
// says of its versions is right, and it asks nobody to wait: sarama sleeps for as
// long as a broker says, and nothing can end that.
type hostile struct {
	net.Listener
	done sync.WaitGroup

	mu     sync.Mutex
	answer []byte
	conns  map[net.Conn]bool
}

func newHostile(f *testing.F) *hostile {
	f.Helper()
	l, err := (&net.ListenConfig{}).Listen(f.Context(), "tcp", "127.0.0.1:0")
	require.NoError(f, err)
	h := &hostile{Listener: l, conns: map[net.Conn]bool{}}
	h.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns[conn] = true
			h.mu.Unlock()
			h.done.Go(func() { h.serve(conn) })
		}
	})
	f.Cleanup(func() {
		_ = l.Close()
		h.mu.Lock()
		for conn := range h.conns {
			_ = conn.Close()
		}
		h.mu.Unlock()
		h.done.Wait()
	})
	return h
}

func (h *hostile) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		h.mu.Lock()
		delete(h.conns, conn)
		h.mu.Unlock()
	}()
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		request := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<20))
		if _, err := io.ReadFull(conn, request); err != nil || len(request) < 8 {
			return
		}
		answer := h.answerTo(binary.BigEndian.Uint16(request))
		frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(answer)))
		frame = append(append(frame, request[4:8]...), answer...)
		if _, err := conn.Write(frame); err != nil {
			return
		}
	}
}

func (h *hostile) answerTo(key uint16) []byte {
	if key == 18 {
		// No error; five keys with their lowest and highest version; no wait.
		answer := []byte{0, 0, 6}
		for _, key := range []byte{0, 3, 10, 18, 22} {
			answer = append(answer, 0, key, 0, 0, 0, 4, 0)
		}
		return append(answer, 0, 0, 0, 0, 0)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	answer := bytes.Clone(h.answer)
	clear(answer[:min(5, len(answer))]) // the tags of the header and the wait, where there are any
	return answer
}

// onlyTo is a dialer that connects to one address, wherever a hostile server
// sends its clients.
type onlyTo string

func (o onlyTo) Dial(network, addr string) (net.Conn, error) {
	return o.DialContext(context.Background(), network, addr)
}

func (o onlyTo) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if addr != string(o) {
		return nil, syscall.ECONNREFUSED
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// A server that answers anything at all costs the constructor no more than its
// time: it ends with an error within its ctx, and takes nothing down.
func FuzzHostile_theConstructorEndsInTime(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0})
	// One broker of metadata, at an address where nobody is.
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 9, '1', '2', '7', '.', '0', '.', '0', '.', '1', 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0})
	// Arrays that claim to be large.
	f.Add([]byte{0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xf0, 1, 1})
	// A producer id, or an error.
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1})
	h := newHostile(f)
	watch := watchStalls()
	f.Cleanup(watch.end)
	f.Fuzz(func(t *testing.T, answer []byte) {
		h.mu.Lock()
		h.answer = answer
		h.mu.Unlock()
		const limit = 60 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		began := time.Now()
		p, err := producer.NewSync(ctx, []string{h.Addr().String()}, quick(mode{true, true}), networkTimeouts(50*time.Millisecond),
			dialingThrough(onlyTo(h.Addr().String())))
		over := time.Since(began) - limit
		if over > slack {
			over -= watch.since(began)
		}
		require.Less(t, over, slack)
		if err != nil {
			return
		}
		// It can have said the right things.
		closing, cancelClosing := context.WithTimeout(context.Background(), limit)
		defer cancelClosing()
		_ = p.Close(closing)
	})
}
