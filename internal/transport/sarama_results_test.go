package transport

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// drain has to read always, and Submit waits for the dispatcher.
func TestSarama_itsChannelsHoldNothing(t *testing.T) {
	t.Parallel()
	s := newBareSarama(t, nil)
	require.Zero(t, cap(s.Input()))
	require.Zero(t, cap(s.Successes()))
	require.Zero(t, cap(s.Errors()))
	s.end()
}

// One drain for both channels gives the callbacks of a partition their order.
func TestSarama_aFailureIsHandedOverBeforeTheSuccessThatFollowsIt(t *testing.T) {
	t.Parallel()
	const rounds = 20
	var answers []any
	for range rounds {
		answers = append(answers, answer(t, sarama.ErrMessageSizeTooLarge), answer(t, sarama.ErrNoError))
	}
	s := newBareSarama(t, func(c *sarama.Config) { c.Producer.Flush.MaxMessages = 1 }, answers...)
	for i := range rounds {
		first, second := fmt.Sprint("fails ", i), fmt.Sprint("follows ", i)
		s.send(first)
		s.send(second)
		s.fails(first, sarama.ErrMessageSizeTooLarge)
		s.delivers(second)
	}
	require.Empty(t, s.end())
}

// "Never asked" proves that nothing was written, and an Encoder that refuses is
// how a message is kept from being sent.
func TestSarama_asksTheEncoderOfTheValueForTheBatchOnly(t *testing.T) {
	t.Parallel()
	s := newBareSarama(t, nil, answer(t, sarama.ErrNoError))
	good, bad := &counting{}, &counting{err: errTest}
	s.Input() <- &sarama.ProducerMessage{Topic: "t", Value: bad, Metadata: "bad"}
	s.Input() <- &sarama.ProducerMessage{Topic: "t", Value: good, Metadata: "good"}
	s.fails("bad", errTest)
	s.delivers("good")
	require.Equal(t, 1, good.asked())
	require.Equal(t, 1, bad.asked())

	unplaced := &counting{} // without a partition there is no batch
	s.find = func() ([]int32, error) { return nil, errTest }
	s.Input() <- &sarama.ProducerMessage{Topic: "u", Value: unplaced, Metadata: "unplaced"}
	s.fails("unplaced", errTest)
	require.Zero(t, unplaced.asked())
	require.Empty(t, s.end())
}

// A batch of an idempotent producer is sent again as it is, without the Encoder.
// What shows it is the backoff function, which is asked before each re-send with
// 1 or more; so "not asked since" proves that the attempt is the first.
func TestSarama_asksForTheBackoffBeforeEachResend(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sarama.Config){"plain": func(*sarama.Config) {}, "idempotent": idempotent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *bareSarama
			var mu sync.Mutex
			var asked, sent []int
			s = newBareSarama(t, func(c *sarama.Config) {
				change(c)
				c.Producer.Retry.BackoffFunc = func(retries, most int) time.Duration {
					mu.Lock()
					defer mu.Unlock()
					asked, sent = append(asked, retries), append(sent, s.requests("ProduceRequest"))
					require.Equal(t, 3, most)
					return 0
				}
			}, answer(t, sarama.ErrNotEnoughReplicas), answer(t, sarama.ErrKafkaStorageError), answer(t, sarama.ErrNoError))
			value := &counting{}
			s.Input() <- &sarama.ProducerMessage{Topic: "t", Value: value, Metadata: "m"}
			s.delivers("m")
			mu.Lock()
			require.Equal(t, []int{1, 2}, asked)
			require.Equal(t, []int{1, 2}, sent, "requests before each backoff")
			mu.Unlock()
			if name == "idempotent" {
				require.Equal(t, 1, value.asked(), "the batch is sent again as it is")
			} else {
				require.Equal(t, 3, value.asked())
			}
			require.Empty(t, s.end())
		})
	}
}

// Leader is where the waiting has to be done: one look-up that fails is the end
// of a message that was never sent, and sarama asks for a backoff with 0 after
// it, for each such message.
func TestSarama_oneFailedLookUpIsTheEndOfAMessage(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var backoffs []int
	s := newBareSarama(t, func(c *sarama.Config) {
		c.Producer.Retry.Max = 100
		c.Producer.Retry.BackoffFunc = func(retries, _ int) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			backoffs = append(backoffs, retries)
			return 0
		}
	})
	s.leader = func() (*sarama.Broker, error) { return nil, errTest }
	value := &counting{}
	for _, name := range []string{"a", "b"} {
		s.Input() <- &sarama.ProducerMessage{Topic: "t", Value: value, Metadata: name}
		s.fails(name, errTest)
	}
	require.Zero(t, value.asked())
	require.Equal(t, 3, s.times("Leader"), "once when the partition is new, then once for each message")
	require.Equal(t, 2, s.times("RefreshMetadata"), "before each, which must not fail: it would be the end too")
	require.Empty(t, s.end())
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []int{0, 0}, backoffs)
}

// It comes from a module that this one does not require.
func TestSarama_anOpenBreakerIsKnownByItsText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, spoil := range map[string]func(s *bareSarama){
			"of a topic":     func(s *bareSarama) { s.find = func() ([]int32, error) { return nil, errTest } },
			"of a partition": func(s *bareSarama) { s.leader = func() (*sarama.Broker, error) { return nil, errTest } },
		} {
			s := newBareSarama(t, nil)
			spoil(s)
			for range 3 {
				s.send("m")
				s.fails("m", errTest)
			}
			s.send("m")
			_, err := s.result()
			require.EqualError(t, err, breakerText, name)
			<-time.After(10*time.Second + time.Nanosecond)
			s.send("m")
			s.fails("m", errTest) // it tries again
			<-time.After(10 * time.Second)
			s.end()
		}
	})
}

// Offset -1 is what we put there, and it stays where the broker does not tell
// one. Sarama itself would leave a plausible 0.
func TestSarama_leavesTheOffsetAloneThatItIsNotTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*sarama.Config)
		code   sarama.KError
	}{
		"duplicate": {nil, sarama.ErrDuplicateSequenceNumber},
		"acks=0":    {func(c *sarama.Config) { c.Producer.RequiredAcks = sarama.NoResponse }, sarama.ErrNoError},
		"failure":   {nil, sarama.ErrMessageSizeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newBareSarama(t, c.change, answer(t, c.code))
			msg := s.send("m")
			_, err := s.result()
			require.Equal(t, name == "failure", err != nil)
			require.EqualValues(t, -1, msg.Offset)
			s.end()
		})
	}
}

// So Close waits until nothing is in flight, and closes sarama only then.
func TestSarama_asyncCloseFailsWhatWaitsToBeSentAgain(t *testing.T) {
	t.Parallel()
	const partitions = 50
	refuse, accept := sarama.NewMockProduceResponse(t), sarama.NewMockProduceResponse(t)
	for p := range int32(partitions) {
		refuse.SetError("t", p, sarama.ErrNotEnoughReplicas)
	}
	waiting, goOn := make(chan struct{}, partitions), make(chan struct{})
	s := newBareSarama(t, func(c *sarama.Config) {
		idempotent(c)
		c.Producer.Flush.Messages = partitions // all in one request
		c.Producer.Retry.BackoffFunc = func(int, int) time.Duration {
			waiting <- struct{}{}
			<-goOn
			return 0
		}
	}, refuse, accept)
	for p := range int32(partitions) {
		s.sendTo(p, fmt.Sprint(p))
	}
	for range partitions {
		<-waiting
	}
	s.AsyncClose()
	for closing := false; !closing; {
		// Before the end has begun it is too large, and after that too late.
		s.send(strings.Repeat("x", s.conf.Producer.MaxMessageBytes))
		_, err := s.result()
		closing = err == sarama.ErrShuttingDown //nolint:errorlint // itself
	}
	close(goOn)
	errs := s.rest()
	// Each batch is lost or sent by the toss of a coin.
	require.NotEmpty(t, errs, "AsyncClose waits for retries now: Close could do with less")
	for _, err := range errs {
		require.Equal(t, sarama.ErrShuttingDown, err)
	}
}

// A producer of 32,767 failures needs a new id, and asks for it in the middle of
// its work.
func TestSarama_asksForANewProducerIDWhenItsEpochsAreUsedUp(t *testing.T) {
	t.Parallel()
	no := answer(t, sarama.ErrInvalidRecord)
	s := newBareSaramaAt(t, math.MaxInt16-1, idempotent, no, no, answer(t, sarama.ErrNoError))
	require.Equal(t, 1, s.times("LeastLoadedBroker"))
	for range 2 {
		s.send("m")
		s.fails("m", sarama.ErrInvalidRecord)
	}
	require.Equal(t, 2, s.times("LeastLoadedBroker"))
	require.Equal(t, 2, s.requests("InitProducerIDRequest"))
	s.send("m")
	s.delivers("m")
	require.Empty(t, s.end())
}
