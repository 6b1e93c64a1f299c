//go:build !linux

package kafka

import (
	"context"
	"errors"
	"fmt"
)

// FillDisk is for Linux only.
func (c *Cluster) FillDisk(context.Context, int) error {
	return fmt.Errorf("kafka: fill a disk: %w", errors.ErrUnsupported)
}
