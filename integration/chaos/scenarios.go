package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
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
	// Network makes the producer connect through a network that can be broken.
	Network bool
	// OneKey gives all messages the same key.
	OneKey bool
	// Hurts is how long some partition has no acknowledgement at least. A run
	// with shorter gaps is void: it did not come to that.
	Hurts time.Duration
	// Run does it. What it returns an error of did not happen, and the run is
	// void.
	Run func(ctx context.Context, s *Stage) error
}

// Stage is where a scenario takes place.
type Stage struct {
	Cluster *kafka.Cluster
	Topic   string
	Rand    *rand.Rand
	network *network // nil unless the scenario asks for it
	load    *load
	healed  time.Duration // when the cluster was whole again, since the start
	kills   int           // of nodes
	freezes int
	amid    func() // called while the fault lasts
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
	s.kills += len(ids)
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
	s.freezes += len(ids)
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
	return slices.Concat(faults(), moves(), breaks())
}

// closedAmid is a scenario with the end of the producer at a moment of it that
// is chosen by chance.
func closedAmid(scenario Scenario) Scenario {
	inner := scenario.Run
	scenario.Name += ", Close meanwhile"
	scenario.CloseAmid = true
	scenario.Hurts = 0
	scenario.Run = func(ctx context.Context, s *Stage) error {
		end := s.amid
		s.amid = nil
		moment := time.Duration(s.Rand.Int64N(int64(latestClose)))
		over, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			err := sleep(ctx, moment)
			select {
			case <-over:
				err = errors.New("the scenario was over before Close was called")
			default:
			}
			end()
			ended <- err
		}()
		err := inner(ctx, s)
		close(over)
		return errors.Join(err, <-ended)
	}
	return scenario
}

// latestClose is how long after the beginning of a scenario Close is called at
// the latest. What is shorter may be over then, and that run is void.
const latestClose = 6 * time.Second
