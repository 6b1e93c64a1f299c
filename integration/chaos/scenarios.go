package chaos

import (
	"cmp"
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
	// Large values fill the buffer of a producer that does not wait for each
	// outcome.
	Large bool
	// Hurts is how long some partition has no acknowledgement at least, or of one
	// that is closed amid, how long Close takes. A run with less is void: it did
	// not come to that.
	Hurts time.Duration
	// Fails says that messages of ours have to fail, or the run is void.
	Fails bool
	// Recovery is how long a partition may have no acknowledgement once the
	// cluster is whole again, 0: 10 seconds.
	Recovery time.Duration
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

// deliveryTimeout is the default of ours.
const deliveryTimeout = 2 * time.Minute

// timeout is how long a message of ours may take.
func (s *Scenario) timeout() time.Duration { return cmp.Or(s.DeliveryTimeout, deliveryTimeout) }

// recovery is how long a partition may take to recover.
func (s *Scenario) recovery() time.Duration { return cmp.Or(s.Recovery, mostRecovery) }

// MayFail reports whether messages may fail.
func (s *Scenario) MayFail() bool { return s.DeliveryTimeout > 0 || s.CloseAmid }

// Suits reports whether a subject can take part: one without a dialer has no
// network of ours, and one that waits for each outcome fills no buffer.
func (s *Scenario) Suits(subject Subject) bool {
	return (!s.Network || !subject.NoDialer) && (!s.Large || !subject.Sync)
}

// Healed says that the cluster serves everybody again, from now on.
func (s *Stage) Healed() { s.healed = time.Since(s.load.start) }

// piling is for how long messages are sent into a fault before Close is called
// amid it.
const piling = 300 * time.Millisecond

// lasts lets a fault last.
func (s *Stage) lasts(ctx context.Context, d time.Duration) error {
	if s.amid != nil {
		if err := sleep(ctx, piling); err != nil {
			return err
		}
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

// others are the nodes that are not id.
func (s *Stage) others(id int) (ids []int) {
	for other := 1; other <= s.Cluster.Nodes(); other++ {
		if other != id {
			ids = append(ids, other)
		}
	}
	return ids
}

// during breaks something, lets that last for a while, and mends it.
func (s *Stage) during(ctx context.Context, d time.Duration, breaks, mends func() error) error {
	if err := breaks(); err != nil {
		return err
	}
	if err := s.lasts(ctx, d); err != nil {
		return err
	}
	if err := mends(); err != nil {
		return err
	}
	s.Healed()
	return nil
}

// crash kills nodes and starts them again after a while.
func (s *Stage) crash(ctx context.Context, away time.Duration, ids ...int) error {
	s.kills += len(ids)
	return s.during(ctx, away,
		func() error { return s.Cluster.Kill(ids...) },
		func() error { return s.Cluster.StartNodes(ctx, ids...) })
}

// freeze stops nodes from running for a while.
func (s *Stage) freeze(ctx context.Context, away time.Duration, ids ...int) error {
	s.freezes += len(ids)
	return s.during(ctx, away,
		func() error { return s.Cluster.Freeze(ids...) },
		func() error { return s.Cluster.Thaw(ids...) })
}

// fillDisk ends a node by leaving it no room, and starts it again after a while.
func (s *Stage) fillDisk(ctx context.Context, away time.Duration, id int) error {
	return s.during(ctx, away,
		func() error { return s.Cluster.FillDisk(ctx, id) },
		func() error { return s.Cluster.StartNodes(ctx, id) })
}

// toALeader is what happens to the leader of a partition chosen by chance.
func toALeader(f func(ctx context.Context, s *Stage, id int) error) func(context.Context, *Stage) error {
	return func(ctx context.Context, s *Stage) error {
		id, err := s.Cluster.Leader(ctx, s.Topic, s.Rand.Int32N(partitions))
		if err != nil {
			return err
		}
		return f(ctx, s, int(id))
	}
}

// moveLeaders gives every partition a leader chosen by chance.
func (s *Stage) moveLeaders(ctx context.Context) error {
	for p := range int32(partitions) {
		if err := s.Cluster.MoveLeader(ctx, s.Topic, p, 1+s.Rand.Int32N(3)); err != nil {
			return err
		}
	}
	return nil
}

// Scenarios are all there are. What is shorter than the delivery timeout must
// not cost a single message.
func Scenarios() []Scenario {
	return slices.Concat(faults(), disks(), moves(), breaks())
}

// closedAmid is a scenario with the end of the producer at a moment of it that
// is chosen by chance.
func closedAmid(scenario Scenario) Scenario {
	inner := scenario.Run
	scenario.Name += ", Close meanwhile"
	scenario.CloseAmid = true
	scenario.Hurts, scenario.Fails = 0, false // Close may come before anything happens
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
