package e2e

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/saramakit/producer"
)

// line is the network as the client's own end sees it: what connections live
// for, how much passes in a second, in what slices, and how long the requests
// are. A field that is zero leaves that alone.
type line struct {
	net.Dialer
	lifetime func() time.Duration // of connections, until
	mortals  int64                // so many have died: on a busy machine nothing would ever get through
	reset    bool                 // they die of a RST, not of a FIN
	rate     int                  // bytes in a second, of all connections together
	slice    int                  // bytes in a write

	deaths   atomic.Int64
	carried  atomic.Int64 // bytes of requests
	produced atomic.Int64 // the size of the last produce request
	version  atomic.Int64 // its version of the protocol

	mu   sync.Mutex
	free time.Time // when the line has carried what it has
}

func (l *line) option() producer.Option { return dialingThrough(l) }

func (l *line) Dial(network, addr string) (net.Conn, error) {
	return l.DialContext(context.Background(), network, addr)
}

func (l *line) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	inner, err := l.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &lineConn{Conn: inner, line: l, closed: make(chan struct{})}
	if l.deaths.Load() < l.mortals {
		c.end = time.AfterFunc(l.lifetime(), c.die)
	}
	return c, nil
}

// carry returns when n more bytes are through.
func (l *line) carry(n int, closed <-chan struct{}) {
	if l.rate == 0 {
		return
	}
	l.mu.Lock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
	through := time.NewTimer(time.Until(l.free))
	l.mu.Unlock()
	defer through.Stop()
	select {
	case <-through.C:
	case <-closed:
	}
}

type lineConn struct {
	net.Conn
	line *line
	end  *time.Timer
	dead atomic.Bool

	once   sync.Once
	closed chan struct{}
}

func (c *lineConn) Close() error {
	if c.end != nil {
		c.end.Stop()
	}
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// die ends the connection as if the other side had.
func (c *lineConn) die() {
	c.dead.Store(true)
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.line.reset {
		_ = tcp.SetLinger(0)
	}
	if c.Conn.Close() == nil { // else the client was first
		c.line.deaths.Add(1)
	}
}

func (c *lineConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.dead.Load() {
		if c.line.reset {
			return n, syscall.ECONNRESET
		}
		return n, io.EOF
	}
	return n, err
}

func (c *lineConn) Write(b []byte) (written int, err error) {
	if len(b) > 8 && binary.BigEndian.Uint16(b[4:]) == produceKey {
		c.line.produced.Store(int64(len(b)))
		c.line.version.Store(int64(binary.BigEndian.Uint16(b[6:])))
	}
	slice := len(b)
	if c.line.slice > 0 {
		slice = c.line.slice
	}
	for err == nil && written < len(b) {
		part := b[written:min(written+slice, len(b))]
		c.line.carry(len(part), c.closed)
		var n int
		n, err = c.Conn.Write(part)
		written += n
		c.line.carried.Add(int64(n))
	}
	if err != nil && c.dead.Load() {
		err = syscall.EPIPE
	}
	return written, err
}

// between is a random time of so many milliseconds.
func between(least, most int) func() time.Duration {
	return func() time.Duration { return time.Duration(least+rand.IntN(most-least)) * time.Millisecond }
}
