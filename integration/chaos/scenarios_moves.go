package chaos

import (
	"context"
	"time"
)

// moves are what an operator does in the course of the day.
func moves() []Scenario {
	return []Scenario{
		{Name: "rolling restart", Run: func(ctx context.Context, s *Stage) error {
			return s.restartAll(ctx, func() error { return nil })
		}},
		{Name: "one key is updated while nodes restart and its partition moves", OneKey: true, Run: func(ctx context.Context, s *Stage) error {
			return s.restartAll(ctx, func() error { return s.moveLeaders(ctx) }) // one partition is that of the key
		}},
		{Name: "partitions move to other nodes", Run: func(ctx context.Context, s *Stage) error {
			for range 2 {
				for p := range int32(partitions) {
					// Two of three, and then all again: each time a node has to copy the
					// partition, and where the leader was left out another takes over.
					order := s.Rand.Perm(3)
					replicas := []int32{1 + int32(order[0]), 1 + int32(order[1]), 1 + int32(order[2])} //nolint:gosec // 1 to 3
					if err := s.Cluster.Reassign(ctx, s.Topic, p, replicas[:2]); err != nil {
						return err
					}
					if err := s.Cluster.Reassign(ctx, s.Topic, p, replicas); err != nil {
						return err
					}
				}
			}
			s.Healed()
			return nil
		}},
		{Name: "leaders move every second", Run: func(ctx context.Context, s *Stage) error {
			for range 12 {
				if err := s.moveLeaders(ctx); err != nil {
					return err
				}
				if err := s.lasts(ctx, time.Second); err != nil {
					return err
				}
			}
			s.Healed()
			return nil
		}},
	}
}

// restartAll restarts one node after the other, each when the last is back and
// has caught up, and does something else in between.
func (s *Stage) restartAll(ctx context.Context, between func() error) error {
	for id := 1; id <= s.Cluster.Nodes(); id++ {
		if err := s.Cluster.Stop(id); err != nil {
			return err
		}
		if err := s.Cluster.StartNodes(ctx, id); err != nil {
			return err
		}
		if err := s.Cluster.InSync(ctx); err != nil {
			return err
		}
		if err := between(); err != nil {
			return err
		}
	}
	s.Healed()
	return nil
}
