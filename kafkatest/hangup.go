package kafkatest

import (
	"io"
	"net"
	"time"
)

// hangUpWait is how long a client whose connection has been hung up can be quiet
// before it is no longer waited for.
const hangUpWait = time.Second

// hangUp ends the connection from the broker's side. Requests that are still
// under way are lost, and so are answers.
//
// Closing a socket with bytes in it that nobody has read sends a RST, and a
// client may well have sent more. So unless a RST is asked for, the end is
// announced with a FIN, and what comes after it is read until the client ends
// the connection too, or says nothing for a while. Whoever reads the requests
// does that.
func (c *conn) hangUp(reset bool) {
	c.silence()
	c.hungUp.Store(true)
	c.letGo()
	if reset {
		c.reset()
		return
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || c.SetReadDeadline(time.Now().Add(hangUpWait)) != nil || half.CloseWrite() != nil {
		c.shut()
	}
}

// reset ends the connection with a RST.
func (c *conn) reset() {
	if tcp, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // fails if the socket is closed, which is what is wanted
	}
	c.shut()
}

// shut ends the connection and everything that waits on it, at once.
func (c *conn) shut() {
	c.letGo()
	if !c.stranded.Load() {
		_ = c.Conn.Close()
	}
}

// letGo ends everything that waits on the connection.
func (c *conn) letGo() {
	c.goneOnce.Do(func() { close(c.gone) })
}

// ending reports whether the connection has ended or is about to.
func (c *conn) ending() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// strand ends the connection for the broker and leaves the socket open, as it is
// for the client whose peer has gone without a word. Nobody reads it or writes
// to it from then on.
func (c *conn) strand() {
	if c.listener.keepSocket(c) {
		_ = c.SetDeadline(time.Unix(1, 0)) // ends what is being read or written
	}
}

// discard reads until the connection ends, so that the client sees a peer that
// takes everything and says nothing.
func (c *conn) discard() error {
	if c.intake == nil {
		return c.swallow()
	}
	for range c.intake {
	}
	return io.EOF
}

// swallow is discard for whoever reads from the network.
func (c *conn) swallow() error {
	var scrap [4096]byte
	for {
		if c.hungUp.Load() {
			if err := c.SetReadDeadline(time.Now().Add(hangUpWait)); err != nil {
				return err
			}
		}
		if _, err := c.Conn.Read(scrap[:]); err != nil {
			return err
		}
	}
}

// readUncut reads as much of a request as it takes to know that no fault cuts
// it, and returns how much that is. If a fault does, it ends the connection, and
// returns an error. The length of the frame is there already.
func (c *conn) readUncut(frame []byte) (got int, err error) {
	w, id := c.listener.wire, c.listener.id
	got = sizeBytes
	fill := func(n int) error {
		if n <= got {
			return nil
		}
		_, err := io.ReadFull(c.Conn, frame[got:n])
		got = n
		return err
	}
	if !w.cuts(id) || c.ending() {
		return got, nil
	}
	if err := fill(sizeBytes + minHeader); err != nil {
		return got, err
	}
	f, more := w.cutRequest(id, frame[:got], false)
	if more {
		if err := fill(len(frame)); err != nil {
			return got, err
		}
		f, _ = w.cutRequest(id, frame, true)
	}
	if f == nil {
		return got, nil
	}
	if err := fill(min(f.bytes, len(frame))); err != nil {
		return got, err
	}
	w.hit(f)
	c.hangUp(f.reset)
	return got, net.ErrClosed
}

// touch notes that bytes have passed.
func (c *conn) touch() {
	if w := c.listener.wire; w.busy.Load() {
		c.active.Store(w.now())
	}
}

// Close is called by the broker when it is through with the connection.
func (c *conn) Close() error {
	c.finish()
	return nil
}

// finish ends the connection. The broker gets nothing from it any more.
func (c *conn) finish() {
	c.shut()
	c.doneOnce.Do(func() {
		close(c.done)
		c.listener.forget(c)
	})
}
