package kafkatest

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kind says what a fault does; a fault can do more than one of these.
type kind uint8

const (
	freeze kind = 1 << iota
	ignore
	drop
	failBefore
	failAfter
	lose
	metadata
)

// Error codes of the Kafka protocol that this package answers on its own.
const (
	unknownTopic       int16 = 3
	leaderNotAvailable int16 = 5
)

// minHeader is the size of the shortest request header: key, version,
// correlation id and the length of the client id.
const minHeader = 10

// wire decides what happens to the requests and answers that pass between
// clients and brokers. Doing this to the bytes on the connection, and not
// inside kfake, allows what a broker would never do (answer something else than
// what it did), keeps faults alive through an outage, and leaves the back door
// of Records untouched.
type wire struct {
	produced atomic.Int64
	done     chan struct{} // closed with the cluster

	// busy is whether faults or stopped is not empty. It keeps the path of
	// requests short when there is nothing to do.
	busy atomic.Bool

	mu      sync.Mutex
	faults  []*Fault // in the order in which they were made
	stopped map[int32]bool
}

func newWire() *wire {
	return &wire{done: make(chan struct{}), stopped: make(map[int32]bool)}
}

// mark is kept for a request whose answer is to be looked at.
type mark struct {
	correlation int32
	version     int16
	meta        bool // metadata, as opposed to produce
	allTopics   bool
	failed      map[partitionID]int16 // withheld from the broker, with the code to answer
	hits        []*Fault              // those of failed
}

// action is what becomes of a request. Only one of drop, ignore and rewritten
// is set; if none is, the request goes to the broker as it is.
type action struct {
	drop      bool // close the connection
	ignore    bool // and everything after it on the connection
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

// take uses up one of a fault's times, and reports whether it had one left.
// Callers hold mu, and prune when they have gone through the faults.
func (f *Fault) take() bool {
	if f.left > 0 {
		f.left--
		return true
	}
	return f.left < 0
}

// frozen reports whether a broker is kept from answering.
func (w *wire) frozen(broker int32) bool {
	if !w.busy.Load() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.faults, func(f *Fault) bool {
		return f.kinds&freeze != 0 && f.onBroker(broker)
	})
}

// request decides what becomes of a request, given with its length in front.
func (w *wire) request(broker int32, frame []byte) action {
	header := kbin.Reader{Src: frame[4:]}
	key, version, correlation := header.Int16(), header.Int16(), header.Int32()
	if key == int16(kmsg.Produce) {
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
	header.NullableString() // the client id
	m := &mark{correlation: correlation, version: version}
	switch kmsg.Key(key) {
	case kmsg.Metadata:
		return w.metadataRequest(m, &header)
	case kmsg.Produce:
		return w.produceRequest(broker, m, frame, &header)
	default:
		return action{}
	}
}

// body decodes what follows the client id of a request. A request that cannot
// be decoded is left to the broker, which knows what to do with it.
func body(req kmsg.Request, version int16, rest *kbin.Reader) bool {
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(rest)
	}
	return rest.Complete() == nil && req.ReadFrom(rest.Src) == nil
}

// metadataRequest has the answer to a request for metadata looked at.
func (w *wire) metadataRequest(m *mark, rest *kbin.Reader) action {
	m.meta = true
	req := kmsg.NewPtrMetadataRequest()
	if !body(req, m.version, rest) {
		return action{}
	}
	m.allTopics = req.Topics == nil || m.version == 0 && len(req.Topics) == 0
	return action{mark: m}
}

// produceRequest applies what happens to a produce request before it reaches
// the broker.
func (w *wire) produceRequest(broker int32, m *mark, frame []byte, rest *kbin.Reader) action {
	const relevant = ignore | drop | failBefore | failAfter | lose
	if !slices.ContainsFunc(w.faults, func(f *Fault) bool { return f.kinds&relevant != 0 && f.onBroker(broker) }) {
		return action{}
	}
	req := kmsg.NewPtrProduceRequest()
	if !body(req, m.version, rest) {
		return action{}
	}

	for _, f := range w.faults {
		if f.kinds&(ignore|drop) == 0 || !f.onBroker(broker) || !f.inRequest(req) || !f.take() {
			continue
		}
		f.hit()
		return action{drop: f.kinds&drop != 0, ignore: f.kinds&ignore != 0}
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
		header := frame[:len(frame)-len(rest.Src)]
		act.rewritten = req.AppendTo(slices.Clone(header))
		setSize(act.rewritten)
	}
	return act
}

// inRequest reports whether a partition of the request matches.
func (f *Fault) inRequest(req *kmsg.ProduceRequest) bool {
	for _, topic := range req.Topics {
		for _, p := range topic.Partitions {
			if f.matches(topic.Topic, p.Partition) {
				return true
			}
		}
	}
	return false
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

// setSize writes the length of a frame into its front.
func setSize(frame []byte) {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
}
