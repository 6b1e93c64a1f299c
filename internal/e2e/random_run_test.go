package e2e

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

// subject is the producer that a program uses: all calls of both kinds.
type subject interface {
	producer.Producer
	Stats() producer.Stats
	TrySend(ctx context.Context, msg *sarama.ProducerMessage) error
	SendFunc(ctx context.Context, msg *sarama.ProducerMessage, done producer.ResultFunc) error
	SendAll(ctx context.Context, msgs []*sarama.ProducerMessage) error
}

// either is a producer of one kind. It has the calls of the other kind too,
// which are never made.
type either struct {
	async *producer.Async
	sync  *producer.Sync
}

func (p either) subject() subject {
	if p.sync != nil {
		return struct {
			*producer.Sync
			asyncCalls
		}{p.sync, asyncCalls(p)}
	}
	return struct {
		*producer.Async
		syncCalls
	}{p.async, syncCalls(p)}
}

type (
	asyncCalls either
	syncCalls  either
)

func (p asyncCalls) TrySend(ctx context.Context, msg *sarama.ProducerMessage) error {
	return p.async.TrySend(ctx, msg)
}

func (p asyncCalls) SendFunc(ctx context.Context, msg *sarama.ProducerMessage, done producer.ResultFunc) error {
	return p.async.SendFunc(ctx, msg, done)
}

func (p syncCalls) SendAll(ctx context.Context, msgs []*sarama.ProducerMessage) error {
	return p.sync.SendAll(ctx, msgs)
}

// stage is a cluster on which programs run one after the other, each with its
// own topics. All stages are there before the first fault: the port of a broker
// that is stopped must not become that of another cluster.
type stage struct {
	cluster *kafkatest.Cluster
	stalls  *stalls
	shape   sync.Mutex // held by the fault that changes which brokers there are
	runs    int
}

// run is a program while it runs, and what was seen of it.
type run struct {
	*program
	stage   *stage
	scene   *scene
	subject subject
	lent    sarama.Client         // what the producer borrows; nil: nothing
	spoil   func(subject) subject // puts a mistake between program and producer; nil: none
	names   []string              // of the topics, as planned
	watched *observers            // nil: the producer has no hooks
	figures observed
	began   time.Time

	mu       sync.Mutex
	entries  []*entry
	settled  int // the entries before this one are rejected or done
	reported int
	found    []violation
	notes    []string
	seen     map[string]int // states and faults
	late     map[string]time.Duration
	result   error // of the first Close that returned one to a caller outside of callbacks
	closed   bool  // there is such a result
	abandon  time.Time

	begun, accepted, rejected    atomic.Int64 // messages: sends begun, known to be accepted, known not to be
	callsBegun, running          atomic.Int64 // callbacks
	callbackTime                 atomic.Int64
	panics, blocked, outlasting  atomic.Int64
	reentered                    atomic.Int64
	closing, closeBack, cleanEnd atomic.Bool   // a Close has begun, has returned, has returned nil
	over                         chan struct{} // closed when the senders have ended
}

// hung is how long a program may take before it counts as hanging.
const hung = 2 * time.Minute

// perform runs a program and returns what it found out.
func (s *stage) perform(ctx context.Context, p *program, spoil func(subject) subject) *run {
	s.runs++
	r := &run{
		program: p, stage: s, spoil: spoil, began: time.Now(), seen: map[string]int{}, late: map[string]time.Duration{},
		over:  make(chan struct{}),
		scene: &scene{cluster: s.cluster, late: map[string]int{}},
	}
	if err := r.prepare(ctx); err != nil {
		r.violated("setup", "%v", err)
		return r
	}
	defer r.tidy()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.play()
		r.end(ctx)
	}()
	select {
	case <-ended:
		r.verify(ctx)
	case <-time.After(hung):
		r.violated(kindLate, "the program hangs; all goroutines:\n%s", stacks())
	}
	return r
}

// prepare creates the topics and the producer.
func (r *run) prepare(ctx context.Context) error {
	for i, t := range r.topics {
		name := fmt.Sprintf("p%d-%d-%s", r.stage.runs, i, t.kind)
		r.names = append(r.names, name)
		switch t.kind {
		case exists:
			if err := r.stage.cluster.CreateTopic(name, t.partitions); err != nil {
				return err
			}
			r.scene.topics = append(r.scene.topics, name)
		case late:
			r.scene.late[name] = t.partitions
		case missing:
		}
	}
	options := r.config.options()
	if r.config.known {
		options = append(options, producer.WithTopics(r.scene.topics...))
	}
	if r.config.callbacks == toldAll {
		options = append(options,
			producer.WithOnSuccess(func(ctx context.Context, msg *sarama.ProducerMessage) { r.told(ctx, msg, nil, false) }),
			producer.WithOnError(func(ctx context.Context, msg *sarama.ProducerMessage, err error) { r.told(ctx, msg, err, false) }))
	}
	if r.seed%2 == 0 {
		watched, hooks, err := r.observe()
		if err != nil {
			return err
		}
		r.watched, options = watched, append(options, hooks)
	}
	began := time.Now()
	err := r.construct(ctx, options)
	for err != nil && r.stage.stalls.since(began) > 50*time.Millisecond {
		// Its network timeouts are short.
		began = time.Now()
		err = r.construct(ctx, options)
	}
	if err != nil {
		return err
	}
	if r.spoil != nil {
		r.subject = r.spoil(r.subject)
	}
	return nil
}

func (r *run) construct(ctx context.Context, options producer.Options) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	addrs := r.stage.cluster.Addrs()
	var p either
	var err error
	switch {
	case r.config.borrowed:
		if err := r.lend(addrs); err != nil {
			return err
		}
		if r.config.sync {
			p.sync, err = producer.NewSyncFromClient(r.lent, options)
		} else {
			p.async, err = producer.NewAsyncFromClient(r.lent, options)
		}
	case r.config.sync:
		p.sync, err = producer.NewSync(ctx, addrs, options)
	default:
		p.async, err = producer.NewAsync(ctx, addrs, options)
	}
	r.subject, r.figures = p.subject(), p.async
	if p.sync != nil {
		r.figures = p.sync
	}
	return err
}

// lend makes the client that the producer borrows.
func (r *run) lend(addrs []string) (err error) {
	if r.lent != nil {
		_ = r.lent.Close() // of an attempt that the machine was too slow for
	}
	conf := sarama.NewConfig()
	conf.Net.DialTimeout, conf.Net.ReadTimeout, conf.Net.WriteTimeout = r.config.network, r.config.network, r.config.network
	conf.Metadata.Retry.Max, conf.Metadata.Retry.Backoff = 1, 10*time.Millisecond
	r.lent, err = sarama.NewClient(addrs, conf)
	return err
}

// play runs the senders and the faults.
func (r *run) play() {
	var faults, senders sync.WaitGroup
	for _, line := range r.faults {
		faults.Go(func() { r.disturb(line) })
	}
	watching := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { r.watch(watching) })
	for i, steps := range r.senders {
		c := r.caller(i, seeded(r.seed, uint64(i)+1))
		senders.Go(func() { c.play(steps) })
	}
	senders.Wait()
	close(r.over)
	faults.Wait()
	close(watching)
	watcher.Wait()
}

// tidy drops what a program leaves in the cluster.
func (r *run) tidy() {
	if r.lent != nil {
		if r.lent.Closed() {
			r.violated("setup", "the borrowed client was closed")
		} else if err := r.lent.Close(); err != nil {
			r.violated("setup", "the borrowed client: %v", err)
		}
	}
	for _, name := range r.names {
		_ = r.stage.cluster.DeleteTopic(name) // some were never there
	}
}

// stacks are those of all goroutines.
func stacks() []byte {
	all := make([]byte, 1<<20)
	return all[:runtime.Stack(all, true)]
}

// pause waits, where a program has time to pass.
func pause(d time.Duration) { <-time.After(d) }

func (r *run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.notes) < 1000 {
		r.notes = append(r.notes, fmt.Sprintf("%7v ", time.Since(r.began).Round(100*time.Microsecond))+fmt.Sprintf(format, args...))
	}
}

// see counts that a state was reached.
func (r *run) see(state string, n int) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[state] += n
}

func (r *run) violated(kind, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	same := 0
	for _, v := range r.found {
		if v.Kind == kind {
			same++
		}
	}
	if same < judge.Most {
		r.found = append(r.found, violation{Kind: kind, Text: fmt.Sprintf(format, args...)})
	}
}

// onTime checks the bound of a call that ends now.
func (r *run) onTime(call string, began time.Time, bound time.Duration) {
	r.within(call, began, time.Since(began), bound)
}

// leeway is what every call may take beyond its bound, and what the machine stood
// still meanwhile.
const leeway = 250 * time.Millisecond

// within checks a bound, and keeps by how much a kind of call was late at most.
func (r *run) within(call string, began time.Time, took, bound time.Duration) {
	over := took - bound
	if over > leeway {
		over -= r.stage.stalls.since(began)
	}
	r.mu.Lock()
	r.late[call] = max(r.late[call], over)
	r.mu.Unlock()
	if over > leeway {
		r.violated(kindLate, "%s came %v after its bound, which is %v", call, over, bound)
	}
}

// kindLate is a violation of a bound.
const kindLate = "O6 late"
