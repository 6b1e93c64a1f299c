package netdial

import (
	"crypto/tls"
	"net"
	"sync"
	"syscall"
)

// conn is a connection of a type that cannot be asked whether it is closed.
type conn struct {
	net.Conn
	dialer *Dialer

	// once makes a second Close harmless, whatever the inner one does with it:
	// Abort and the owner may both call it.
	once sync.Once
	err  error // of the one Close
}

// Close closes the connection, once, and forgets it.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.dialer.mu.Lock()
		delete(c.dialer.wrapped, c)
		c.dialer.mu.Unlock()
		c.err = c.Conn.Close()
	})
	return c.err
}

// socket is a connection that is a file descriptor.
type socket interface {
	net.Conn
	syscall.Conn
}

// socketOf returns the socket under c, nil if that is not known. Only types of
// the standard library count: what others do with SyscallConn is anyone's guess.
func socketOf(c net.Conn) socket {
	switch c := c.(type) {
	case *net.TCPConn:
		return c
	case *net.UnixConn:
		return c
	case *net.UDPConn:
		return c
	case *tls.Conn: // of an Inner that speaks TLS
		return socketOf(c.NetConn())
	}
	return nil
}

// isClosed reports whether this side has closed the socket. It takes a reference
// to the descriptor, no lock, and is safe while others read, write and close.
func isClosed(s socket) bool {
	raw, err := s.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// cut closes c without waiting. The error is of no use: nobody will use c again.
func cut(c net.Conn) {
	if s := socketOf(c); s != nil {
		// Below TLS, whose own Close may wait 5 s to say goodbye to a peer that
		// does not read.
		_ = s.Close()
		return
	}
	go func() { _ = c.Close() }()
}
