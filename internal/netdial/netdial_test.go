package netdial

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// listen accepts connections on the loopback and keeps them open. It returns
// the address, and each connection's other end.
func listen(t *testing.T) (addr string, peers <-chan net.Conn) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ch := make(chan net.Conn, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			ch <- c
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
		close(ch)
		for c := range ch {
			_ = c.Close()
		}
	})
	return ln.Addr().String(), ch
}

// requireCut waits until c is closed from the other side.
func requireCut(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err := c.Read(make([]byte, 1))
	var timeout net.Error
	require.Error(t, err)
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "still open")
	require.NoError(t, c.Close())
}

// dialFunc is an Inner that cannot be interrupted.
type dialFunc func(network, addr string) (net.Conn, error)

func (f dialFunc) Dial(network, addr string) (net.Conn, error) { return f(network, addr) }

// dialContextFunc is one that can.
type dialContextFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (f dialContextFunc) Dial(string, string) (net.Conn, error) {
	return nil, errors.New("DialContext should have been called")
}

func (f dialContextFunc) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}

// pipe is an Inner whose connections are of a type that nobody knows.
func pipe(t *testing.T) (inner Inner, peers <-chan net.Conn) {
	t.Helper()
	ch := make(chan net.Conn, 10)
	return dialFunc(func(string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		ch <- theirs
		return ours, nil
	}), ch
}

func TestDialer_isWhatSaramaTakesForAProxy(t *testing.T) {
	t.Parallel()
	cfg := sarama.NewConfig()
	cfg.Net.Proxy.Enable, cfg.Net.Proxy.Dialer = true, New(Settings{})
	require.NoError(t, cfg.Validate())
	_ = New(Settings{Inner: cfg.Net.Proxy.Dialer}) // and the other way round
}

func TestDialer_Dial_returnsTheRawTCPConnection(t *testing.T) {
	t.Parallel()
	addr, peers := listen(t)
	d := New(Settings{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}})
	c, err := d.Dial("tcp", addr)
	require.NoError(t, err)
	require.IsType(t, (*net.TCPConn)(nil), c)
	require.Equal(t, 1, d.Open())
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	peer := <-peers
	_, err = io.ReadFull(peer, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	requireCut(t, peer)
	require.Zero(t, d.Open())
}

// A resolver asks whether its connection is a net.PacketConn.
func TestDialer_Dial_returnsTheRawUDPConnection(t *testing.T) {
	t.Parallel()
	d := New(Settings{})
	c, err := d.Dial("udp", "127.0.0.1:53")
	require.NoError(t, err)
	require.Implements(t, (*net.PacketConn)(nil), c)
	require.Equal(t, 1, d.Open())
	d.Abort()
	_, err = c.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestDialer_Dial_doesNotHoldOnToClosedConnections(t *testing.T) {
	t.Parallel()
	addr, _ := listen(t)
	d := New(Settings{})
	keep, err := d.Dial("tcp", addr)
	require.NoError(t, err)
	for range 100 {
		c, err := d.Dial("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.LessOrEqual(t, len(d.raw), 2, "the open one and the last one")
	}
	require.Empty(t, d.dials)
	require.Equal(t, 1, d.Open())
	require.NoError(t, keep.Close())
}

func TestDialer_Dial_tellsWhyItFailed(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	d := New(Settings{})
	_, err = d.Dial("tcp", ln.Addr().String())
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Zero(t, d.Open())
	require.Empty(t, d.dials)
}

func TestDialer_Dial_anInnerThatReturnsNothingIsAnError(t *testing.T) {
	t.Parallel()
	d := New(Settings{Inner: dialFunc(func(string, string) (net.Conn, error) { return nil, nil })}) //nolint:nilnil // the point
	_, err := d.Dial("tcp", "a:1")
	require.ErrorIs(t, err, errNoConn)
}

func TestDialer_Dial_isBoundedByTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := New(Settings{Timeout: time.Second, Inner: dialContextFunc(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})})
		began := time.Now()
		_, err := d.Dial("tcp", "a:1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestDialer_DialContext_isEndedByItsContext(t *testing.T) {
	t.Parallel()
	d := New(Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.DialContext(ctx, "tcp", "127.0.0.1:1")
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrAborted)
}

func TestDialer_Abort_cutsEveryConnectionAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	addr, peers := listen(t)
	d := New(Settings{})
	var conns []net.Conn
	for range 5 {
		c, err := d.Dial("tcp", addr)
		require.NoError(t, err)
		conns = append(conns, c)
	}
	blocked := make(chan error, 1)
	go func() {
		_, err := conns[0].Read(make([]byte, 1))
		blocked <- err
	}()
	d.Abort()
	d.Abort()
	require.ErrorIs(t, <-blocked, net.ErrClosed, "who was reading is woken")
	for _, c := range conns {
		_, err := c.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		requireCut(t, <-peers)
	}
	require.Zero(t, d.Open())
	_, err := d.Dial("tcp", addr)
	require.ErrorIs(t, err, ErrAborted)
}

func TestDialer_Abort_endsDialsInProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := New(Settings{Timeout: time.Hour, Inner: dialContextFunc(func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})})
		errs := make(chan error, 3)
		for range cap(errs) {
			go func() {
				_, err := d.Dial("tcp", "a:1")
				errs <- err
			}()
		}
		synctest.Wait()
		began := time.Now()
		d.Abort()
		for range cap(errs) {
			require.Equal(t, ErrAborted, <-errs)
		}
		require.Zero(t, time.Since(began))
		require.Empty(t, d.dials)
	})
}

func TestDialer_Abort_closesWhatAnInnerReturnsTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner, peers := pipe(t)
		release := make(chan struct{})
		d := New(Settings{Inner: dialFunc(func(network, addr string) (net.Conn, error) {
			<-release
			return inner.Dial(network, addr)
		})})
		errs := make(chan error)
		go func() {
			_, err := d.Dial("tcp", "a:1")
			errs <- err
		}()
		synctest.Wait()
		d.Abort() // does not wait for it
		close(release)
		require.Equal(t, ErrAborted, <-errs)
		_, err := (<-peers).Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Zero(t, d.Open())
	})
}

// However dials and Abort meet, nobody is left with a connection.
func TestDialer_Abort_noConnectionSurvivesARaceWithDial(t *testing.T) {
	t.Parallel()
	addr, _ := listen(t)
	for range 30 {
		d := New(Settings{Timeout: 5 * time.Second})
		var wg sync.WaitGroup
		var made atomic.Int64
		started := make(chan struct{}, 4)
		for range 4 {
			wg.Go(func() {
				for {
					c, err := d.Dial("tcp", addr)
					if err != nil {
						if !errors.Is(err, ErrAborted) {
							t.Error(err)
						}
						return
					}
					if made.Add(1) <= 4 {
						started <- struct{}{}
					}
					// Nobody else closes it: this ends when Abort does.
					if _, err = c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
				}
			})
		}
		<-started
		d.Abort()
		wg.Wait()
		require.Zero(t, d.Open())
	}
}

func TestDialer_wrappedConnectionsWorkAndForgetThemselves(t *testing.T) {
	t.Parallel()
	inner, peers := pipe(t)
	d := New(Settings{Inner: inner})
	c, err := d.Dial("tcp", "a:1")
	require.NoError(t, err)
	peer := <-peers
	require.Equal(t, 1, d.Open())

	go func() { _, _ = io.Copy(peer, peer) }()
	_, err = c.Write([]byte("echo"))
	require.NoError(t, err)
	got := make([]byte, 4)
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, "echo", string(got))
	require.NoError(t, c.SetDeadline(time.Now().Add(-time.Second)))
	_, err = c.Read(got)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())

	require.NoError(t, c.Close())
	require.Zero(t, d.Open())
	require.NoError(t, c.Close(), "a second time")
}

// once is a connection that takes a second Close badly.
type once struct {
	net.Conn
	closed atomic.Int64
}

func (c *once) Close() error {
	if c.closed.Add(1) > 1 {
		panic("closed twice")
	}
	return c.Conn.Close()
}

func TestDialer_wrappedConnectionsAreClosedOnceByAbortAndOwner(t *testing.T) {
	t.Parallel()
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			inner := &once{Conn: ours}
			d := New(Settings{Inner: dialFunc(func(string, string) (net.Conn, error) { return inner, nil })})
			c, err := d.Dial("tcp", "a:1")
			require.NoError(t, err)
			go func() { _ = c.Close() }()
			go d.Abort()
			_, err = theirs.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			synctest.Wait()
			require.EqualValues(t, 1, inner.closed.Load())
			require.Zero(t, d.Open())
		})
	}
}

// slow is a connection whose Close takes its time.
type slow struct {
	net.Conn
	release chan struct{}
}

func (c *slow) Close() error {
	<-c.release
	return c.Conn.Close()
}

func TestDialer_Abort_doesNotWaitForAConnectionThatIsSlowToClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := &slow{ours, make(chan struct{})}
		d := New(Settings{Inner: dialFunc(func(string, string) (net.Conn, error) { return c, nil })})
		_, err := d.Dial("tcp", "a:1")
		require.NoError(t, err)
		d.Abort()
		close(c.release)
		_, err = theirs.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

// An Inner that speaks TLS: sarama looks below it, and so do we.
func TestDialer_TLSOverASocketIsReturnedRawAndCutBelow(t *testing.T) {
	t.Parallel()
	addr, peers := listen(t)
	d := New(Settings{Inner: dialContextFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return tls.Client(c, &tls.Config{ServerName: "broker", MinVersion: tls.VersionTLS12}), nil
	})})
	c, err := d.Dial("tcp", addr)
	require.NoError(t, err)
	require.IsType(t, (*tls.Conn)(nil), c)
	require.Equal(t, 1, d.Open())
	d.Abort()
	requireCut(t, <-peers)
	require.Zero(t, d.Open())
}
