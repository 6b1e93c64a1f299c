package kafkatest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// portWait bounds how long up waits for a port that somebody else took
	// while the broker was away: outgoing connections borrow ports briefly.
	portWait  = 5 * time.Second
	portRetry = 20 * time.Millisecond
	// cutTicks bounds how long down waits for the readers of cut connections.
	// A reader that takes longer is stuck behind a request which the broker
	// holds back (a long poll), and whatever is behind it is never served.
	// Ticks are counted, not time: a ticker skips those that nobody takes, so
	// a process that was kept from running does not take itself for patient.
	cutTicks = 100
	cutTick  = 10 * time.Millisecond
)

// listener is what one broker accepts connections from. It outlives the TCP
// listener behind it, so that a broker can be taken off the network and come
// back without its noticing.
type listener struct {
	wire *wire
	id   int32
	addr net.Addr

	accepted  chan net.Conn
	closed    chan struct{}
	closeOnce sync.Once

	mu       sync.Mutex
	tcp      net.Listener // nil while the broker is away
	conns    map[*conn]struct{}
	stranded []net.Conn // sockets that only their client believes in
	ended    bool       // nothing is spawned any more

	accepts sync.WaitGroup // the accept loop of tcp
	spawned sync.WaitGroup // what connections run
}

func newListener(w *wire, id int32, addr string) (*listener, error) {
	tcp, err := ports.listen(addr)
	if err != nil {
		return nil, fmt.Errorf("kafkatest: listen for broker %d: %w", id, err)
	}
	l := &listener{
		wire:     w,
		id:       id,
		addr:     tcp.Addr(),
		accepted: make(chan net.Conn),
		closed:   make(chan struct{}),
		conns:    make(map[*conn]struct{}),
	}
	l.serve(tcp)
	return l, nil
}

func (l *listener) serve(tcp net.Listener) {
	l.mu.Lock()
	l.tcp = tcp
	l.mu.Unlock()
	// The loop ends when tcp is closed.
	l.accepts.Go(func() {
		for {
			raw, err := tcp.Accept()
			if err != nil {
				return
			}
			c := l.track(raw, tcp)
			if c == nil {
				return
			}
			select {
			case l.accepted <- c:
			case <-l.closed:
				_ = c.Close()
				return
			}
		}
	})
}

// track registers a connection so that it can be cut. It returns nil, and
// closes the connection, if the broker went away meanwhile.
func (l *listener) track(raw net.Conn, from net.Listener) *conn {
	c := newConn(l, raw)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tcp != from {
		_ = raw.Close()
		return nil
	}
	l.conns[c] = struct{}{}
	return c
}

func (l *listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// Accept implements net.Listener for the broker.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener. It is what metadata advertises.
func (l *listener) Addr() net.Addr { return l.addr }

// Close implements net.Listener. The broker calls it when it ends.
func (l *listener) Close() error {
	l.closeOnce.Do(func() { close(l.closed) })
	l.cut()
	return nil
}

// dial connects to the broker in memory, whether or not it is on the network.
func (l *listener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.accepted <- theirs:
		return ours, nil
	case <-l.closed:
	case <-ctx.Done():
	}
	_ = ours.Close()
	_ = theirs.Close()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return nil, ErrClosed
}

// cut takes the broker off the network and returns the connections it had.
func (l *listener) cut() []*conn {
	l.mu.Lock()
	tcp, stranded := l.tcp, l.stranded
	l.tcp, l.stranded = nil, nil
	conns := slices.Collect(maps.Keys(l.conns))
	l.mu.Unlock()
	if tcp != nil {
		_ = tcp.Close()
	}
	for _, c := range conns {
		c.shut()
	}
	for _, socket := range stranded {
		_ = socket.Close()
	}
	return conns
}

// open returns the connections that there are.
func (l *listener) open() []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.conns))
}

// keepSocket keeps the socket of a connection open until the broker goes away.
// It reports false if that has begun, or if the connection has ended.
func (l *listener) keepSocket(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.conns[c]; !open || l.tcp == nil {
		return false
	}
	delete(l.conns, c)
	l.stranded = append(l.stranded, c.Conn)
	c.stranded.Store(true)
	return true
}

// spawn runs something that ends when its connection is gone. It reports false,
// and does not run it, if the broker has ended.
func (l *listener) spawn(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.spawned.Go(fn)
	return true
}

// down takes the broker off the network. When it returns, the broker has been
// handed every request that it will ever get from the old connections.
func (l *listener) down() {
	conns := l.cut()
	l.accepts.Wait()
	ticker := time.NewTicker(cutTick)
	defer ticker.Stop()
	for ticks := 0; len(conns) > 0 && ticks < cutTicks; {
		select {
		case <-conns[0].done:
			conns = conns[1:]
		case <-ticker.C:
			ticks++
		}
	}
}

// wait returns when the broker, which has been closed, has let go of all
// connections.
func (l *listener) wait() {
	conns := l.cut()
	l.accepts.Wait()
	for _, c := range conns {
		<-c.done
	}
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.spawned.Wait()
	ports.release(l.addr.String())
}

// up puts the broker back on the network, on the same port. It does nothing if
// the broker is there.
func (l *listener) up() error {
	l.mu.Lock()
	there := l.tcp != nil
	l.mu.Unlock()
	if there {
		return nil
	}
	timeout := time.NewTimer(portWait)
	defer timeout.Stop()
	retry := time.NewTicker(portRetry)
	defer retry.Stop()
	for {
		tcp, err := net.Listen("tcp", l.addr.String())
		if err == nil {
			l.serve(tcp)
			return nil
		}
		select {
		case <-retry.C:
		case <-timeout.C:
			return fmt.Errorf("kafkatest: broker %d cannot have its port back, call again when %s is free: %w", l.id, l.addr, err)
		}
	}
}
