//go:build !linux

package kafka

import (
	"context"
	"errors"
	"fmt"
)

// CanFillDisk reports whether FillDisk works on this system.
const CanFillDisk = false

// FillDisk is for Linux only.
func (c *Cluster) FillDisk(context.Context, int) error {
	return fmt.Errorf("kafka: fill a disk: %w", errors.ErrUnsupported)
}
