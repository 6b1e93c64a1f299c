package chaos

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// network lies between a client and the nodes. A client that dials through it
// gets one end of a connection of this process with itself; what it writes there
// is carried on to the node, and the answers back, as the network does it now.
type network struct {
	listener *net.TCPListener
	pumps    sync.WaitGroup

	mu     sync.Mutex // never held over a read, a write or a wait
	random *rand.Rand
	links  map[*link]struct{}
	closed bool
	gone   chan struct{} // closed with the network
	calm   chan struct{} // closed while bytes may pass
	lag    time.Duration // of each piece, either way
	mortal bool          // new links die after a random number of bytes
	cuts   int           // how many links have died so
	ended  int           // how many links a node has ended

	dialing sync.Mutex // one at a time, so that each accepts what it has dialed
}

func newNetwork(random *rand.Rand) (*network, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	calm := make(chan struct{})
	close(calm)
	return &network{listener: listener, random: random, links: map[*link]struct{}{}, gone: make(chan struct{}), calm: calm}, nil
}

// Close ends every connection, and waits until nothing is carried any more.
func (n *network) Close() error {
	n.mu.Lock()
	n.closed = true
	close(n.gone)
	for l := range n.links {
		l.end()
	}
	n.mu.Unlock()
	err := n.listener.Close()
	n.pumps.Wait()
	return err
}

// Dial is for sarama.
func (n *network) Dial(kind, addr string) (net.Conn, error) {
	return n.DialContext(context.Background(), kind, addr)
}

// DialContext connects with a node, through the network.
func (n *network) DialContext(ctx context.Context, kind, addr string) (net.Conn, error) {
	if err := n.reach(ctx); err != nil {
		return nil, err
	}
	far, err := new(net.Dialer).DialContext(ctx, kind, addr)
	if err != nil {
		return nil, err
	}
	client, near, err := n.pair()
	if err != nil {
		return nil, errors.Join(err, far.Close())
	}
	l := &link{near: near, far: far.(*net.TCPConn), gone: make(chan struct{})} //nolint:errcheck,forcetypeassert // kind is tcp
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		l.end()
		return nil, errors.Join(net.ErrClosed, client.Close())
	}
	n.links[l] = struct{}{}
	there, back := n.life(), n.life()
	n.pumps.Go(func() {
		var both sync.WaitGroup
		both.Go(func() { n.pump(l, l.far, l.near, there) })
		both.Go(func() { n.pump(l, l.near, l.far, back) })
		both.Wait()
		l.end()
		n.mu.Lock()
		delete(n.links, l)
		n.mu.Unlock()
	})
	return client, nil
}

// reach waits as the first packet of a connection does.
func (n *network) reach(ctx context.Context) error {
	n.mu.Lock()
	calm, lag := n.calm, n.lag
	n.mu.Unlock()
	select {
	case <-calm:
		return sleep(ctx, lag)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-n.gone:
		return net.ErrClosed
	}
}

// pair is a connection of this process with itself.
func (n *network) pair() (client net.Conn, near *net.TCPConn, err error) {
	n.dialing.Lock()
	defer n.dialing.Unlock()
	if client, err = net.DialTCP("tcp", nil, n.listener.Addr().(*net.TCPAddr)); err != nil { //nolint:errcheck,forcetypeassert // it listens there
		return nil, nil, err
	}
	if near, err = n.listener.AcceptTCP(); err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return client, near, nil
}

// life is after how many bytes a new link dies in one direction. Short and long
// lives are equally many in each power of two up to a megabyte: a cut may come
// anywhere from the first byte of the first request on, and large requests get
// through now and then.
func (n *network) life() int {
	if !n.mortal {
		return math.MaxInt
	}
	return int(math.Exp2(20 * n.random.Float64()))
}

// piece is how much is carried at a time. With a lag it bounds the rate, too.
const piece = 64 << 10

// pump carries bytes from one end to the other until one of them ends, or life
// is over.
func (n *network) pump(l *link, to, from *net.TCPConn, life int) {
	b := make([]byte, piece)
	for {
		got, err := from.Read(b)
		if got > 0 {
			if !n.pass(l) {
				return
			}
			if got >= life {
				_, _ = to.Write(b[:life])
				n.cut(l, to)
				return
			}
			life -= got
			if _, err := to.Write(b[:got]); err != nil {
				l.end()
				return
			}
		}
		if err != nil {
			n.ends(l, from, err)
			if n.pass(l) {
				_ = to.CloseWrite() // the other direction may go on
			}
			return
		}
	}
}

// pass waits until a piece, or the end of a direction, may go on, and reports
// whether it may.
func (n *network) pass(l *link) bool {
	n.mu.Lock()
	calm, lag := n.calm, n.lag
	n.mu.Unlock()
	select {
	case <-calm:
	case <-l.gone:
		return false
	}
	if lag > 0 {
		timer := time.NewTimer(lag)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.gone:
			return false
		}
	}
	n.mu.Lock()
	forgotten := l.forgotten
	n.mu.Unlock()
	if forgotten {
		<-l.gone // nobody is told anything
	}
	return !forgotten
}

// cut ends a link as networks do: with a FIN in one direction, in both, or with
// a RST.
func (n *network) cut(l *link, to *net.TCPConn) {
	n.mu.Lock()
	if !l.cut {
		l.cut = true
		n.cuts++
	}
	how := n.random.IntN(3)
	n.mu.Unlock()
	switch how {
	case 0:
		_ = to.CloseWrite()
		return
	case 1:
		_ = l.near.SetLinger(0)
		_ = l.far.SetLinger(0)
	}
	l.end()
}

// stop lets nothing pass until the network goes on.
func (n *network) stop() (goOn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	calm := make(chan struct{})
	n.calm = calm
	return func() { close(calm) }
}

// delay makes each piece late.
func (n *network) delay(lag time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lag = lag
}

// forget lets nothing pass on the links that there are, for ever, as a firewall
// does that has lost its table. It returns how many there were.
func (n *network) forget() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		l.forgotten = true
	}
	return len(n.links)
}

// mortality makes each new link die after a random number of bytes, or no more.
// Those that there are end at once.
func (n *network) mortality(mortal bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mortal = mortal
	for l := range n.links {
		l.end()
	}
}

// ends remembers which side ended a link first, if it did so as one should.
func (n *network) ends(l *link, from *net.TCPConn, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if from == l.near {
		l.left = true
	} else if !l.left && !l.cut && errors.Is(err, io.EOF) {
		n.ended++
	}
}

// done is how many links have been cut after their number of bytes, and how many
// a node has ended.
func (n *network) done() (cuts, ended int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cuts, n.ended
}

// link is one connection of a client with a node.
type link struct {
	near, far *net.TCPConn
	// Under the lock of the network:
	forgotten bool
	cut       bool
	left      bool // the client has ended it

	once sync.Once
	gone chan struct{} // closed when both ends are
}

func (l *link) end() {
	l.once.Do(func() {
		close(l.gone)
		_ = l.near.Close()
		_ = l.far.Close()
	})
}
