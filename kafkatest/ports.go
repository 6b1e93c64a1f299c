package kafkatest

import (
	"net"
	"sync"
)

// ports are the addresses of all brokers of this process, so that the port of
// one that is away is not given to another: its clients would talk to a cluster
// that is not theirs.
var ports = addresses{held: make(map[string]struct{})} //nolint:gochecknoglobals // ports belong to the process

type addresses struct {
	mu   sync.Mutex
	held map[string]struct{}
}

// listen listens on an address that no broker of this process has.
func (a *addresses) listen(addr string) (net.Listener, error) {
	// Kept until the end, so that the next one is another one.
	var others []net.Listener
	defer func() {
		for _, l := range others {
			_ = l.Close()
		}
	}()
	for {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, err
		}
		if a.take(l.Addr().String()) {
			return l, nil
		}
		others = append(others, l)
	}
}

func (a *addresses) take(addr string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, held := a.held[addr]
	a.held[addr] = struct{}{}
	return !held
}

// release gives an address back.
func (a *addresses) release(addr string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.held, addr)
}
