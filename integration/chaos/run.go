package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/integration/internal/stored"
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
	// settling is how long a Send may take to return once the producer is closed.
	settling = time.Minute
	// large is how many bytes fill a large message. So many different ones follow
	// one another that a batch does not compress.
	large, blocks = 8 << 10, 128
	// telling is how long callbacks may take after a Close that was cut short.
	telling = 2 * time.Second
	// roomy is how many messages fit into any buffer of ours: with less under way
	// no Send has to wait for room.
	roomy = 90_000
	// leastLoad is how many messages have to be accepted or the run proves
	// nothing; fewer where the producer is closed early.
	leastLoad, leastAmid = 2_000, 500
	// leastAfter is how many have to be accepted after the warm-up.
	leastAfter = 500
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
	Silent                       int // accepted, and no outcome after Close
	Refused                      int // of those rejected: not because of Close
	After                        int // accepted since the fault began
	MostOpen                     int // accepted and without an outcome at a time
	Early                        int // failures before the delivery timeout and the end of Close
	Unplaced                     int // delivered, but to what offset was not said
	NotPersisted, MaybePersisted int // failures by status
	Verdict                      judge.Verdict

	LongestSend time.Duration
	Slowest     time.Duration // from the acceptance of a message to its outcome
	LongestGap  time.Duration // without an acknowledgement, in any partition
	// Recovery is how long after the cluster was whole again every partition had
	// an acknowledgement; Recovered is false if one had none.
	Recovery  time.Duration
	Recovered bool
	closed    time.Duration // when Close was called, since the start
	CloseTook time.Duration
	CloseErr  error
	// Kills and Freezes are what was done to nodes.
	Kills, Freezes int
	// Heap is the most that the process has held beside the history, in bytes.
	Heap int64
	// Without is for how long this process got no processor where these times
	// were too long.
	Without struct{ Send, Slowest, Recovery, Close time.Duration }
	Void    error // why the run proves nothing, nil if it does
	// Broken are the promises that were broken, in words.
	Broken []string
	// Evidence is the file with the history and the log, if a promise of ours was
	// broken.
	Evidence string
}

// Failed is how many messages have failed.
func (r *Result) Failed() int { return r.NotPersisted + r.MaybePersisted }

// Options are how a scenario is run.
type Options struct {
	Seed uint64
	Rate int // messages a second
	// CloseAmid closes the producer at some moment of the scenario.
	CloseAmid bool
	// Console lets Kafka's own consumer read what is stored, too. It takes some
	// seconds.
	Console bool
}

// Run lets a scenario happen while a subject sends, in a topic of its own.
func Run(ctx context.Context, cluster *kafka.Cluster, subject Subject, scenario Scenario, o Options) (*Result, error) {
	if err := whole(ctx, cluster); err != nil {
		return nil, err
	}
	topic := fmt.Sprintf("chaos-%d", time.Now().UnixNano())
	if err := cluster.CreateTopic(ctx, topic, partitions, map[string]string{"min.insync.replicas": "2"}); err != nil {
		return nil, err
	}
	if o.CloseAmid && !scenario.CloseAmid {
		scenario = closedAmid(scenario)
	}
	r := &Result{Subject: subject.Name, Scenario: scenario.Name, Seed: o.Seed}
	history, err := r.play(ctx, &Stage{
		Cluster: cluster, Topic: topic, Rand: rand.New(rand.NewPCG(o.Seed, o.Seed)), //nolint:gosec // not a secret
	}, subject, scenario, o.Rate)
	if err != nil {
		return nil, err
	}
	if err := whole(ctx, cluster); err != nil {
		return nil, err
	}
	records, again, err := read(ctx, cluster, topic, o.Console)
	if err != nil {
		return nil, err
	}
	r.judge(history, records, subject)
	r.Broken = r.broken(subject, scenario)
	if o.Console {
		r.compare(records, again)
	}
	if len(r.Broken) > 0 && subject.Ours {
		if r.Evidence, err = keep(cluster.Dir(), r, history, records); err != nil {
			return nil, err
		}
	}
	if r.Void == nil {
		r.Void = r.void(subject, scenario)
	}
	return r, cluster.DeleteTopic(ctx, topic)
}

// read reads a topic with franz-go, and with Kafka's console consumer if it is
// asked for. Both are slow to start, so they do it side by side.
func read(ctx context.Context, cluster *kafka.Cluster, topic string, console bool) (records, again []kafka.Record, err error) {
	var second sync.WaitGroup
	var failed error
	if console {
		second.Go(func() { again, failed = cluster.ConsoleRecords(ctx, topic) })
	}
	records, err = cluster.Records(ctx, topic)
	second.Wait()
	return records, again, errors.Join(err, failed)
}

// gibberish is so many random letters.
func gibberish(seed uint64, n int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
	random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // not a secret
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return b
}

// void says why a run proves nothing although the scenario has happened.
func (r *Result) void(subject Subject, scenario Scenario) error {
	least := leastLoad
	if scenario.CloseAmid {
		least = leastAmid
	}
	switch {
	case r.Accepted < least:
		return fmt.Errorf("only %d messages were accepted", r.Accepted)
	case !scenario.CloseAmid && r.After < leastAfter:
		return fmt.Errorf("only %d messages were accepted after the fault began", r.After)
	case !scenario.CloseAmid && r.LongestGap < scenario.Hurts:
		return fmt.Errorf("no partition had to wait for more than %s", r.LongestGap)
	case !subject.Ours:
		return nil // what follows depends on how a producer is made
	case scenario.CloseAmid && r.CloseTook < scenario.Hurts:
		return fmt.Errorf("Close took no more than %s", r.CloseTook)
	case scenario.Fails && r.Failed() == 0:
		return errors.New("no message failed")
	case scenario.Large && !scenario.CloseAmid && r.LongestSend < time.Second:
		return errors.New("the buffer was not full")
	}
	return nil
}

// play lets a subject send while the scenario happens, and closes it. The history
// is that of the moment when Close had returned.
func (r *Result) play(
	ctx context.Context, stage *Stage, subject Subject, scenario Scenario, rate int,
) (history []judge.Message, err error) {
	settings := Settings{DeliveryTimeout: scenario.DeliveryTimeout}
	if scenario.Network {
		if stage.network, err = newNetwork(rand.New(rand.NewPCG(r.Seed, 1))); err != nil { //nolint:gosec // not a secret
			return nil, err
		}
		defer func() { err = errors.Join(err, stage.network.Close()) }()
		settings.Dialer = stage.network
	}
	l := &load{topic: stage.Topic, ours: subject.Ours, goroutines: subject.Goroutines, rate: rate, keys: keys}
	if scenario.OneKey {
		l.keys = 1
	}
	if scenario.Large {
		l.filling = gibberish(r.Seed, blocks*large)
	}
	l.start = time.Now()
	l.pulse, l.heap = feelPulse(l.start), watchHeap(l.size)
	if l.client, err = subject.Open(stage.Cluster.Addrs(), settings); err != nil {
		l.pulse.end()
		l.heap.end()
		return nil, err
	}
	stage.load = l
	finish := func() { history = r.finish(ctx, l, subject, scenario) }
	if scenario.CloseAmid {
		stage.amid = finish
	}
	l.begin()
	r.Void = errors.Join(sleep(ctx, warmUp), scenario.Run(ctx, stage))
	if !scenario.CloseAmid {
		if r.Void == nil {
			r.Recovery, r.Recovered = l.awaitRecovery(ctx, stage.healed, scenario.recovery()+time.Second)
			r.Void = sleep(ctx, calm)
		}
		finish()
		r.Without.Recovery = l.pulse.without(span{stage.healed, stage.healed + r.Recovery})
	}
	if history == nil {
		finish() // the scenario ended before it came to that
	}
	r.Kills, r.Freezes = stage.kills, stage.freezes
	return history, nil
}

// whole waits until the cluster is as it should be, whatever was done to it.
func whole(ctx context.Context, cluster *kafka.Cluster) error {
	if err := errors.Join(cluster.Thaw(), cluster.StartNodes(ctx)); err != nil {
		return err
	}
	return cluster.InSync(ctx)
}

// finish ends the load and closes the client, and measures what took how long.
// It returns what was said until then.
func (r *Result) finish(ctx context.Context, l *load, subject Subject, scenario Scenario) []judge.Message {
	// A peer may not be closed while others send: sarama's dies of it.
	racing := scenario.CloseAmid && subject.Ours
	until := time.Since(l.start)
	var stuck error
	if !racing {
		stuck = l.end(time.Second)
	}
	r.closed = time.Since(l.start)
	r.CloseErr = l.client.Close(closing)
	r.CloseTook = time.Since(l.start) - r.closed
	if racing {
		stuck = l.end(time.Second)
	}
	if stuck != nil {
		// A Send that waited for room is ended by Close at the latest.
		if err := ended(settling, l.senders.Wait); err != nil {
			r.CloseErr = errors.Join(r.CloseErr, errors.New("a Send has not returned"))
		}
	}
	if r.CloseErr != nil {
		l.settle(ctx, telling)
	}
	r.Heap = l.heap.end()
	l.pulse.end()
	history := l.snapshot()
	r.LongestGap = l.gap(until)
	r.Refused, r.After = l.refused(r.closed), l.after(warmUp)
	l.mu.Lock()
	r.MostOpen = l.mostOpen
	l.mu.Unlock()
	longest := l.longestSend()
	r.LongestSend, r.Without.Send = longest.length(), l.pulse.without(longest)
	slowest, timeout := l.slowest(subject.Sync), scenario.timeout()
	r.Slowest, r.Without.Slowest = slowest.length(), l.pulse.without(span{slowest.from + timeout, slowest.to})
	r.Early = l.early(timeout, r.closed+closing)
	r.Without.Close = l.pulse.without(span{r.closed + closing, r.closed + r.CloseTook})
	return history
}

// judge compares what was said with what is stored, by the same rules for all:
// what a subject does not promise is worth knowing, too.
func (r *Result) judge(history []judge.Message, records []kafka.Record, subject Subject) {
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
			if m.Outcomes[0].Offset < 0 {
				r.Unplaced++
			}
		case !producer.MayHaveBeenWritten(m.Outcomes[0].Err):
			r.NotPersisted++
		default:
			r.MaybePersisted++
		}
		r.Accepted++
	}
	r.Stored = len(records)
	r.Verdict = judge.Compare(history, stored.Records(records), judge.Rules{
		Stored: true, Idempotent: true, Keyed: true, AnyOrder: subject.Sync,
	})
}

// compare says where the console consumer has read something else.
func (r *Result) compare(records, again []kafka.Record) {
	if len(again) != len(records) {
		r.Broken = append(r.Broken, fmt.Sprintf("franz-go has read %d records, the console consumer %d", len(records), len(again)))
		return
	}
	for i := range records {
		a, b := &records[i], &again[i]
		if a.Partition != b.Partition || a.Offset != b.Offset || !judge.Same(a.Key, b.Key) || !judge.Same(a.Value, b.Value) {
			r.Broken = append(r.Broken, fmt.Sprintf("at %d@%d franz-go and the console consumer have read different records",
				a.Partition, a.Offset))
			return
		}
	}
}
