package kafkatest

import (
	"slices"
	"time"
)

// What the network between clients and brokers does. It comes before the
// broker on the way in, and after it on the way out.

// wait is something that a request or an answer waits for on its way.
type wait struct {
	until    time.Time       // zero: as long as it takes
	released <-chan struct{} // ends it early
}

// outgoing is an answer on its way to the client.
type outgoing struct {
	bytes    []byte
	garblers []GarbleFunc
	cut      *Fault // closes the connection after some of the bytes
	slices   *Fault // sends the bytes bit by bit
	waits    []wait
}

// unplugged returns a fault that keeps a broker off the network, and counts
// what it has stopped. It returns nil if there is none.
func (w *wire) unplugged(broker int32) *Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.faults {
		if f.kinds&unplug != 0 && f.onBroker(broker) {
			f.hit()
			return f
		}
	}
	return nil
}

// cutRequest returns the fault that cuts a request, and takes one of its times.
// The request may be given in part: beyond its header is only looked at if a
// fault is about some topics or partitions, and then more reports that the
// whole is needed.
func (w *wire) cutRequest(broker int32, part []byte, whole bool) (f *Fault, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.prune()
	r := newRequest(part)
	for _, f := range w.faults {
		if f.kinds&cutBefore == 0 || !f.onBroker(broker) || !f.onKey(r.key) {
			continue
		}
		if f.narrow() && !whole {
			return nil, true
		}
		if f.onRequest(r.key, r.partitions) && f.take() {
			return f, false
		}
	}
	return nil, false
}

// cuts reports whether requests to a broker may be cut.
func (w *wire) cuts(broker int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.any(cutBefore, broker)
}

// arrive returns what a request has to wait for on its way to the broker.
func (w *wire) arrive(broker int32, frame []byte) []wait {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.any(waitBefore, broker) {
		return nil
	}
	defer w.prune()
	r := newRequest(frame)
	var waits []wait
	for _, f := range w.faults {
		if f.kinds&waitBefore != 0 && f.onBroker(broker) && f.onRequest(r.key, r.partitions) && f.take() {
			f.hit()
			waits = append(waits, f.wait())
		}
	}
	return waits
}

// depart applies what happens to an answer on its way to the client. Callers
// hold mu.
func (w *wire) depart(broker int32, m *mark, out *outgoing) {
	partitions := func() []partitionID { return m.partitions }
	for _, f := range w.faults {
		if f.kinds&onAnswers == 0 || !f.onBroker(broker) || !f.onRequest(m.key, partitions) {
			continue
		}
		// The second of these would have nothing left to do.
		if f.kinds&cutAfter != 0 && out.cut != nil || f.kinds&trickle != 0 && out.slices != nil {
			continue
		}
		if !f.take() {
			continue
		}
		f.hit()
		switch {
		case f.kinds&garble != 0:
			out.garblers = append(out.garblers, f.garble)
		case f.kinds&cutAfter != 0:
			out.cut = f
		case f.kinds&trickle != 0:
			out.slices = f
		default:
			out.waits = append(out.waits, f.wait())
		}
	}
}

// render makes the bytes that are really sent. It calls code of the test, so
// wire.mu is not held.
func (o *outgoing) render(m *mark) {
	for _, garbler := range o.garblers {
		o.bytes = garbler(m.key, m.version, slices.Clone(o.bytes))
	}
	if o.cut != nil {
		o.bytes = o.bytes[:min(o.cut.bytes, len(o.bytes))]
	}
}

// wait returns what something that the fault has caught waits for. Callers hold
// wire.mu.
func (f *Fault) wait() wait {
	w := wait{released: f.released}
	if !f.hold {
		w.until = time.Now().Add(f.delay)
	}
	return w
}
