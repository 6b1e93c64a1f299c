package kafkatest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// askTimeout bounds a request to a broker in the same process, which takes
// microseconds: it only turns a hang into an error.
const askTimeout = 10 * time.Second

// ask sends one request to a broker by the back door and decodes the answer
// into resp. The version of req must be one without flexible headers.
func (c *Cluster) ask(ctx context.Context, req kmsg.Request, resp kmsg.Response) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := c.listeners[0].dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("set deadline: %w", err)
		}
	}
	const correlation = 1
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, correlation)); err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if len(body) < 4 {
		return fmt.Errorf("answer of %d bytes is too short", len(body))
	}
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body[4:]); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// dialBackDoor connects to the broker that has the address, past the network
// and past every fault.
func (c *Cluster) dialBackDoor(ctx context.Context, _, addr string) (net.Conn, error) {
	for _, l := range c.listeners {
		if l.Addr().String() == addr {
			return l.dial(ctx)
		}
	}
	return nil, fmt.Errorf("kafkatest: no broker at %q", addr)
}
