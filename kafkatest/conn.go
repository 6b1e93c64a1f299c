package kafkatest

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// maxFrame is a sanity bound. Kafka's own is socket.request.max.bytes, 100 MiB.
const maxFrame = 100 << 20

// conn is the broker's end of a client's connection. It reads whole requests,
// applies the faults to them, and does the same with the answers.
//
// One goroutine of the broker calls Read, another one Write, and each answer is
// one Write.
type conn struct {
	net.Conn
	listener *listener

	buf   []byte // storage of the frame in hand, used by Read only
	ready []byte // what is left of the frame that the broker reads

	// silent means that an answer has been withheld. Answers come in order,
	// so none may follow on this connection.
	silent atomic.Bool

	mu    sync.Mutex
	marks map[int32]*mark // by correlation id: answers to look at

	// done is closed when the broker will hand itself no more requests from
	// here: when Read has failed, or when the broker has called Close. It
	// asks for a frame only after it has queued the one before.
	done     chan struct{}
	doneOnce sync.Once
}

func newConn(l *listener, raw net.Conn) *conn {
	return &conn{
		Conn:     raw,
		listener: l,
		marks:    make(map[int32]*mark),
		done:     make(chan struct{}),
	}
}

// Read hands requests to the broker.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.ready) == 0 {
		frame, err := c.next()
		if err != nil {
			_ = c.Conn.Close()
			c.finish()
			return 0, err
		}
		c.ready = frame
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// next returns the next request that the broker is to see, with its length in
// front.
func (c *conn) next() ([]byte, error) {
	frame, err := c.readFrame()
	if err != nil {
		return nil, err
	}
	act := c.listener.wire.request(c.listener.id, frame)
	if act.mark != nil {
		c.mu.Lock()
		c.marks[act.mark.correlation] = act.mark
		c.mu.Unlock()
	}
	switch {
	case act.drop:
		return nil, net.ErrClosed
	case act.ignore || c.silent.Load():
		return nil, c.discard()
	case act.rewritten != nil:
		return act.rewritten, nil
	default:
		return frame, nil
	}
}

// discard reads until the connection ends, so that the client sees a peer that
// takes everything and says nothing.
func (c *conn) discard() error {
	if _, err := io.Copy(io.Discard, c.Conn); err != nil {
		return err
	}
	return io.EOF
}

func (c *conn) readFrame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < minHeader || n > maxFrame {
		return nil, net.ErrClosed // not a Kafka client
	}
	need := int(n) + len(size)
	if cap(c.buf) < need {
		c.buf = make([]byte, need)
	}
	frame := c.buf[:need]
	copy(frame, size[:])
	if _, err := io.ReadFull(c.Conn, frame[len(size):]); err != nil {
		return nil, err
	}
	return frame, nil
}

// Write sends an answer of the broker to the client.
func (c *conn) Write(answer []byte) (int, error) {
	w := c.listener.wire
	if c.silent.Load() || w.frozen(c.listener.id) {
		c.silent.Store(true)
		return len(answer), nil
	}
	if len(answer) < 8 {
		return c.Conn.Write(answer)
	}
	m := c.unmark(int32(binary.BigEndian.Uint32(answer[4:])))
	if m == nil {
		return c.Conn.Write(answer)
	}
	rewritten, lost := w.response(c.listener.id, m, answer)
	if lost {
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	if _, err := c.Conn.Write(rewritten); err != nil {
		return 0, err
	}
	return len(answer), nil
}

func (c *conn) unmark(correlation int32) *mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.marks[correlation]
	delete(c.marks, correlation)
	return m
}

// Close is called by the broker when it is through with the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.finish()
	return err
}

func (c *conn) finish() {
	c.doneOnce.Do(func() {
		close(c.done)
		c.listener.forget(c)
	})
}
