package chaos

import (
	"context"
	"time"

	"github.com/saramakit/producer/integration/kafka"
)

// faults are what happens to the nodes themselves.
func faults() []Scenario {
	return []Scenario{
		{Name: "a leader is killed and comes back", Run: toALeader(func(ctx context.Context, s *Stage, id int) error {
			return s.crash(ctx, 5*time.Second, id)
		})},
		{Name: "two of three are killed", Hurts: 5 * time.Second, Run: func(ctx context.Context, s *Stage) error {
			return s.crash(ctx, 8*time.Second, s.others(1+s.Rand.IntN(3))...)
		}},
		{Name: "all are killed", Hurts: 5 * time.Second, Run: func(ctx context.Context, s *Stage) error {
			return s.crash(ctx, 8*time.Second, 1, 2, 3)
		}},
		{Name: "the controller is killed", Run: func(ctx context.Context, s *Stage) error {
			id, err := s.Cluster.Controller(ctx)
			if err != nil {
				return err
			}
			return s.crash(ctx, 5*time.Second, id)
		}},
		{Name: "a leader is frozen", Hurts: 4 * time.Second, Run: toALeader(func(ctx context.Context, s *Stage, id int) error {
			return s.freeze(ctx, 20*time.Second, id)
		})},
		{Name: "two of three are frozen", Hurts: 4 * time.Second, Run: func(ctx context.Context, s *Stage) error {
			return s.freeze(ctx, 8*time.Second, s.others(1+s.Rand.IntN(3))...)
		}},
		{Name: "one node after the other is killed", Run: func(ctx context.Context, s *Stage) error {
			for range 4 {
				if err := s.crash(ctx, time.Second, 1+s.Rand.IntN(3)); err != nil {
					return err
				}
				if err := s.Cluster.InSync(ctx); err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "one node after the other freezes for a moment", Run: func(ctx context.Context, s *Stage) error {
			for range 8 {
				moment := time.Duration(s.Rand.Int64N(int64(4 * time.Second)))
				if err := s.freeze(ctx, moment, 1+s.Rand.IntN(3)); err != nil {
					return err
				}
			}
			return nil
		}},
		{
			Name: "all are killed for longer than the delivery timeout", DeliveryTimeout: 5 * time.Second, Fails: true, Hurts: 5 * time.Second,
			Run: func(ctx context.Context, s *Stage) error { return s.crash(ctx, 12*time.Second, 1, 2, 3) },
		},
		{Name: "Close while two of three are killed", CloseAmid: true, Fails: true, Run: func(ctx context.Context, s *Stage) error {
			return s.crash(ctx, time.Second, s.others(1+s.Rand.IntN(3))...)
		}},
		{Name: "Close while a leader is frozen", CloseAmid: true, Hurts: time.Second, Run: toALeader(func(ctx context.Context, s *Stage, id int) error {
			return s.freeze(ctx, time.Second, id)
		})},
		{Name: "all are killed while the messages are large", Large: true, Hurts: 5 * time.Second, Run: func(ctx context.Context, s *Stage) error {
			return s.crash(ctx, 8*time.Second, 1, 2, 3)
		}},
	}
}

// disks is what happens where they live. Not every system can be made to do it.
func disks() []Scenario {
	if !kafka.CanFillDisk {
		return nil
	}
	return []Scenario{{Name: "a leader's disk is full", Run: toALeader(func(ctx context.Context, s *Stage, id int) error {
		return s.fillDisk(ctx, 5*time.Second, id)
	})}}
}
