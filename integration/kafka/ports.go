package kafka

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// The ports of a cluster are a block below the range that systems take for
// outgoing connections (from 32768 on Linux): a node that is away must find its
// ports free when it comes back.
const (
	firstPort   = 20000
	lastPort    = 32000
	portsOfNode = 5
	blockSize   = portsOfNode * maxNodes
	maxNodes    = 3
)

// Listeners of a node, as offsets in its ports.
const (
	plaintextPort = iota
	controllerPort
	saslPort
	sslPort
	saslSSLPort
)

const loopback = "127.0.0.1"

// ports is a block that no other cluster of this machine has.
type ports struct {
	base    int
	release func()
}

func (p ports) addr(node, listener int) string {
	return net.JoinHostPort(loopback, strconv.Itoa(p.base+(node-1)*portsOfNode+listener))
}

// takePorts finds a block whose lock and whose ports are free.
func takePorts() (ports, error) {
	const blocks = (lastPort - firstPort) / blockSize
	var last error
	begin := rand.IntN(blocks)
	for i := range blocks {
		base := firstPort + (begin+i)%blocks*blockSize
		unlock, err := tryLock(filepath.Join(os.TempDir(), fmt.Sprintf("saramakit-kafka-ports-%d.lock", base)))
		if err != nil {
			last = err
			continue
		}
		if err := allFree(base); err != nil {
			last = err
			unlock()
			continue
		}
		return ports{base, unlock}, nil
	}
	return ports{}, fmt.Errorf("kafka: no free ports from %d to %d: %w", firstPort, lastPort, last)
}

func allFree(base int) error {
	var errs []error
	for port := base; port < base+blockSize; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err == nil {
			err = l.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
