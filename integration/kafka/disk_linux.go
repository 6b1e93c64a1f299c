package kafka

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// CanFillDisk reports whether FillDisk works on this system.
const CanFillDisk = true

// FillDisk leaves a node no room on its disk, and waits until it has ended: a
// broker whose only folder fails does. The process may make no file longer than
// one byte from now on; StartNodes starts one that may.
func (c *Cluster) FillDisk(ctx context.Context, id int) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	p := c.nodes[id-1].current()
	if p == nil {
		return fmt.Errorf("kafka: node %d is not running", id)
	}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1, Max: 1}, nil); err != nil {
		return fmt.Errorf("kafka: fill the disk of node %d: %w", id, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("kafka: node %d goes on with a full disk: %w", id, context.Cause(ctx))
	}
}
