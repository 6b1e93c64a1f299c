package batch

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/partition"
	"github.com/saramakit/producer/internal/record"
)

// kafka is a partition whose broker checks sequences as Apache Kafka does: those of
// each producer id by themselves.
type kafka struct {
	producers map[int64]*sequences
	log       []entry
}

type sequences struct {
	epoch       int16
	first, last int32
}

type entry struct {
	id    int64 // of the producer
	value string
}

// values are what is stored.
func (k *kafka) values() (values []string) {
	for _, e := range k.log {
		values = append(values, e.value)
	}
	return values
}

func (k *kafka) append(s sent) sarama.KError {
	end := s.sequence + int32(len(s.values)) - 1 //nolint:gosec // a few
	known := k.producers[s.id]
	switch {
	case s.id < 0 || known == nil:
	case s.epoch == known.epoch && s.sequence == known.first && end == known.last:
		return sarama.ErrDuplicateSequenceNumber
	case s.epoch < known.epoch:
		return sarama.ErrInvalidProducerEpoch
	case s.epoch > known.epoch && s.sequence != 0, s.epoch == known.epoch && s.sequence != known.last+1:
		return sarama.ErrOutOfOrderSequenceNumber
	}
	if k.producers == nil {
		k.producers = make(map[int64]*sequences)
	}
	k.producers[s.id] = &sequences{s.epoch, s.sequence, end}
	for _, value := range s.values {
		k.log = append(k.log, entry{s.id, value})
	}
	return sarama.ErrNoError
}

// story is a random run: of messages, some of which are given up, and of a cluster
// that does all that one may do.
type story struct {
	t          *testing.T
	w          *world
	rnd        *rand.Rand // of the test
	dice       *rand.Rand // of the cluster, which asks for it in any order
	trouble    float64
	idempotent bool
	throttles  bool
	partitions map[int32]*kafka
	messages   map[*record.Record]*told
}

// told is a message, and what is known of it.
type told struct {
	value    string
	attempts int // when it was given up; -1: it was not
	outcomes int
}

const (
	partitionsOfStory = 4
	messagesOfStory   = 300
	largestOfStory    = 12 // messages in a batch
)

func TestRandom_storiesKeepEveryPromise(t *testing.T) {
	t.Parallel()
	stories := 300
	if n, err := strconv.Atoi(os.Getenv("BATCH_STORIES")); err == nil {
		stories = n
	}
	base := rand.Uint64N(1 << 40)
	if seed, err := strconv.ParseUint(os.Getenv("BATCH_SEED"), 10, 64); err == nil {
		base, stories = seed, 1
	}
	for i := range stories {
		seed := base + uint64(i) //nolint:gosec // not negative
		synctest.Test(t, func(t *testing.T) { tell(t, seed) })
	}
}

func tell(t *testing.T, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // not a secret
	s := &story{
		t: t, rnd: rnd, dice: rand.New(rand.NewPCG(seed, 2)), //nolint:gosec // see above
		trouble: rnd.Float64() * 0.6, idempotent: rnd.IntN(4) > 0, throttles: rnd.IntN(3) == 0,
		partitions: make(map[int32]*kafka), messages: make(map[*record.Record]*told),
	}
	prompt, aborts := rnd.IntN(2) == 0, rnd.IntN(4) == 0
	s.w = open(t, func(c *sarama.Config) {
		c.Producer.Idempotent = s.idempotent
		c.Producer.Flush.Frequency = []time.Duration{0, time.Millisecond, 20 * time.Millisecond}[rnd.IntN(3)]
		if rnd.IntN(3) == 0 {
			c.Producer.Flush.MaxMessages = 1 + rnd.IntN(5)
		}
		if prompt {
			c.Producer.Partitioner = partition.New
		}
	}, s.reply)
	s.w.b.cfg.MostRetries = []int{-1, 0, 3}[rnd.IntN(3)]
	if rnd.IntN(5) == 0 {
		s.w.b.ids.now.Epoch = int16(32_756 + rnd.IntN(12)) //nolint:gosec // the epochs will be used up
	}
	for i := range messagesOfStory {
		s.send(fmt.Sprint(i), prompt)
		s.disturb()
	}
	s.w.set(func(w *world) { w.leader, w.refused = true, nil })
	if !aborts && rnd.IntN(3) > 0 {
		s.w.settle(10 * time.Minute)
	}
	if aborts {
		s.w.abort()
	}
	s.w.b.Close()
	s.w.open.Wait()
	s.w.settle(3 * time.Second) // what arrives late has arrived
	s.w.abort()
	s.judge()
	if t.Failed() {
		t.Logf("BATCH_SEED=%d repeats it", seed)
	}
}

// send sends a message, of which some are given up sooner or later.
func (s *story) send(value string, prompt bool) {
	key := ""
	if prompt {
		key = fmt.Sprint("k", s.rnd.IntN(6))
	}
	m := &told{value: value, attempts: -1}
	r := s.w.sendTo("t", s.rnd.Int32N(partitionsOfStory), key, value)
	s.w.set(func(*world) { s.messages[r] = m })
	if s.rnd.IntN(6) == 0 {
		time.AfterFunc(time.Duration(s.rnd.IntN(3000))*time.Millisecond, func() {
			if n, ok := r.Refuse(); ok {
				s.w.set(func(*world) { m.attempts = n })
			}
		})
	}
}

// disturb changes the cluster now and then.
func (s *story) disturb() {
	switch s.rnd.IntN(12) {
	case 0:
		s.w.set(func(w *world) { w.leader = false })
	case 1, 2, 3:
		s.w.set(func(w *world) { w.leader = true })
	case 4:
		s.w.set(func(w *world) { w.refused = io.EOF })
	case 5, 6, 7:
		s.w.set(func(w *world) { w.refused = nil })
	case 8:
		s.w.set(func(w *world) { w.leads = s.rnd.IntN(2) })
	case 9:
		s.w.settle(time.Duration(s.rnd.IntN(200)) * time.Millisecond)
	}
}

// reply is what the cluster does with a batch.
func (s *story) reply(batch sent) reply {
	k := s.partitions[batch.partition]
	if k == nil {
		k = &kafka{}
		s.partitions[batch.partition] = k
	}
	soon := reply{wait: time.Duration(s.dice.IntN(30)) * time.Millisecond}
	if s.throttles && s.dice.IntN(5) == 0 {
		soon.throttle = time.Duration(s.dice.IntN(3000)) * time.Millisecond
	}
	with := func(code sarama.KError) reply { return reply{code: code, wait: soon.wait, throttle: soon.throttle} }
	switch {
	case len(batch.values) > largestOfStory:
		return with(sarama.ErrMessageSizeTooLarge)
	case s.dice.Float64() >= s.trouble:
		return with(k.append(batch))
	}
	switch s.dice.IntN(10) {
	case 0: // it arrives long after its connection was given up
		time.AfterFunc(time.Duration(s.dice.IntN(1000))*time.Millisecond, func() {
			s.w.mu.Lock()
			defer s.w.mu.Unlock()
			_ = k.append(batch)
		})
		return reply{err: io.EOF, wait: soon.wait}
	case 1:
		_ = k.append(batch)
		return reply{err: io.EOF, wait: soon.wait}
	case 2:
		_ = k.append(batch)
		return reply{err: os.ErrDeadlineExceeded, wait: 5 * time.Second}
	case 3:
		return reply{err: os.ErrDeadlineExceeded, wait: 5 * time.Second}
	case 4:
		_ = k.append(batch)
		return with(sarama.ErrRequestTimedOut)
	default:
		codes := []sarama.KError{
			sarama.ErrNotLeaderForPartition, sarama.ErrNotEnoughReplicas, sarama.ErrOutOfOrderSequenceNumber,
			sarama.ErrUnknownProducerID, sarama.ErrInvalidRecord,
		}
		return with(codes[s.dice.IntN(len(codes))])
	}
}

// judge compares what was told with what is stored.
func (s *story) judge() {
	stored, delivered := map[string]int{}, map[string]bool{}
	for _, o := range s.w.outcomes {
		delivered[s.messages[o.Record].value] = o.Err == nil
	}
	for p, k := range s.partitions {
		for _, e := range k.log {
			stored[e.value]++
		}
		if s.idempotent && !k.sorted(delivered) {
			s.t.Errorf("partition %d is out of order: %v", p, k.log)
		}
	}
	latest := map[int32]int{}
	for _, o := range s.w.outcomes {
		m := s.messages[o.Record]
		m.outcomes++
		n := stored[m.value]
		switch {
		case o.Err == nil && n == 0:
			s.t.Errorf("%s was delivered, and is not stored", m.value)
		case m.attempts == 0 && n > 0:
			s.t.Errorf("%s was given up before it was sent, and is stored", m.value)
		case o.Err != nil && o.NotWritten && m.attempts < 0 && n > 0:
			s.t.Errorf("%s is proved not to be written, and is stored: %v", m.value, o.Err)
		case o.Err == ErrNobody && m.attempts < 0: //nolint:errorlint // as it is
			s.t.Errorf("%s was waited for", m.value)
		case s.idempotent && n > 1:
			s.t.Errorf("%s is stored %d times", m.value, n)
		}
		if p := o.Record.Msg.Partition; m.attempts < 0 && o.Record.Placed {
			if number(m.value) < latest[p] {
				s.t.Errorf("partition %d: the outcome of %s came after that of %d", p, m.value, latest[p])
			}
			latest[p] = number(m.value)
		}
	}
	for _, m := range s.messages {
		if m.outcomes != 1 {
			s.t.Errorf("%s has %d outcomes", m.value, m.outcomes)
		}
	}
}

// sorted reports whether all of one identity are in order, and all that were
// delivered. When the epochs of an identity are used up, nothing keeps what is late
// of it, and was given up, from coming after what was sent with the next.
func (k *kafka) sorted(delivered map[string]bool) bool {
	latest, last := map[int64]int{}, -1
	for _, e := range k.log {
		n := number(e.value)
		if before, some := latest[e.id]; some && n < before || delivered[e.value] && n < last {
			return false
		}
		latest[e.id] = n
		if delivered[e.value] {
			last = n
		}
	}
	return true
}

func number(value string) int {
	n, _ := strconv.Atoi(value) // it was made from one
	return n
}
