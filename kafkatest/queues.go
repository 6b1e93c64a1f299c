package kafkatest

import (
	"net"
	"slices"
	"time"
)

// intakeFrames is how many requests of a connection can wait. While more come
// they stay in the buffers of the network, which is where a client notices that
// nobody takes them.
const intakeFrames = 64

// arrival is a request that has come in from the network.
type arrival struct {
	frame []byte
	waits []wait
}

// receive reads a request off the network, see readFrame.
func (c *conn) receive(own bool) (arrival, error) {
	frame, err := c.readFrame(own)
	if err != nil {
		return arrival{}, err
	}
	w := c.listener.wire
	if !w.busy.Load() {
		return arrival{frame: frame}, nil
	}
	if !c.pass() || c.ending() {
		return arrival{}, net.ErrClosed
	}
	return arrival{frame: frame, waits: w.arrive(c.listener.id, frame)}, nil
}

// startIntake has a goroutine read the requests from now on, so that those
// behind one that waits are seen when they come: a delay counts from there. It
// ends when the connection cannot be read any more, and closes the intake, from
// which everything that came before can still be taken.
func (c *conn) startIntake() bool {
	intake := make(chan arrival, intakeFrames)
	c.intake = intake
	return c.listener.spawn(func() {
		defer close(intake)
		for c.takeIn(intake) {
		}
		if c.hungUp.Load() {
			_ = c.swallow() // which ends with an error, sooner or later
		}
	})
}

func (c *conn) takeIn(intake chan<- arrival) bool {
	a, err := c.receive(true)
	if err != nil {
		return false
	}
	select {
	case intake <- a:
		return true
	case <-c.gone:
		return false
	}
}

// await returns the next request when it has waited for everything that it has
// to wait for.
func (c *conn) await() ([]byte, error) {
	var a arrival
	var err error
	if c.intake == nil {
		a, err = c.receive(false)
	} else {
		a, err = c.taken()
	}
	if err != nil || len(a.waits) == 0 && c.intake == nil {
		return a.frame, err
	}
	if c.intake == nil && !c.startIntake() {
		return nil, net.ErrClosed
	}
	if !c.sitOut(a.waits) || !c.pass() {
		return nil, net.ErrClosed
	}
	return a.frame, nil
}

func (c *conn) taken() (arrival, error) {
	select {
	case a, ok := <-c.intake:
		if ok {
			return a, nil
		}
	case <-c.gone:
	}
	return arrival{}, net.ErrClosed
}

// send sends an answer, or puts it into the outbox if it has to wait.
func (c *conn) send(out *outgoing) error {
	later := len(out.waits) > 0 || out.slices != nil
	c.mu.Lock()
	if !later && !c.emptying {
		c.mu.Unlock()
		return c.transmit(out)
	}
	defer c.mu.Unlock()
	out.bytes = slices.Clone(out.bytes) // the broker uses its buffer again
	c.outbox = append(c.outbox, *out)
	if !c.emptying {
		c.emptying = c.listener.spawn(c.emptyOutbox)
	}
	return nil
}

// emptyOutbox sends the outbox, and ends with it.
func (c *conn) emptyOutbox() {
	for {
		c.mu.Lock()
		if len(c.outbox) == 0 {
			c.outbox = nil
			c.emptying = false
			c.mu.Unlock()
			return
		}
		out := c.outbox[0]
		c.outbox[0] = outgoing{}
		c.outbox = c.outbox[1:]
		c.mu.Unlock()
		if c.transmit(&out) != nil && !c.hungUp.Load() {
			// What is left is dropped, and more will not come.
			c.silence()
			c.shut()
		}
	}
}

// transmit sends an answer when it has waited for everything that it has to
// wait for.
func (c *conn) transmit(out *outgoing) error {
	if !c.sitOut(out.waits) {
		return net.ErrClosed
	}
	if err := c.transmitBytes(out); err != nil {
		return err
	}
	if out.cut != nil {
		c.hangUp(out.cut.reset)
	}
	return nil
}

func (c *conn) transmitBytes(out *outgoing) error {
	rest := out.bytes
	if f := out.slices; f != nil {
		ticker := time.NewTicker(f.delay)
		defer ticker.Stop()
		for len(rest) > f.bytes {
			if err := c.put(rest[:f.bytes]); err != nil {
				return err
			}
			rest = rest[f.bytes:]
			select {
			case <-ticker.C:
			case <-f.removed:
				return c.put(rest)
			case <-c.gone:
				return net.ErrClosed
			}
		}
	}
	return c.put(rest)
}

// put writes to the network.
func (c *conn) put(bytes []byte) error {
	if len(bytes) == 0 {
		return nil
	}
	if !c.pass() {
		return net.ErrClosed
	}
	_, err := c.Conn.Write(bytes)
	c.touch()
	return err
}

// sitOut returns when all waits are over, and reports whether there is still
// somebody to go on for.
func (c *conn) sitOut(waits []wait) bool {
	for _, w := range waits {
		if !c.sitOutOne(w) {
			return false
		}
	}
	return true
}

func (c *conn) sitOutOne(w wait) bool {
	var due <-chan time.Time // never, if there is no time to wait for
	if !w.until.IsZero() {
		timer := time.NewTimer(time.Until(w.until))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
		return true
	case <-w.released:
		return true
	case <-c.gone:
		return false
	}
}

// pass returns when the broker is not kept off the network, and reports whether
// there is still somebody to go on for.
func (c *conn) pass() bool {
	w := c.listener.wire
	for w.busy.Load() {
		f := w.unplugged(c.listener.id)
		if f == nil {
			break
		}
		select {
		case <-f.removed:
		case <-c.gone:
			return false
		}
	}
	return true
}
