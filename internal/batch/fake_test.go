package batch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// sent is a batch as a broker got it.
type sent struct {
	at        time.Time
	partition int32
	values    []string
	id        int64
	epoch     int16
	sequence  int32
}

// reply is what a broker does with a batch.
type reply struct {
	code sarama.KError
	err  error         // in place of an answer
	wait time.Duration // until the answer comes
	hang bool          // until the connection is closed
	// throttle is for how long the broker wants to be left alone.
	throttle time.Duration
	// unsent is why the request cannot be written.
	unsent error
}

// world is a cluster of one leader that does as it is told.
type world struct {
	t *testing.T

	mu      sync.Mutex
	topics  map[string]int // partitions; none: the topic is unknown
	leader  bool
	leads   int // which broker does; they are all the same
	reply   func(sent) reply
	refused error // why there is no connection
	version int64
	requests,
	asked, identities, closed int
	onLeader func() // called with mu held
	sent     []sent
	offsets  map[int32]int64
	hanging  []func()
	open     sync.WaitGroup

	home     record.Home
	outcomes []Outcome
	abort    context.CancelFunc
	b        *Batcher
}

// open starts a batcher in a world with a topic "t" of four partitions. Messages
// go where they say.
func open(t *testing.T, change func(*sarama.Config), reply func(sent) reply) *world {
	t.Helper()
	w := &world{t: t, topics: map[string]int{"t": 4}, leader: true, reply: reply, offsets: map[int32]int64{}}
	conf := sarama.NewConfig()
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Producer.RequiredAcks = sarama.WaitForAll
	conf.Producer.Idempotent = true
	conf.Producer.Retry.Max = MostRetriesOfTest
	if change != nil {
		change(conf)
	}
	ctx, abort := context.WithCancel(t.Context())
	w.abort = abort
	b, err := New(t.Context(), &Config{
		Aborted: ctx, Sarama: conf, Cluster: w, Sink: w.sink,
		Suspect: func(string) {}, Identify: w.identify,
		RetryWait:   func(n int) time.Duration { return time.Duration(n) * 100 * time.Millisecond },
		AskWait:     func(int) time.Duration { return 50 * time.Millisecond },
		MostRetries: conf.Producer.Retry.Max, UnknownTopic: time.Second,
		Final: func(err error) bool { return err == sarama.ErrTopicAuthorizationFailed }, //nolint:errorlint // as it is
	})
	require.NoError(t, err)
	w.b = b
	return w
}

// MostRetriesOfTest is as many as a test may need.
const MostRetriesOfTest = 20

// close ends the batcher, which must have no goroutine left: else the bubble of
// the test says so.
func (w *world) close() {
	w.b.Close()
	w.open.Wait()
	w.abort()
}

func (w *world) identify(context.Context) (Identity, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.identities++
	return Identity{ID: int64(w.identities), Epoch: 0}, nil
}

func (w *world) sink(outcomes []Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range outcomes {
		o.Record.Settle()
	}
	w.outcomes = append(w.outcomes, outcomes...)
}

func (w *world) Version() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.version
}

func (w *world) Topic(name string) (all, writable []int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.topics[name] {
		all = append(all, int32(id))
	}
	if w.leader {
		writable = all
	}
	return all, writable
}

func (w *world) Leader(string, int32) (Broker, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.onLeader != nil {
		w.onLeader()
	}
	if !w.leader {
		return nil, sarama.ErrLeaderNotAvailable
	}
	return broker{w, w.leads}, nil
}

func (w *world) Ask(_ context.Context, topic string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	switch {
	case w.topics[topic] == 0:
		return sarama.ErrUnknownTopicOrPartition
	case !w.leader:
		return sarama.ErrLeaderNotAvailable
	}
	return nil
}

// set changes the world.
func (w *world) set(change func(w *world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
	w.version++
}

// broker is one of the world.
type broker struct {
	w  *world
	id int
}

func (b broker) Connect() error {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	return b.w.refused
}

func (b broker) Produce(batches []*Batch, answer func(*sarama.ProduceResponse, error)) error {
	w := b.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	response := &sarama.ProduceResponse{Version: 3}
	var (
		gots    []sent
		replies []reply
		slowest reply
	)
	for _, batch := range batches {
		got := sent{
			at: time.Now(), partition: batch.Partition,
			id: batch.Wire.ProducerID, epoch: batch.Wire.ProducerEpoch, sequence: batch.Wire.FirstSequence,
		}
		for i, r := range batch.Wire.Records {
			require.EqualValues(w.t, i, r.OffsetDelta)
			got.values = append(got.values, string(r.Value))
		}
		gots, replies = append(gots, got), append(replies, w.reply(got))
		if unsent := replies[len(replies)-1].unsent; unsent != nil {
			return unsent
		}
	}
	for i, batch := range batches {
		got, does := gots[i], replies[i]
		w.sent = append(w.sent, got)
		slowest.wait = max(slowest.wait, does.wait)
		slowest.hang = slowest.hang || does.hang
		response.ThrottleTime = max(response.ThrottleTime, does.throttle)
		if does.err != nil {
			slowest.err = does.err
		}
		response.AddTopicPartition(batch.Topic, batch.Partition, does.code)
		block := response.GetBlock(batch.Topic, batch.Partition)
		block.Timestamp, block.Offset = time.Time{}, -1
		if does.code == sarama.ErrNoError && does.err == nil {
			block.Offset = w.offsets[batch.Partition]
			w.offsets[batch.Partition] += int64(len(got.values))
		}
	}
	if w.b.cfg.Sarama.Producer.RequiredAcks == sarama.NoResponse {
		return slowest.err
	}
	give := func() {
		if slowest.err != nil {
			answer(nil, slowest.err)
		} else {
			answer(response, nil)
		}
	}
	if slowest.hang {
		w.hanging = append(w.hanging, func() { answer(nil, sarama.ErrClosedClient) })
		return nil
	}
	w.open.Go(func() {
		<-time.After(slowest.wait)
		give()
	})
	return nil
}

func (b broker) Close() {
	b.w.mu.Lock()
	hanging := b.w.hanging
	b.w.hanging = nil
	b.w.closed++
	b.w.mu.Unlock()
	for _, end := range hanging {
		end()
	}
}

// send submits messages to a partition, and returns their records.
func (w *world) send(partition int32, values ...string) (records []*record.Record) {
	w.t.Helper()
	for _, v := range values {
		records = append(records, w.sendTo("t", partition, "", v))
	}
	return records
}

// sendKeyed submits a message with a key.
func (w *world) sendKeyed(value string) {
	w.t.Helper()
	w.sendTo("t", 0, "key", value)
}

func (w *world) sendTo(topic string, partition int32, key, value string) *record.Record {
	w.t.Helper()
	msg := &sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.StringEncoder(value)}
	if key != "" {
		msg.Key = sarama.StringEncoder(key)
	}
	cp, err := record.New(w.t.Context(), msg, &w.home)
	require.NoError(w.t, err)
	w.b.Submit(cp.Record)
	return cp.Record
}

// settle waits until nothing happens any more, or for that long.
func (w *world) settle(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the one place where tests sleep, in virtual time
	synctest.Wait()
}

// results are the outcomes of a partition: the offset, or the error and whether
// it is proved that nothing was written.
func (w *world) results(partition int32) (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.outcomes {
		if o.Record.Msg.Partition != partition {
			continue
		}
		if o.Err == nil {
			all = append(all, fmt.Sprint(o.Record.Msg.Offset))
		} else {
			all = append(all, fmt.Sprintf("%v %t", o.Err, o.NotWritten))
		}
	}
	return all
}

func (w *world) got() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

// stores is the reply of a broker in order.
func stores(sent) reply { return reply{wait: time.Millisecond} }

// scripted are the replies to the first batches, then the broker is in order.
func scripted(replies ...reply) func(sent) reply {
	return func(s sent) reply {
		if len(replies) == 0 {
			return stores(s)
		}
		next := replies[0]
		replies = replies[1:]
		return next
	}
}

// overtaken is the reply of a broker to batches of the first epoch, which partition 0
// ends while that of another partition is on its way.
func overtaken(s sent) reply {
	switch {
	case s.partition == 0 && s.epoch == 0:
		return reply{code: sarama.ErrUnknown, wait: 10 * time.Millisecond}
	case s.epoch == 0:
		return reply{code: sarama.ErrInvalidProducerEpoch, wait: time.Second}
	}
	return stores(s)
}
