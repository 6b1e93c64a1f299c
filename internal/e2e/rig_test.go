package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

const topic = "orders"

// mode is a kind of producer.
type mode struct{ sync, idempotent bool }

func (m mode) String() string {
	name := "async"
	if m.sync {
		name = "sync"
	}
	if m.idempotent {
		return name + " idempotent"
	}
	return name + " plain"
}

var (
	// modes are all kinds.
	modes = []mode{{true, true}, {false, true}, {true, false}, {false, false}} //nolint:gochecknoglobals // a constant
	// kinds are the two producers as they are by default.
	kinds = modes[:2] //nolint:gochecknoglobals // a constant
)

// oneByOne is inModes for tests that measure, or that disturb others.
func oneByOne(t *testing.T, of []mode, test func(t *testing.T, m mode)) {
	t.Helper()
	for _, m := range of {
		t.Run(m.String(), func(t *testing.T) { test(t, m) })
	}
}

// inModes runs a test for each kind of producer, at the same time.
func inModes(t *testing.T, of []mode, test func(t *testing.T, m mode)) {
	t.Helper()
	for _, m := range of {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}

// underTest is what both producers have.
type underTest interface {
	producer.Producer
	Stats() producer.Stats
}

// rig is a producer under test, its cluster and its history.
type rig struct {
	mode
	t       *testing.T
	cluster *kafkatest.Cluster
	p       underTest
	acks    sarama.RequiredAcks

	mu       sync.Mutex
	history  []*message
	reported int           // outcomes so far
	deliver  int           // of them: delivered
	changed  chan struct{} // closed and replaced with each outcome
}

// bounded is a ctx for what has no bound of its own that the test checks.
func bounded(t *testing.T) context.Context {
	t.Helper()
	return within(t, 30*time.Second)
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// startCluster is a cluster of three brokers with one topic.
func startCluster(t *testing.T, opts ...kafkatest.Option) *kafkatest.Cluster {
	t.Helper()
	return kafkatest.Start(t, append([]kafkatest.Option{kafkatest.WithTopic(topic, 3)}, opts...)...)
}

// quick are the options of most tests: they find out about a fault quickly, and
// they are quiet.
func quick(m mode) producer.Options {
	return producer.Options{
		producer.WithIdempotence(m.idempotent),
		producer.WithDeliveryTimeout(20 * time.Second),
		producer.WithRetryBackoff(5*time.Millisecond, 50*time.Millisecond),
		producer.WithLogger(slog.New(slog.DiscardHandler)),
	}
}

// networkTimeouts shortens sarama's.
func networkTimeouts(d time.Duration) producer.Option {
	return producer.WithSaramaConfig(func(c *sarama.Config) {
		c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = d, d, d
	})
}

// dialer is what sarama takes as one.
type dialer interface {
	Dial(network, addr string) (net.Conn, error)
}

// dialingThrough makes a producer connect with a dialer of the test.
func dialingThrough(d dialer) producer.Option {
	return producer.WithSaramaConfig(func(c *sarama.Config) {
		c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, d
	})
}

// newRig starts a producer that is closed when the test ends.
func newRig(t *testing.T, m mode, cluster *kafkatest.Cluster, opts ...producer.Option) *rig {
	t.Helper()
	return newRigOver(t, m, cluster, func(opts producer.Options) (underTest, error) {
		opts = append(producer.Options{networkTimeouts(time.Second)}, opts...)
		if m.sync {
			return producer.NewSync(bounded(t), cluster.Addrs(), opts)
		}
		return producer.NewAsync(bounded(t), cluster.Addrs(), opts)
	}, opts...)
}

// newRigOver is newRig with a constructor of the caller's.
func newRigOver(
	t *testing.T, m mode, cluster *kafkatest.Cluster,
	construct func(opts producer.Options) (underTest, error), opts ...producer.Option,
) *rig {
	t.Helper()
	r := &rig{t: t, mode: m, cluster: cluster, acks: sarama.WaitForAll, changed: make(chan struct{})}
	all := append(quick(m),
		producer.WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) { r.record(msg, nil) }),
		producer.WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, err error) { r.record(msg, err) }),
	)
	all = append(all, opts...)
	p, err := construct(all)
	require.NoError(t, err)
	r.p = p
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_ = p.Close(ctx) // those who care have closed it before
	})
	return r
}

// record takes an outcome down.
func (r *rig) record(msg *sarama.ProducerMessage, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := msg.Metadata.(*message)
	if !ok {
		r.t.Errorf("a callback got Metadata %v, want the message's", msg.Metadata)
		return
	}
	m.Outcomes = append(m.Outcomes, outcome{Err: err, Partition: msg.Partition, Offset: msg.Offset, Order: r.reported})
	r.reported++
	if err == nil {
		r.deliver++
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// waitDelivered waits until n messages are delivered.
func (r *rig) waitDelivered(ctx context.Context, n int) error {
	return r.wait(ctx, func() bool { return r.deliver >= n })
}

// waitReported waits until n messages have an outcome.
func (r *rig) waitReported(ctx context.Context, n int) error {
	return r.wait(ctx, func() bool { return r.reported >= n })
}

func (r *rig) wait(ctx context.Context, enough func() bool) error {
	for {
		r.mu.Lock()
		done, changed := enough(), r.changed
		r.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// delivered is how many messages are.
func (r *rig) delivered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deliver
}

// next makes the next message of a sender.
func (r *rig) next(sender int, topic string, edit func(*sarama.ProducerMessage)) (*message, *sarama.ProducerMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &message{ID: len(r.history), Sender: sender, Topic: topic, Key: fmt.Appendf(nil, "key %d", len(r.history)%7)}
	m.Value = judge.Payload(m.ID, sender, topic, m.Key)
	r.history = append(r.history, m)
	msg := &sarama.ProducerMessage{
		Topic: topic, Key: sarama.ByteEncoder(m.Key), Value: sarama.ByteEncoder(m.Value), Metadata: m,
	}
	if edit != nil {
		edit(msg)
	}
	return m, msg
}

func (r *rig) answered(m *message, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.Answered, m.Returned = true, err
}

// send sends one message for sender 0.
func (r *rig) send(ctx context.Context) error { return r.sendTo(ctx, topic, nil) }

// sendTo sends one message for sender 0 to a topic.
func (r *rig) sendTo(ctx context.Context, topic string, edit func(*sarama.ProducerMessage)) error {
	m, msg := r.next(0, topic, edit)
	err := r.p.Send(ctx, msg)
	r.answered(m, err)
	return err
}

// load is a number of messages from a number of goroutines.
type load struct {
	senders, each int
	topics        []string // in turn; default: topic
	// window is how many messages a sender has on their way; default 20.
	window int
	edit   func(*sarama.ProducerMessage)
}

// run sends a load and returns when all sends have returned, and for a Sync all
// outcomes are known. What the sends return is in the history.
func (r *rig) run(ctx context.Context, l load) {
	if l.topics == nil {
		l.topics = []string{topic}
	}
	if l.window == 0 {
		l.window = 20
	}
	var senders sync.WaitGroup
	for sender := range l.senders {
		senders.Go(func() {
			if p, ok := r.p.(*producer.Sync); ok {
				r.runSync(ctx, p, sender, l)
			} else {
				r.runAsync(ctx, sender, l)
			}
		})
	}
	senders.Wait()
}

func (r *rig) runSync(ctx context.Context, p *producer.Sync, sender int, l load) {
	for sent := 0; sent < l.each; {
		n := min(l.window, l.each-sent)
		ms, msgs := make([]*message, n), make([]*sarama.ProducerMessage, n)
		for i := range n {
			ms[i], msgs[i] = r.next(sender, l.topics[(sent+i)%len(l.topics)], l.edit)
		}
		errs := make([]error, n)
		if batch, ok := errors.AsType[*producer.BatchError](p.SendAll(ctx, msgs)); ok {
			errs = batch.Errs
		}
		for i, m := range ms {
			r.answered(m, errs[i])
		}
		sent += n
	}
}

func (r *rig) runAsync(ctx context.Context, sender int, l load) {
	p, ok := r.p.(*producer.Async)
	if !ok {
		r.t.Errorf("%T is neither a Sync nor an Async", r.p)
		return
	}
	window := make(chan struct{}, l.window)
	for i := range l.each {
		m, msg := r.next(sender, l.topics[i%len(l.topics)], l.edit)
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
			r.answered(m, ctx.Err())
			return
		}
		err := p.SendFunc(ctx, msg, func(context.Context, *sarama.ProducerMessage, error) { <-window })
		if err != nil {
			<-window
		}
		r.answered(m, err)
	}
}

// warm delivers n messages, so that everything is connected and known.
func (r *rig) warm(n int) {
	r.t.Helper()
	r.run(bounded(r.t), load{senders: 1, each: n})
	require.NoError(r.t, r.p.Flush(bounded(r.t)))
	require.Equal(r.t, n, r.delivered())
}

// untilDelivered sends one message after the other until one is delivered.
func (r *rig) untilDelivered(ctx context.Context, topic string) {
	r.t.Helper()
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for before := r.delivered(); r.delivered() == before; {
		_ = r.sendTo(ctx, topic, nil)
		require.NoError(r.t, r.p.Flush(ctx), "it never worked again")
		<-pace.C
	}
}

// snapshot is the history as it is now.
func (r *rig) snapshot() []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	history := make([]message, 0, len(r.history))
	for _, m := range r.history {
		c := *m
		c.Outcomes = slices.Clone(m.Outcomes)
		history = append(history, c)
	}
	return history
}

// failures are the errors of the messages that failed.
func (r *rig) failures() (errs []error) {
	history := r.snapshot()
	for i := range history {
		for _, o := range history[i].Outcomes {
			if o.Err != nil {
				errs = append(errs, o.Err)
			}
		}
	}
	return errs
}

// verify judges the history against the log. It fails the test as void if a
// fault never fired.
func (r *rig) verify(faults ...*kafkatest.Fault) {
	r.t.Helper()
	for i, f := range faults {
		require.Positive(r.t, f.Hits(), "void: fault %d never fired", i)
	}
	history := r.snapshot()
	require.NotEmpty(r.t, history, "void: nothing was sent")
	stored := r.stored(history)
	found := judged(history, stored, rules{Sync: r.sync, Stored: r.acks != sarama.NoResponse, Idempotent: r.idempotent})
	require.Empty(r.t, found)

	s := r.p.Stats()
	require.Zero(r.t, s.InFlight)
	require.Equal(r.t, s.Accepted, s.Delivered+s.Failed)
	accepted := 0
	for i := range history {
		if history[i].Accepted() {
			accepted++
		}
	}
	require.EqualValues(r.t, accepted, s.Accepted)
}

// stored is what the topics of a history hold.
func (r *rig) stored(history []message) []kafkatest.Record {
	r.t.Helper()
	var names []string
	for i := range history {
		names = append(names, history[i].Topic)
	}
	slices.Sort(names)
	var stored []kafkatest.Record
	for _, name := range slices.Compact(names) {
		records, err := r.cluster.Records(bounded(r.t), name)
		if err != nil {
			continue // no such topic: nothing is stored
		}
		stored = append(stored, records...)
	}
	return stored
}

// finish flushes, closes and verifies.
func (r *rig) finish(faults ...*kafkatest.Fault) {
	r.t.Helper()
	require.NoError(r.t, r.p.Flush(bounded(r.t)))
	require.NoError(r.t, r.p.Close(bounded(r.t)))
	r.verify(faults...)
	// All room was given back, once.
	s := r.p.Stats()
	require.Zero(r.t, s.Held)
	require.Zero(r.t, s.Buffered)
	require.Zero(r.t, s.BufferedBytes)
	require.Zero(r.t, s.Waiting)
}

// finishWithoutFailures is finish where nothing may have failed.
func (r *rig) finishWithoutFailures(faults ...*kafkatest.Fault) {
	r.t.Helper()
	r.finish(faults...)
	require.Empty(r.t, r.failures())
	require.Zero(r.t, r.p.Stats().Rejected)
}

// toPartition is an edit for NewManualPartitioner.
func toPartition(p int32) func(*sarama.ProducerMessage) {
	return func(msg *sarama.ProducerMessage) { msg.Partition = p }
}

// took runs f and returns how long it took.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
