// Package netdial is a dialer whose connections can all be cut at once.
//
// sarama has no way to abort: it waits for each network timeout in turn. With
// its connections cut and every new dial refused, nothing is left to wait for.
package netdial

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// ErrAborted is what Dial refuses with.
var ErrAborted = errors.New("connections were aborted")

// errNoConn is for an Inner that returns neither a connection nor an error.
var errNoConn = errors.New("dialer returned no connection")

// Inner is a dialer that ours wraps: golang.org/x/net/proxy.Dialer. If it has
// DialContext too (proxy.ContextDialer), that is what is called.
//
// One without cannot be interrupted: neither Timeout nor Abort ends its Dial. A
// connection that it returns after Abort is closed at once.
type Inner interface {
	Dial(network, addr string) (net.Conn, error)
}

// contextDialer is an Inner that can be interrupted.
type contextDialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// Settings of a Dialer. Timeout bounds each dial; zero means no limit. KeepAlive
// and LocalAddr are those of net.Dialer and for a nil Inner only.
type Settings struct {
	Timeout, KeepAlive time.Duration
	LocalAddr          net.Addr
	Inner              Inner // nil: net.Dialer
}

// Dialer opens connections and keeps track of them. Use [New].
type Dialer struct {
	timeout time.Duration
	inner   Inner

	// mu is held for a few instructions per connection, never during a dial or
	// a Close.
	mu sync.Mutex
	// aborted is never unset. It is looked at again when a connection is
	// tracked: one that was made while Abort ran is seen by one of the two.
	aborted bool
	// dials are those in progress.
	dials map[*dial]struct{}
	// raw are connections that were returned as they are. They do not tell
	// when they are closed: sweep looks, so the map holds no more than the open
	// ones and those closed since the last dial.
	raw map[net.Conn]struct{}
	// wrapped are all others. Their Close takes them out.
	wrapped map[*conn]struct{}
}

// dial is a dial in progress.
type dial struct{ cancel context.CancelFunc }

// New returns a dialer that has no connections.
func New(s Settings) *Dialer {
	inner := s.Inner
	if inner == nil {
		inner = &net.Dialer{KeepAlive: s.KeepAlive, LocalAddr: s.LocalAddr}
	}
	return &Dialer{
		timeout: s.Timeout,
		inner:   inner,
		dials:   make(map[*dial]struct{}),
		raw:     make(map[net.Conn]struct{}),
		wrapped: make(map[*conn]struct{}),
	}
}

// Dial is DialContext with nothing but Timeout and Abort to end it. It is what
// sarama calls.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext opens a connection. Sockets, and TLS over them, are returned as
// they are: nothing of ours is in the way of a message. Anything else is wrapped.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if d.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, d.timeout)
		defer cancel()
	}
	dl := &dial{cancel: cancel}
	if err := d.begin(dl); err != nil {
		return nil, err
	}
	// Also if Inner panics: a dial that is not in progress must not stay.
	defer d.end(dl)

	var c net.Conn
	var err error
	if inner, ok := d.inner.(contextDialer); ok {
		c, err = inner.DialContext(ctx, network, addr)
	} else {
		c, err = d.inner.Dial(network, addr)
	}
	switch {
	case err != nil && d.isAborted():
		return nil, ErrAborted // and not the cancellation that it led to
	case err != nil:
		return nil, err
	case c == nil:
		return nil, errNoConn
	}
	return d.track(c)
}

// begin refuses the dial or makes it known to Abort.
func (d *Dialer) begin(dl *dial) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.aborted {
		return ErrAborted
	}
	d.sweep()
	d.dials[dl] = struct{}{}
	return nil
}

func (d *Dialer) end(dl *dial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.dials, dl)
}

func (d *Dialer) isAborted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.aborted
}

// track makes an open connection known to Abort, or closes it if Abort has
// already been there.
func (d *Dialer) track(c net.Conn) (net.Conn, error) {
	d.mu.Lock()
	if d.aborted {
		d.mu.Unlock()
		cut(c)
		return nil, ErrAborted
	}
	defer d.mu.Unlock()
	if socketOf(c) != nil {
		d.raw[c] = struct{}{}
		return c, nil
	}
	w := &conn{Conn: c, dialer: d}
	d.wrapped[w] = struct{}{}
	return w, nil
}

// sweep forgets the raw connections that are closed. Called with mu held.
func (d *Dialer) sweep() {
	for c := range d.raw {
		if isClosed(socketOf(c)) {
			delete(d.raw, c)
		}
	}
}

// Abort cuts all connections, ends the dials in progress and refuses all later
// ones with ErrAborted, for ever. It may be called any number of times.
//
// It waits for nothing: a connection of an unknown type, whose Close might
// block, is closed in a goroutine of its own.
func (d *Dialer) Abort() {
	d.mu.Lock()
	d.aborted = true
	// Taken out, so that neither is closed under the mutex, nor twice.
	dials, raw, wrapped := d.dials, d.raw, d.wrapped
	d.dials, d.raw, d.wrapped = make(map[*dial]struct{}), make(map[net.Conn]struct{}), make(map[*conn]struct{})
	d.mu.Unlock()
	for dl := range dials {
		dl.cancel()
	}
	for c := range raw {
		cut(c)
	}
	for w := range wrapped {
		cut(w)
	}
}

// Open is the number of connections that are open.
func (d *Dialer) Open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep()
	return len(d.raw) + len(d.wrapped)
}
