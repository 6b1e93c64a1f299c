package lane

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/saramakit/producer/internal/budget"
	"github.com/saramakit/producer/internal/record"
)

// Config is what a Set needs. All functions may be called from any goroutine.
type Config struct {
	// Limit is how many records of one topic the transport takes.
	Limit int
	// PerTopic is how many messages of one topic the producer holds, 0: no limit.
	PerTopic int64
	// Submit hands a record to the transport. It does not wait for brokers.
	Submit  func(*record.Record)
	Checker Checker
	// Fail ends records whose topic does not exist, or may not be written to.
	// They have left the queue and were never in the transport.
	Fail func(records []*record.Record, err error)
}

// Set holds the lanes of a producer and the one goroutine that feeds the
// transport from those that have a backlog.
type Set struct {
	cfg   Config
	limit int64
	// low is how few records of a topic must be in the transport for the feeder
	// to be woken at once. Above it the transport has enough to do, and to wake
	// the feeder for each place would cost more than the record: pause is soon
	// enough.
	low   int64
	lanes sync.Map // topic -> *Lane
	// last is the lane that was looked up last: most producers have few.
	last atomic.Pointer[Lane]
	// others has the counts of lanes that were taken out.
	others tally

	stop context.CancelFunc
	ctx  context.Context //nolint:containedctx // ends the checks; it belongs to the set, not to a call
	wg   sync.WaitGroup  // the feeder and the checks

	// asking has a place for each question that is open at the same time:
	// thousands of misspelt topics must not become thousands of requests.
	asking chan struct{}

	mu sync.Mutex // held for a few instructions
	// ready are the lanes that may have something to feed, in turn.
	ready []*Lane
	// stopped says that no check may be started any more.
	stopped bool
	// late are the lanes that become ready after pause.
	late   []*Lane
	signal chan struct{} // holds one signal: ready is not empty
}

// New returns a Set whose feeder runs until Stop.
func New(cfg Config) *Set {
	ctx, stop := context.WithCancel(context.Background())
	s := &Set{
		cfg: cfg, limit: int64(cfg.Limit), low: int64(cfg.Limit - cfg.Limit/8), ctx: ctx, stop: stop,
		signal: make(chan struct{}, 1), asking: make(chan struct{}, mostAsking),
	}
	s.wg.Go(s.feed)
	return s
}

// Use returns the lane of a topic to a sender, who must Leave it once.
func (s *Set) Use(topic string) *Lane {
	if l := s.last.Load(); l != nil && l.topic == topic && l.use() {
		return l
	}
	for {
		if l := s.Find(topic); l != nil && l.use() {
			s.last.Store(l)
			return l
		}
		l := &Lane{set: s, topic: topic, queue: record.Queue{Kind: record.OfLane}}
		if s.cfg.PerTopic > 0 {
			l.room = budget.New(s.cfg.PerTopic, 0)
		}
		// One that was just taken out is replaced in the next round.
		s.lanes.LoadOrStore(topic, l)
	}
}

// Find returns the lane of a topic, nil if there is none.
func (s *Set) Find(topic string) *Lane {
	if l, ok := s.lanes.Load(topic); ok {
		return l.(*Lane) //nolint:errcheck,forcetypeassert // the map holds nothing else
	}
	return nil
}

// Open marks a topic as known: its records need no check.
func (s *Set) Open(topic string) {
	l := s.Use(topic)
	defer l.Leave()
	l.exists()
}

// Live reports whether the transport has a record of the topic whose outcome is
// open.
func (s *Set) Live(topic string) bool {
	l := s.Find(topic)
	return l != nil && l.live() > 0
}

// Suspect makes the next records of a topic wait until the cluster has said
// again that it exists: the transport was told that it does not.
func (s *Set) Suspect(topic string) {
	if l := s.Find(topic); l != nil {
		l.suspect()
	}
}

// Submit sends a record on its way: straight into the transport if the topic is
// known and nobody waits before it, else into the queue. Records that one
// goroutine submits for one topic stay in order. The caller is using the lane.
func (s *Set) Submit(l *Lane, r *record.Record) {
	l.counts.accepted.Add(1)
	if l.pass() {
		s.cfg.Submit(r)
		return
	}
	check, first, ok := l.push(r)
	switch {
	case !ok:
		s.cfg.Fail([]*record.Record{r}, record.ErrRefused)
	case check:
		s.startCheck(l)
	case first && l.open.Load() && l.inside.Load() < s.limit:
		// Whoever was first, or is just feeding, makes the feeder look at those
		// behind too. Without a place it is the next return that wakes the
		// feeder, and without an open topic the end of the check.
		s.wake(l)
	}
}

// wake tells the feeder that a lane may have something to feed.
func (s *Set) wake(l *Lane) {
	if !l.ready.CompareAndSwap(false, true) {
		return
	}
	s.mu.Lock()
	s.ready = append(s.ready, l)
	s.mu.Unlock()
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// pause is how long a place in a nearly full transport may stay empty.
const pause = time.Millisecond

// wakeSoon is wake after pause.
func (s *Set) wakeSoon(l *Lane) {
	if l.soon.Load() || !l.soon.CompareAndSwap(false, true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, l)
	if len(s.late) == 1 {
		time.AfterFunc(pause, s.wakeLate)
	}
}

// wakeLate wakes the feeder for those that were late. Each counts as not late
// before that, so that the next place it gives back is not missed.
func (s *Set) wakeLate() {
	s.mu.Lock()
	late := s.late
	s.late = nil
	s.mu.Unlock()
	for _, l := range late {
		l.soon.Store(false)
		s.wake(l)
	}
}

// turn is how many records of one lane are fed before the next has its turn.
const turn = 64

// feed moves records from the queues into the transport, lane by lane, as long
// as there are places. It is the only goroutine that does.
func (s *Set) feed() {
	chunk := make([]*record.Record, 0, turn)
	for {
		l := s.next()
		if l == nil {
			select {
			case <-s.ctx.Done():
				return
			case <-s.signal:
			}
			continue
		}
		if s.ctx.Err() != nil {
			return
		}
		records := l.pop(chunk)
		for _, r := range records {
			s.cfg.Submit(r)
		}
		l.backlog.Add(-int64(len(records)))
		clear(records) // they may be gone long before the next come
		if len(records) > 0 {
			s.wake(l) // there may be more
		}
	}
}

// next takes the lane whose turn it is. The lane counts as not ready before it
// is looked at, so that what happens while it is fed is not lost.
func (s *Set) next() *Lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return nil
	}
	l := s.ready[0]
	s.ready = s.ready[1:]
	if len(s.ready) == 0 {
		s.ready = nil
	}
	l.ready.Store(false)
	return l
}

// Stop ends the feeder and the checks and waits for them, which is prompt.
// What is queued stays queued, and can be withdrawn.
func (s *Set) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
}
