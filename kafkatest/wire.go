package kafkatest

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kind says what a fault does; a fault can do more than one of these.
type kind uint32

const (
	freeze kind = 1 << iota
	ignore
	drop
	failBefore
	failAfter
	lose
	throttle
	metadata
	clusterID

	// What the network does, see network.go.
	unplug
	idle
	cutBefore
	waitBefore
	cutAfter
	waitAfter
	trickle
	garble
)

// onAnswers are the kinds that look at the answers to requests of every kind.
const onAnswers = cutAfter | waitAfter | trickle | garble

// Error codes of the Kafka protocol that this package answers on its own.
const (
	unknownTopic       int16 = 3
	leaderNotAvailable int16 = 5
)

// wire decides what happens to the requests and answers that pass between
// clients and brokers. Doing this to the bytes on the connection, and not
// inside kfake, allows what a broker would never do (answer something else than
// what it did), keeps faults alive through an outage, and leaves the back door
// of Records untouched.
type wire struct {
	produced atomic.Int64
	done     chan struct{} // closed with the cluster
	started  time.Time     // what now counts from

	// busy is whether faults or stopped is not empty. It keeps the path of
	// requests short when there is nothing to do.
	busy atomic.Bool

	mu      sync.Mutex
	faults  []*Fault // in the order in which they were made
	stopped map[int32]bool
}

func newWire() *wire {
	return &wire{done: make(chan struct{}), started: time.Now(), stopped: make(map[int32]bool)}
}

// mark is kept for a request whose answer is to be looked at.
type mark struct {
	key, version int16
	correlation  int32
	partitions   []partitionID         // of a produce request
	allTopics    bool                  // of a metadata request
	failed       map[partitionID]int16 // withheld from the broker, with the code to answer
	hits         []*Fault              // those of failed
}

func (r *request) mark() *mark {
	return &mark{key: r.key, version: r.version, correlation: r.correlation, partitions: r.partitions()}
}

// action is what becomes of a request. Only one of drop, ignore and rewritten
// is set; if none is, the request goes to the broker as it is.
type action struct {
	drop      *Fault // close the connection
	ignore    bool   // and everything after it on the connection
	rewritten []byte
	mark      *mark
}

func (w *wire) setStopped(id int32, stopped bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if stopped {
		w.stopped[id] = true
	} else {
		delete(w.stopped, id)
	}
	w.prune()
}

// prune removes faults that are over. Callers hold mu.
func (w *wire) prune() {
	w.faults = slices.DeleteFunc(w.faults, func(f *Fault) bool { return f.left == 0 })
	w.busy.Store(len(w.faults) > 0 || len(w.stopped) > 0)
}

// now is a clock that only goes forward.
func (w *wire) now() int64 {
	return int64(time.Since(w.started))
}

// hit counts something that was taken before.
func (w *wire) hit(f *Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.hit()
}

// any reports whether a broker has a fault of one of the kinds. Callers hold mu.
func (w *wire) any(kinds kind, broker int32) bool {
	return slices.ContainsFunc(w.faults, func(f *Fault) bool {
		return f.kinds&kinds != 0 && f.onBroker(broker)
	})
}

// frozen reports whether a broker is kept from answering.
func (w *wire) frozen(broker int32) bool {
	if !w.busy.Load() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.any(freeze, broker)
}

// request decides what becomes of a request that has reached its broker, given
// with its length in front.
func (w *wire) request(broker int32, frame []byte) action {
	if kmsg.Key(binary.BigEndian.Uint16(frame[sizeBytes:])) == kmsg.Produce {
		w.produced.Add(1)
	}
	if !w.busy.Load() {
		return action{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.prune()
	for _, f := range w.faults {
		if f.kinds&freeze != 0 && f.onBroker(broker) && f.take() {
			f.hit()
			return action{ignore: true}
		}
	}
	r := newRequest(frame)
	switch kmsg.Key(r.key) {
	case kmsg.Metadata:
		return metadataRequest(r)
	case kmsg.Produce:
		return w.produceRequest(broker, r)
	default:
		if w.any(onAnswers, broker) {
			return action{mark: r.mark()}
		}
		return action{}
	}
}

// metadataRequest has the answer to a request for metadata looked at.
func metadataRequest(r *request) action {
	req := kmsg.NewPtrMetadataRequest()
	if !r.body(req) {
		return action{}
	}
	m := r.mark()
	m.allTopics = req.Topics == nil || r.version == 0 && len(req.Topics) == 0
	return action{mark: m}
}

// produceRequest applies what happens to a produce request before it reaches
// the log.
func (w *wire) produceRequest(broker int32, r *request) action {
	if !w.any(ignore|drop|failBefore|failAfter|lose|throttle|onAnswers, broker) {
		return action{}
	}
	req := r.produce()
	if req == nil {
		return action{}
	}

	m := r.mark()
	for _, f := range w.faults {
		if f.kinds&(ignore|drop) == 0 || !f.onBroker(broker) || !f.matchesAny(m.partitions) || !f.take() {
			continue
		}
		f.hit()
		if f.kinds&drop != 0 {
			return action{drop: f}
		}
		return action{ignore: true}
	}

	m.failed = make(map[partitionID]int16)
	for _, f := range w.faults {
		if f.kinds&failBefore != 0 && f.onBroker(broker) {
			f.withhold(req, m)
		}
	}
	var act action
	if req.Acks != 0 {
		act.mark = m
	} else {
		// No answer will come to count them by.
		for _, f := range m.hits {
			f.hit()
		}
	}
	if len(m.failed) > 0 {
		act.rewritten = r.encode(req)
	}
	return act
}

// withhold takes the records of matching partitions out of the request. A
// broker refuses a partition without records before it looks at sequence
// numbers; the code that it answers is replaced in the answer.
func (f *Fault) withhold(req *kmsg.ProduceRequest, m *mark) {
	taken := false
	for i := range req.Topics {
		topic := &req.Topics[i]
		for j := range topic.Partitions {
			part := &topic.Partitions[j]
			id := partitionID{topic.Topic, part.Partition}
			if _, claimed := m.failed[id]; claimed || !f.matches(id.topic, id.partition) {
				continue
			}
			if !taken {
				if !f.take() {
					return
				}
				taken = true
				m.hits = append(m.hits, f)
			}
			part.Records = nil
			m.failed[id] = f.code
		}
	}
}
