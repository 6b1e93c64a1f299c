package transport

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// The tests of this file and of sarama_results_test.go are about sarama alone.
// They pin what this package relies on, so that a new version of sarama which
// changes it is noticed here, by name, and not in an outage.

// few is a client that has no more methods than cluster: any other one panics.
type few struct {
	sarama.Client
	conf   *sarama.Config
	leader func() (*sarama.Broker, error)
	find   func() ([]int32, error)

	mu    sync.Mutex
	asked map[string]int
}

func (f *few) note(method string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[method]++
}

func (f *few) times(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[method]
}

func (f *few) Config() *sarama.Config { return f.conf }
func (*few) Closed() bool             { return false }
func (*few) Close() error             { return nil }

func (f *few) Partitions(string) ([]int32, error) { f.note("Partitions"); return f.find() }
func (f *few) WritablePartitions(string) ([]int32, error) {
	f.note("WritablePartitions")
	return f.find()
}

func (f *few) RefreshMetadata(...string) error { f.note("RefreshMetadata"); return nil }

func (f *few) Leader(string, int32) (*sarama.Broker, error) {
	f.note("Leader")
	return f.leader()
}

func (f *few) LeastLoadedBroker() *sarama.Broker {
	f.note("LeastLoadedBroker")
	b, _ := f.leader() // the test has seen to it that there is one
	return b
}

// bareSarama is sarama's producer over one broker, whose answers to produce
// requests are scripted.
type bareSarama struct {
	sarama.AsyncProducer
	*few
	t      *testing.T
	broker *sarama.MockBroker
}

// newBareSarama starts it. With no answers there is no broker.
func newBareSarama(t *testing.T, change func(*sarama.Config), answers ...any) *bareSarama {
	t.Helper()
	return newBareSaramaAt(t, 0, change, answers...)
}

// newBareSaramaAt is newBareSarama with the epoch that an idempotent producer
// begins with.
func newBareSaramaAt(t *testing.T, epoch int, change func(*sarama.Config), answers ...any) *bareSarama {
	t.Helper()
	conf := sarama.NewConfig()
	conf.ApiVersionsRequest = false
	conf.Producer.Return.Successes = true
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Producer.Retry.Backoff = 0
	if change != nil {
		change(conf)
	}
	s := &bareSarama{t: t, few: &few{
		conf: conf, asked: map[string]int{},
		leader: func() (*sarama.Broker, error) { return nil, sarama.ErrLeaderNotAvailable },
	}}
	s.find = func() (all []int32, err error) {
		for p := range int32(100) {
			all = append(all, p)
		}
		return all, nil
	}
	if len(answers) > 0 {
		s.connect(epoch, answers)
	}
	p, err := sarama.NewAsyncProducerFromClient(s.few)
	require.NoError(t, err)
	s.AsyncProducer = p
	return s
}

func (s *bareSarama) connect(epoch int, answers []any) {
	s.t.Helper()
	s.broker = sarama.NewMockBroker(s.t, 1)
	s.t.Cleanup(s.broker.Close)
	s.broker.SetHandlerByMap(map[string]sarama.MockResponse{
		"ProduceRequest": sarama.NewMockSequence(answers...),
		"InitProducerIDRequest": sarama.NewMockSequence(
			sarama.NewMockInitProducerIDResponse(s.t).SetProducerID(1).SetProducerEpoch(epoch),
			sarama.NewMockInitProducerIDResponse(s.t).SetProducerID(2)),
	})
	b := sarama.NewBroker(s.broker.Addr())
	require.NoError(s.t, b.Open(s.conf))
	s.leader = func() (*sarama.Broker, error) { return b, nil }
	s.t.Cleanup(func() { _ = b.Close() }) // sarama's producer may have closed it
}

// idempotent is a change for newBareSarama.
func idempotent(c *sarama.Config) {
	c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
}

// answer is what the broker says to one produce request, for partition 0 of the
// topic.
func answer(t *testing.T, code sarama.KError) *sarama.MockProduceResponse {
	t.Helper()
	return sarama.NewMockProduceResponse(t).SetError("t", 0, code)
}

// send gives sarama a message with a name, for partition 0.
func (s *bareSarama) send(name string) *sarama.ProducerMessage { return s.sendTo(0, name) }

func (s *bareSarama) sendTo(partition int32, name string) *sarama.ProducerMessage {
	msg := &sarama.ProducerMessage{
		Topic: "t", Partition: partition, Value: sarama.StringEncoder(name), Metadata: name, Offset: -1,
	}
	s.Input() <- msg
	return msg
}

// result is what sarama says next, on whichever channel.
func (s *bareSarama) result() (name string, err error) {
	s.t.Helper()
	var msg *sarama.ProducerMessage
	select {
	case msg = <-s.Successes():
	case failure := <-s.Errors():
		msg, err = failure.Msg, failure.Err
	case <-time.After(10 * time.Second):
		require.Fail(s.t, "no result")
	}
	name, ok := msg.Metadata.(string)
	require.True(s.t, ok, "a message that nobody has sent: %+v", msg)
	return name, err
}

// delivers expects that a message comes back delivered.
func (s *bareSarama) delivers(name string) {
	s.t.Helper()
	got, err := s.result()
	require.NoError(s.t, err, got)
	require.Equal(s.t, name, got)
}

// fails expects that a message comes back failed, with that error itself.
func (s *bareSarama) fails(name string, want error) {
	s.t.Helper()
	got, err := s.result()
	require.Equal(s.t, want, err, got)
	require.Equal(s.t, name, got)
}

// end closes sarama's producer and returns the failures that come of it.
func (s *bareSarama) end() (errs []error) {
	s.t.Helper()
	s.AsyncClose()
	return s.rest()
}

// rest reads both channels until they are closed, and returns the failures.
func (s *bareSarama) rest() (errs []error) {
	s.t.Helper()
	for successes, failures := s.Successes(), s.Errors(); successes != nil || failures != nil; {
		select {
		case _, ok := <-successes:
			if !ok {
				successes = nil
			}
		case failure, ok := <-failures:
			if !ok {
				failures = nil
				continue
			}
			errs = append(errs, failure.Err)
		case <-time.After(10 * time.Second):
			require.Fail(s.t, "it does not end")
		}
	}
	return errs
}

// requests is how many requests of a kind the broker has got.
func (s *bareSarama) requests(kind string) (n int) {
	for _, h := range s.broker.History() {
		if fmt.Sprintf("%T", h.Request) == "*sarama."+kind {
			n++
		}
	}
	return n
}

// counting is an Encoder that counts how often it is asked.
type counting struct {
	mu  sync.Mutex
	n   int
	err error
}

func (c *counting) Encode() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return []byte("v"), c.err
}

func (*counting) Length() int { return 1 }

func (c *counting) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

var errTest = errors.New("the test's error")
