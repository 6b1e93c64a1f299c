package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/integration/kafka"
	"github.com/saramakit/producer/internal/judge"
)

const (
	partitions = 6
	// idle is after how long a broker closes a connection that nobody uses.
	idle = 3 * time.Second
	// warmUp and calm are how long messages are sent before the fault and after
	// it.
	warmUp = 3 * time.Second
	calm   = 3 * time.Second
	// closing is what Close is given.
	closing = 10 * time.Second
	// settling is how long messages may take once nobody sends any more and the
	// cluster is whole.
	settling = time.Minute
	// leastLoad is how many messages have to be accepted or the run proves
	// nothing; fewer where the producer is closed early.
	leastLoad, leastAmid = 2_000, 500
)

// Cluster are the options of a cluster for scenarios: three nodes, so that one
// may be away, and two replicas that have to have a message.
func Cluster() kafka.Options {
	return kafka.Options{Nodes: 3, Settings: map[string]string{
		"connections.max.idle.ms": strconv.FormatInt(idle.Milliseconds(), 10),
	}}
}

// Result is what a run has shown.
type Result struct {
	Subject, Scenario string
	Seed              uint64

	Accepted, Delivered, Stored  int
	Rejected                     int // sends that said so at once
	Silent                       int // accepted, and no outcome when Close had returned
	NotPersisted, MaybePersisted int // failures by status
	Verdict                      judge.Verdict

	LongestSend time.Duration
	LongestGap  time.Duration // without an acknowledgement, in any partition
	// Recovery is how long after the cluster was whole again every partition had
	// an acknowledgement; Recovered is false if one had none.
	Recovery  time.Duration
	Recovered bool
	CloseTook time.Duration
	CloseErr  error
	Void      error // why the run proves nothing, nil if it does
}

// Failed is how many messages have failed.
func (r *Result) Failed() int { return r.NotPersisted + r.MaybePersisted }

// Run lets a scenario happen while a subject sends rate messages a second, in a
// topic of its own.
func Run(
	ctx context.Context, cluster *kafka.Cluster, subject Subject, scenario Scenario, seed uint64, rate int,
) (*Result, error) {
	r := &Result{Subject: subject.Name, Scenario: scenario.Name, Seed: seed}
	if err := whole(ctx, cluster); err != nil {
		return nil, err
	}
	topic := fmt.Sprintf("chaos-%d", time.Now().UnixNano())
	if err := cluster.CreateTopic(ctx, topic, partitions, map[string]string{"min.insync.replicas": "2"}); err != nil {
		return nil, err
	}
	client, err := subject.Open(cluster.Addrs(), Settings{DeliveryTimeout: scenario.DeliveryTimeout})
	if err != nil {
		return nil, err
	}
	l := &load{topic: topic, client: client, goroutines: subject.Goroutines, rate: rate}
	stage := &Stage{Cluster: cluster, Topic: topic, Rand: rand.New(rand.NewPCG(seed, seed)), load: l} //nolint:gosec // not a secret
	if scenario.CloseAmid {
		stage.amid = func() { r.finish(l) }
	}
	l.begin()
	r.Void = errors.Join(sleep(ctx, warmUp), scenario.Run(ctx, stage))
	if !scenario.CloseAmid {
		if r.Void == nil {
			r.Void = sleep(ctx, calm)
		}
		r.finish(l)
		r.Recovery, r.Recovered = l.recovery(stage.healed)
	}
	if err := whole(ctx, cluster); err != nil {
		return nil, err
	}
	stored, err := cluster.Records(ctx, topic)
	if err != nil {
		return nil, err
	}
	r.judge(l, subject, stored)
	least := leastLoad
	if scenario.CloseAmid {
		least = leastAmid
	}
	if r.Void == nil && r.Accepted < least {
		r.Void = fmt.Errorf("only %d messages were accepted", r.Accepted)
	}
	return r, cluster.DeleteTopic(ctx, topic)
}

// whole waits until the cluster is as it should be, whatever was done to it.
func whole(ctx context.Context, cluster *kafka.Cluster) error {
	if err := errors.Join(cluster.Thaw(), cluster.StartNodes(ctx)); err != nil {
		return err
	}
	return cluster.InSync(ctx)
}

// finish ends the load and closes the client.
func (r *Result) finish(l *load) {
	until := time.Since(l.start)
	stuck := l.end(time.Second)
	began := time.Now()
	r.CloseErr = l.client.Close(closing)
	r.CloseTook = time.Since(began)
	if stuck != nil {
		// A Send that waited for room is ended by Close at the latest.
		if err := ended(settling, l.senders.Wait); err != nil {
			r.CloseErr = errors.Join(r.CloseErr, errors.New("a Send has not returned"))
		}
	}
	r.LongestGap = l.gap(until)
	l.mu.Lock()
	r.LongestSend = l.longest
	l.mu.Unlock()
}

// judge compares what was said with what is stored.
func (r *Result) judge(l *load, subject Subject, stored []kafka.Record) {
	history := l.snapshot()
	for i := range history {
		m := &history[i]
		switch {
		case !m.Accepted():
			r.Rejected++
			continue
		case len(m.Outcomes) == 0:
			r.Silent++
		case m.Outcomes[0].Err == nil:
			r.Delivered++
		case judge.DeliveryError(m.Outcomes[0].Err).Status == producer.NotPersisted:
			r.NotPersisted++
		default:
			r.MaybePersisted++
		}
		r.Accepted++
	}
	records := make([]judge.Record, len(stored))
	for i := range stored {
		s := &stored[i]
		records[i] = judge.Record{Topic: s.Topic, Partition: s.Partition, Offset: s.Offset, Key: s.Key, Value: s.Value}
	}
	r.Stored = len(records)
	r.Verdict = judge.Compare(history, records, judge.Rules{Stored: true, Idempotent: subject.Ordered, AnyOrder: subject.Sync})
}
