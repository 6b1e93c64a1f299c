package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/saramakit/producer/integration/kafka"
)

// Scenario is what happens to a cluster of three nodes while messages are sent.
type Scenario struct {
	Name string
	// DeliveryTimeout is what the producers are told, 0: their default. Where it
	// is shorter than the outage messages may fail, but each with a true status.
	DeliveryTimeout time.Duration
	// CloseAmid ends the producer while the fault lasts.
	CloseAmid bool
	// Run does it. What it returns an error of did not happen, and the run is
	// void.
	Run func(ctx context.Context, s *Stage) error
}

// Stage is where a scenario takes place.
type Stage struct {
	Cluster *kafka.Cluster
	Topic   string
	Rand    *rand.Rand
	load    *load
	healed  time.Duration // when the cluster was whole again, since the start
	amid    func()        // called while the fault lasts
}

// MayFail reports whether messages may fail.
func (s *Scenario) MayFail() bool { return s.DeliveryTimeout > 0 || s.CloseAmid }

// Healed says that the cluster serves everybody again, from now on.
func (s *Stage) Healed() { s.healed = time.Since(s.load.start) }

// lasts lets a fault last.
func (s *Stage) lasts(ctx context.Context, d time.Duration) error {
	if s.amid != nil {
		s.amid()
		s.amid = nil
	}
	return sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// leader is the node that leads a partition chosen by chance.
func (s *Stage) leader(ctx context.Context) (int, error) {
	id, err := s.Cluster.Leader(ctx, s.Topic, s.Rand.Int32N(partitions))
	return int(id), err
}

// others are the nodes that are not id.
func (s *Stage) others(id int) (ids []int) {
	for other := 1; other <= s.Cluster.Nodes(); other++ {
		if other != id {
			ids = append(ids, other)
		}
	}
	return ids
}

// crash kills nodes and starts them again after a while.
func (s *Stage) crash(ctx context.Context, away time.Duration, ids ...int) error {
	if err := s.Cluster.Kill(ids...); err != nil {
		return err
	}
	if err := s.lasts(ctx, away); err != nil {
		return err
	}
	if err := s.Cluster.StartNodes(ctx, ids...); err != nil {
		return err
	}
	s.Healed()
	return nil
}

// freeze stops nodes from running for a while.
func (s *Stage) freeze(ctx context.Context, away time.Duration, ids ...int) error {
	if err := s.Cluster.Freeze(ids...); err != nil {
		return err
	}
	if err := s.lasts(ctx, away); err != nil {
		return err
	}
	if err := s.Cluster.Thaw(ids...); err != nil {
		return err
	}
	s.Healed()
	return nil
}

// Scenarios are all there are. What is shorter than the delivery timeout must
// not cost a single message.
func Scenarios() []Scenario {
	return append(faults(), moves()...)
}

func faults() []Scenario {
	return []Scenario{
		{Name: "a leader is killed and comes back", Run: func(ctx context.Context, s *Stage) error {
			id, err := s.leader(ctx)
			if err != nil {
				return err
			}
			return s.crash(ctx, 5*time.Second, id)
		}},
		{Name: "two of three are killed", Run: func(ctx context.Context, s *Stage) error {
			return s.crash(ctx, 8*time.Second, s.others(1+s.Rand.IntN(3))...)
		}},
		{Name: "all are killed", Run: func(ctx context.Context, s *Stage) error {
			return s.crash(ctx, 8*time.Second, 1, 2, 3)
		}},
		{Name: "the controller is killed", Run: func(ctx context.Context, s *Stage) error {
			id, err := s.Cluster.Controller(ctx)
			if err != nil {
				return err
			}
			return s.crash(ctx, 5*time.Second, id)
		}},
		{Name: "a leader is frozen", Run: func(ctx context.Context, s *Stage) error {
			id, err := s.leader(ctx)
			if err != nil {
				return err
			}
			return s.freeze(ctx, 20*time.Second, id)
		}},
		{
			Name: "all are killed for longer than the delivery timeout", DeliveryTimeout: 5 * time.Second,
			Run: func(ctx context.Context, s *Stage) error { return s.crash(ctx, 12*time.Second, 1, 2, 3) },
		},
		{Name: "Close while two of three are killed", CloseAmid: true, Run: func(ctx context.Context, s *Stage) error {
			return s.crash(ctx, time.Second, s.others(1+s.Rand.IntN(3))...)
		}},
		{Name: "Close while a leader is frozen", CloseAmid: true, Run: func(ctx context.Context, s *Stage) error {
			id, err := s.leader(ctx)
			if err != nil {
				return err
			}
			return s.freeze(ctx, time.Second, id)
		}},
	}
}

func moves() []Scenario {
	return []Scenario{
		{Name: "rolling restart", Run: func(ctx context.Context, s *Stage) error {
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
			}
			s.Healed()
			return nil
		}},
		{Name: "leaders move every second", Run: func(ctx context.Context, s *Stage) error {
			for range 12 {
				for p := range int32(partitions) {
					if err := s.Cluster.MoveLeader(ctx, s.Topic, p, 1+s.Rand.Int32N(3)); err != nil {
						return fmt.Errorf("partition %d: %w", p, err)
					}
				}
				if err := s.lasts(ctx, time.Second); err != nil {
					return err
				}
			}
			s.Healed()
			return nil
		}},
		{Name: "connections are closed when idle", Run: func(ctx context.Context, s *Stage) error {
			for range 2 {
				s.load.pausing.Store(true)
				if err := s.lasts(ctx, idle+2*time.Second); err != nil {
					return err
				}
				s.load.pausing.Store(false)
				s.Healed()
				if err := sleep(ctx, time.Second); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}
