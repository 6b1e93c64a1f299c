package kafkatest

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// conn is the broker's end of a client's connection. It reads whole requests,
// applies the faults to them, and does the same with the answers.
//
// One goroutine of the broker calls Read, another one Write, and each answer is
// one Write. Nothing else is needed as long as nothing has to wait: see queues.go
// for what happens then, and hangup.go for the ways in which it ends.
type conn struct {
	net.Conn
	listener *listener

	// Used by whoever reads from the network: Read, or the intake.
	head [sizeBytes]byte
	buf  []byte // storage of the frame in hand; used by Read only

	// Used by Read only.
	ready  []byte       // what is left of the frame that the broker reads
	intake chan arrival // nil until a request has to wait, see startIntake

	// silent means that an answer has been withheld. Answers come in order,
	// so none may follow on this connection.
	silent atomic.Bool
	// hungUp means that the end of the connection has been announced. It is
	// silent before that and gone after it, and is still read, see hangUp.
	hungUp atomic.Bool
	// special means that Write has to look at more than wire.busy. It stays set.
	special atomic.Bool
	// stranded means that the socket outlives this connection, see strand.
	stranded atomic.Bool

	// active is when bytes last passed. It is kept while there are faults.
	active atomic.Int64

	mu       sync.Mutex
	marks    map[int32]*mark // by correlation id: answers to look at
	outbox   []outgoing      // answers that wait, or that others wait in front of
	emptying bool            // a goroutine sends the outbox

	// gone is closed when the connection ends or its end is announced: nothing
	// waits longer than that.
	gone     chan struct{}
	goneOnce sync.Once

	// done is closed when the broker will hand itself no more requests from
	// here: when Read has failed, or when the broker has called Close. It
	// asks for a frame only after it has queued the one before.
	done     chan struct{}
	doneOnce sync.Once
}

func newConn(l *listener, raw net.Conn) *conn {
	c := &conn{
		Conn:     raw,
		listener: l,
		marks:    make(map[int32]*mark),
		gone:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	c.active.Store(l.wire.now())
	return c
}

// Read hands requests to the broker.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.ready) == 0 {
		frame, err := c.next()
		if err != nil {
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
	frame, err := c.await()
	if err != nil && !c.hungUp.Load() {
		return nil, err
	}
	if c.silent.Load() {
		return nil, c.discard()
	}
	act := c.listener.wire.request(c.listener.id, frame)
	if act.mark != nil {
		c.special.Store(true)
		c.mu.Lock()
		c.marks[act.mark.correlation] = act.mark
		c.mu.Unlock()
	}
	switch {
	case act.drop != nil:
		c.hangUp(act.drop.reset)
		return nil, c.discard()
	case act.ignore:
		return nil, c.discard()
	case act.rewritten != nil:
		return act.rewritten, nil
	default:
		return frame, nil
	}
}

// readFrame reads a request off the network, into storage of its own or into
// buf, where the next one replaces it.
func (c *conn) readFrame(own bool) ([]byte, error) {
	if _, err := io.ReadFull(c.Conn, c.head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(c.head[:])
	if n < minHeader || n > maxFrame {
		return nil, net.ErrClosed // not a Kafka client
	}
	frame, got := c.storage(int(n)+sizeBytes, own), sizeBytes
	copy(frame, c.head[:])
	if c.listener.wire.busy.Load() {
		c.touch()
		var err error
		if got, err = c.readUncut(frame); err != nil {
			return nil, err
		}
	}
	if _, err := io.ReadFull(c.Conn, frame[got:]); err != nil {
		return nil, err
	}
	c.touch()
	return frame, nil
}

func (c *conn) storage(need int, own bool) []byte {
	if own {
		return make([]byte, need)
	}
	if cap(c.buf) < need {
		c.buf = make([]byte, need)
	}
	return c.buf[:need]
}

// Write sends an answer of the broker to the client.
func (c *conn) Write(answer []byte) (int, error) {
	w := c.listener.wire
	if !w.busy.Load() && !c.special.Load() {
		return c.Conn.Write(answer)
	}
	if c.silent.Load() || w.frozen(c.listener.id) {
		c.silence()
		return len(answer), nil
	}
	out := outgoing{bytes: answer}
	if m := c.unmark(answer); m != nil {
		out = w.response(c.listener.id, m, answer)
		out.render(m)
	}
	// An error has the broker close the connection. If its end has been
	// announced meanwhile, that is under way already.
	if err := c.send(&out); err != nil && !c.silent.Load() {
		return 0, err
	}
	return len(answer), nil
}

func (c *conn) unmark(answer []byte) *mark {
	if len(answer) < sizeBytes+4 {
		return nil
	}
	correlation := int32(binary.BigEndian.Uint32(answer[sizeBytes:]))
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.marks[correlation]
	delete(c.marks, correlation)
	return m
}

// silence withholds every answer from now on.
func (c *conn) silence() {
	c.silent.Store(true)
	c.special.Store(true)
}
