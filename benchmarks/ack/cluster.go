// Package ack is a Kafka cluster that acknowledges what it is sent and keeps
// nothing but the number of messages. It does as little as a client lets it do,
// so that the client is what a benchmark measures.
package ack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Cluster is some brokers in this process, on loopback. Each topic that is asked
// for by its name exists from then on; its partitions are led in turn.
type Cluster struct {
	partitions func(topic string) int32
	listeners  []net.Listener
	messages   atomic.Int64
	requests   atomic.Int64
	ids        atomic.Int64 // of producers

	mu    sync.Mutex // held for a few instructions
	ends  map[partition]int64
	known []string // the topics that were asked for
	conns map[net.Conn]struct{}
	over  bool
	wg    sync.WaitGroup
}

type partition struct {
	topic string
	id    int32
}

// Start starts brokers. partitions says how many a topic has.
func Start(brokers int, partitions func(topic string) int32) (*Cluster, error) {
	c := &Cluster{partitions: partitions, ends: map[partition]int64{}, conns: map[net.Conn]struct{}{}}
	for range brokers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.listeners = append(c.listeners, l)
	}
	for _, l := range c.listeners {
		c.wg.Go(func() { c.accept(l) })
	}
	return c, nil
}

// Addrs are the addresses of all brokers.
func (c *Cluster) Addrs() (addrs []string) {
	for _, l := range c.listeners {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// Messages is how many messages were acknowledged.
func (c *Cluster) Messages() int64 { return c.messages.Load() }

// Requests is in how many produce requests they came.
func (c *Cluster) Requests() int64 { return c.requests.Load() }

// Close ends the brokers and waits for them.
func (c *Cluster) Close() (err error) {
	c.mu.Lock()
	c.over = true
	for conn := range c.conns {
		err = errors.Join(err, conn.Close())
	}
	c.mu.Unlock()
	for _, l := range c.listeners {
		err = errors.Join(err, l.Close())
	}
	c.wg.Wait()
	return err
}

func (c *Cluster) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		if c.over {
			c.mu.Unlock()
			_ = conn.Close()
			return
		}
		c.conns[conn] = struct{}{}
		c.mu.Unlock()
		c.wg.Go(func() {
			c.serve(conn) // a client that goes away, or that sends what it should not, is let go
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.conns, conn)
			_ = conn.Close()
		})
	}
}

// mostBytes is how large a request may be, as with Kafka's default of
// socket.request.max.bytes.
const mostBytes = 100 << 20

// serve answers the requests of one connection, one after the other.
func (c *Cluster) serve(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 64<<10)
	var frame, answer []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(size[:]))
		if n > mostBytes {
			return
		}
		if cap(frame) < n {
			frame = make([]byte, n)
		}
		frame = frame[:n]
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		var err error
		if answer, err = c.answer(frame, answer[:0]); err != nil {
			return
		}
		if len(answer) == 0 {
			continue
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

var errUnknown = errors.New("ack: unknown request")

// answer appends the answer to a request, nothing if it wants none.
func (c *Cluster) answer(frame, to []byte) ([]byte, error) {
	r := kbin.Reader{Src: frame}
	key, version, correlation := r.Int16(), r.Int16(), r.Int32()
	r.NullableString() // the client's id
	request := kmsg.RequestForKey(key)
	if request == nil || !r.Ok() {
		return nil, fmt.Errorf("%w: key %d", errUnknown, key)
	}
	var response kmsg.Response
	var err error
	if key == apiVersions && version > newestAPIVersions {
		response = fromTheFuture()
	} else {
		request.SetVersion(version)
		if request.IsFlexible() {
			kmsg.SkipTags(&r)
		}
		if err := request.ReadFrom(r.Src); err != nil {
			return nil, err
		}
		response, err = c.respond(request)
	}
	if response == nil || err != nil {
		return nil, err
	}
	to = append(to, 0, 0, 0, 0)
	to = binary.BigEndian.AppendUint32(to, uint32(correlation)) //nolint:gosec // the same bits
	if response.IsFlexible() && key != apiVersions {
		to = append(to, 0) // no tags
	}
	to = response.AppendTo(to)
	binary.BigEndian.PutUint32(to, uint32(len(to)-4)) //nolint:gosec // below mostBytes
	return to, nil
}
