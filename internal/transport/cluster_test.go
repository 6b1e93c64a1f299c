package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// atlas is a cluster whose answers the test makes. Nothing can be dialled.
type atlas struct {
	*cluster
	wg sync.WaitGroup

	mu        sync.Mutex
	questions [][]string
	late      func(*sarama.MetadataResponse) // of the last question
	// answer makes the answer to the n-th question, n >= 1.
	answer func(n int, topics []string) (*sarama.MetadataResponse, error)
}

type nowhere struct{}

func (nowhere) Dial(string, string) (net.Conn, error) { return nil, errors.New("nowhere") }

func newAtlas(t *testing.T, answer func(n int, topics []string) (*sarama.MetadataResponse, error)) *atlas {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, nowhere{}
	a := &atlas{answer: answer}
	a.cluster = &cluster{
		conf: conf, initial: sarama.NewBroker("seed:1"), question: a.ask, ctx: t.Context(), adopt: func([]string) {},
		spawn:  func(f func()) bool { a.wg.Go(f); return true },
		hangUp: func(b *sarama.Broker, after time.Duration) { a.wg.Go(func() { <-time.After(after); _ = b.Close() }) },
		wait:   func(d time.Duration) bool { <-time.After(d); return true },
		topics: make(map[string]*topology), brokers: make(map[int32]*sarama.Broker),
	}
	return a
}

func (a *atlas) ask(
	_ context.Context, topics []string, late func(*sarama.MetadataResponse),
) (*sarama.MetadataResponse, error) {
	a.mu.Lock()
	a.questions = append(a.questions, slices.Sorted(slices.Values(topics)))
	a.late = late
	n := len(a.questions)
	a.mu.Unlock()
	return a.answer(n, topics)
}

// look asks about topics, and waits for what comes of it.
func (a *atlas) look(topics ...string) error { return a.refresh(a.ctx, topics...) }

func (a *atlas) putQuestions() [][]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.questions)
}

// metadata is an answer that names three brokers.
func metadata(topics ...*sarama.TopicMetadata) *sarama.MetadataResponse {
	r := &sarama.MetadataResponse{Topics: topics}
	for id, addr := range []string{"a:1", "b:1", "c:1"} {
		r.AddBroker(addr, int32(id))
	}
	return r
}

// led is a topic with a leader for each partition; -1: none.
func led(name string, leaders ...int32) *sarama.TopicMetadata {
	t := &sarama.TopicMetadata{Name: name}
	for id, leader := range leaders {
		p := &sarama.PartitionMetadata{ID: int32(id), Leader: leader}
		if leader < 0 {
			p.Err = sarama.ErrLeaderNotAvailable
		}
		t.Partitions = append(t.Partitions, p)
	}
	return t
}

func knows(topics ...*sarama.TopicMetadata) func(int, []string) (*sarama.MetadataResponse, error) {
	return func(int, []string) (*sarama.MetadataResponse, error) { return metadata(topics...), nil }
}

func TestCluster_aThousandLookUpsAtTheSameTimeAreTwoQuestions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAtlas(t, func(_ int, topics []string) (*sarama.MetadataResponse, error) {
			time.Sleep(time.Second) //nolint:forbidigo // virtual
			r := metadata()
			for _, topic := range topics {
				r.Topics = append(r.Topics, led(topic, 0))
			}
			return r, nil
		})
		var all sync.WaitGroup
		began := time.Now()
		for n := range 1000 {
			all.Go(func() {
				topic := []string{"orders", "payments", "refunds"}[n%3]
				require.NoError(t, a.look(topic))
				_, err := a.knownLeader(topic, 0)
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.LessOrEqual(t, len(a.putQuestions()), 2)
		require.LessOrEqual(t, time.Since(began), 2*time.Second)
		a.wg.Wait()
	})
}

func TestCluster_aQuestionThatWasAskedBeforeDoesNotAnswerOneThatComesAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAtlas(t, func(n int, _ []string) (*sarama.MetadataResponse, error) {
			time.Sleep(time.Second) //nolint:forbidigo // virtual
			return metadata(led("orders", int32(n))), nil
		})
		go func() { _ = a.look("orders") }()
		synctest.Wait() // the first question has been asked
		require.NoError(t, a.look("orders"))
		b, err := a.knownLeader("orders", 0)
		require.NoError(t, err)
		require.Equal(t, "c:1", b.Addr(), "the leader of the second answer")
		a.wg.Wait()
	})
}

func TestCluster_whoLeavesEarlyFindsTheAnswerLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAtlas(t, func(int, []string) (*sarama.MetadataResponse, error) {
			time.Sleep(time.Second) //nolint:forbidigo // virtual
			return metadata(led("orders", 0)), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, a.refresh(ctx, "orders"), context.DeadlineExceeded)
		a.wg.Wait()
		_, err := a.knownLeader("orders", 0)
		require.NoError(t, err)
		require.Len(t, a.putQuestions(), 1)
	})
}

func TestCluster_aPartitionWithoutALeaderDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows(led("orders", 0, -1)))
	require.ErrorIs(t, a.look("orders"), sarama.ErrLeaderNotAvailable)
	_, err := a.knownLeader("orders", 0)
	require.NoError(t, err)
	_, err = a.knownLeader("orders", 1)
	require.ErrorIs(t, err, sarama.ErrLeaderNotAvailable)
	require.Equal(t, []int32{0}, a.topic("orders").writable)
	require.Equal(t, []int32{0, 1}, a.topic("orders").all)
	_, err = a.knownLeader("orders", 2)
	require.ErrorIs(t, err, sarama.ErrUnknownTopicOrPartition)
}

func TestCluster_aTopicThatIsRefusedIsForgottenAndTheReasonTold(t *testing.T) {
	t.Parallel()
	for _, code := range []sarama.KError{
		sarama.ErrUnknownTopicOrPartition, sarama.ErrTopicAuthorizationFailed, sarama.ErrInvalidTopic,
	} {
		a := newAtlas(t, func(n int, _ []string) (*sarama.MetadataResponse, error) {
			if n == 1 {
				return metadata(led("orders", 0)), nil
			}
			return metadata(&sarama.TopicMetadata{Name: "orders", Err: code}), nil
		})
		require.NoError(t, a.look("orders"))
		require.Equal(t, error(code), a.look("orders"))
		require.Nil(t, a.topic("orders"))
	}
}

func TestCluster_whatIsKnownSurvivesAQuestionWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, func(n int, _ []string) (*sarama.MetadataResponse, error) {
		if n == 1 {
			return metadata(led("orders", 0)), nil
		}
		return nil, sarama.ErrOutOfBrokers
	})
	require.NoError(t, a.look("orders"))
	require.ErrorIs(t, a.look("orders"), sarama.ErrOutOfBrokers)
	_, err := a.knownLeader("orders", 0)
	require.NoError(t, err)
}

func TestCluster_anAnswerOfAnEarlierEpochDoesNotBringTheOldLeaderBack(t *testing.T) {
	t.Parallel()
	answer := func(id byte, epoch, leader int32) *sarama.TopicMetadata {
		topic := led("orders", leader)
		topic.Uuid, topic.Partitions[0].LeaderEpoch = sarama.Uuid{id}, epoch
		return topic
	}
	for name, c := range map[string]struct {
		second *sarama.TopicMetadata
		want   string
	}{
		"later":         {answer(1, 8, 2), "c:1"},
		"earlier":       {answer(1, 6, 2), "b:1"},
		"created again": {answer(2, 0, 2), "c:1"},
		"without id":    {answer(0, 6, 2), "c:1"},
	} {
		a := newAtlas(t, func(n int, _ []string) (*sarama.MetadataResponse, error) {
			if n == 1 {
				return metadata(answer(1, 7, 1)), nil
			}
			return metadata(c.second), nil
		})
		require.NoError(t, a.look("orders"))
		require.NoError(t, a.look("orders"))
		b, err := a.knownLeader("orders", 0)
		require.NoError(t, err, name)
		require.Equal(t, c.want, b.Addr(), name)
	}
}

func TestCluster_aBrokerKeepsItsConnectionUntilItsAddressChanges(t *testing.T) {
	t.Parallel()
	addr := "b:1"
	a := newAtlas(t, func(int, []string) (*sarama.MetadataResponse, error) {
		r := &sarama.MetadataResponse{Topics: []*sarama.TopicMetadata{led("orders", 1)}}
		r.AddBroker("a:1", 0)
		r.AddBroker(addr, 1)
		return r, nil
	})
	leader := func() *sarama.Broker {
		require.NoError(t, a.look("orders"))
		b, err := a.knownLeader("orders", 0)
		require.NoError(t, err)
		return b
	}
	first := leader()
	require.Same(t, first, leader())
	addr = "moved:1"
	require.Equal(t, "moved:1", leader().Addr())
}

// To close it at once would lose the answers that are on their way.
func TestCluster_aBrokerThatIsGoneIsClosedAfterItsRequestsHaveTimedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAtlas(t, func(n int, _ []string) (*sarama.MetadataResponse, error) {
			r := &sarama.MetadataResponse{Topics: []*sarama.TopicMetadata{led("orders", 0)}}
			r.AddBroker("a:1", 0)
			if n == 1 {
				r.AddBroker("b:1", 1)
			}
			return r, nil
		})
		require.NoError(t, a.look("orders"))
		require.Len(t, a.brokers, 2)
		began := time.Now()
		require.NoError(t, a.look("orders"))
		require.Len(t, a.brokers, 1)
		a.wg.Wait()
		require.Equal(t, 2*a.conf.Net.ReadTimeout, time.Since(began))
	})
}

func TestCluster_knownTopicsAreAskedForAgainEverySoOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAtlas(t, knows(led("orders", 0)))
		a.conf.Metadata.RefreshFrequency = 10 * time.Minute
		rounds := 0
		a.wait = func(d time.Duration) bool {
			<-time.After(d)
			rounds++
			return rounds%6 > 0
		}
		began := time.Now()
		a.keepFresh()
		require.Equal(t, time.Hour, time.Since(began))
		require.Empty(t, a.putQuestions(), "no topic is known yet")
		require.NoError(t, a.look("orders"))
		a.keepFresh()
		require.Len(t, a.putQuestions(), 1+5)
		a.conf.Metadata.RefreshFrequency = 0
		a.wait = func(time.Duration) bool { panic("0 means never") }
		a.keepFresh()
		a.wg.Wait()
	})
}

func TestCluster_aLateAnswerIsTakenInUnlessALaterQuestionWasAnswered(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, func(n int, _ []string) (*sarama.MetadataResponse, error) {
		if n == 2 {
			return metadata(led("orders", 1)), nil
		}
		return nil, sarama.ErrOutOfBrokers
	})
	leader := func() string {
		b, err := a.knownLeader("orders", 0)
		require.NoError(t, err)
		return b.Addr()
	}
	require.Error(t, a.look("orders"))
	first := a.late
	first(metadata(led("orders", 0)))
	require.Equal(t, "a:1", leader())
	require.NoError(t, a.look("orders"))
	require.Equal(t, "b:1", leader())
	first(metadata(led("orders", 0)))
	require.Equal(t, "b:1", leader())
	require.Error(t, a.look("orders"))
	a.late(metadata(led("orders", 2)))
	require.Equal(t, "c:1", leader())
}

func TestCluster_aQuestionAboutTenThousandTopicsDoesNotStopLookUps(t *testing.T) {
	t.Parallel()
	topics := make([]string, 10_000)
	for n := range topics {
		topics[n] = fmt.Sprint("topic-", n)
	}
	a := newAtlas(t, func(_ int, topics []string) (*sarama.MetadataResponse, error) {
		r := metadata()
		for _, topic := range topics {
			r.Topics = append(r.Topics, led(topic, 0, 1, 2))
		}
		return r, nil
	})
	require.NoError(t, a.look("orders"))
	done := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		_ = a.look(topics...)
	}()
	longest := time.Duration(0)
	for end := false; !end; {
		began := time.Now()
		require.NotNil(t, a.topic("orders"))
		longest = max(longest, time.Since(began))
		select {
		case <-done:
			end = true
		default:
		}
	}
	// It was nearly all of the time, a second.
	require.Less(t, longest, max(time.Since(start)/3, 250*time.Millisecond))
}

func TestCluster_partitionsAreNotTakenAwayFromTheSameTopic(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		second byte
		want   int
	}{"the same": {1, 3}, "created again": {2, 2}} {
		a := newAtlas(t, func(n int, _ []string) (*sarama.MetadataResponse, error) {
			topic := led("orders", 0, 1, 2)
			topic.Uuid = sarama.Uuid{1}
			if n > 1 {
				topic.Uuid, topic.Partitions = sarama.Uuid{c.second}, topic.Partitions[:2]
			}
			return metadata(topic), nil
		})
		require.NoError(t, a.look("orders"))
		require.NoError(t, a.look("orders"))
		require.Len(t, a.topic("orders").all, c.want, name)
	}
}

func TestCluster_afterCloseNothingIsAsked(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows(led("orders", 0)))
	require.NoError(t, a.look("orders"))
	a.close()
	require.ErrorIs(t, a.look("orders"), sarama.ErrClosedClient)
	_, err := a.knownLeader("orders", 0)
	require.ErrorIs(t, err, sarama.ErrClosedClient)
	require.Len(t, a.putQuestions(), 1)
}

func TestCluster_aProducerIDIsAskedOfTheOneThatAnsweredThenOfEachInTurn(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows())
	a.seeds, a.initial = []string{"a:1", "b:1", "c:1"}, sarama.NewBroker("b:1")
	for _, addr := range []string{"b:1", "b:1", "c:1", "a:1", "b:1"} {
		require.Equal(t, addr, a.identifier().Addr())
	}
	a.wg.Wait()
}

// The addresses that were configured may all have gone by now.
func TestCluster_aProducerIDIsAskedOfLearnedBrokersToo(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows(led("orders", 0)))
	require.NoError(t, a.look("orders"))
	a.seeds, a.initial = []string{"gone:1"}, sarama.NewBroker("gone:1")
	asked := map[string]int{}
	for range 1 + 4 {
		asked[a.identifier().Addr()]++
	}
	require.Equal(t, map[string]int{"gone:1": 2, "a:1": 1, "b:1": 1, "c:1": 1}, asked)
	a.wg.Wait()
}

func TestCluster_theOneThatAnsweredFirstIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows())
	ours, other, none := "ours", "other", ""
	for _, c := range []struct {
		id   *string
		want bool
	}{{nil, true}, {&none, true}, {&ours, true}, {&ours, true}, {&other, false}, {nil, true}, {&ours, true}} {
		require.Equal(t, c.want, a.claim(c.id))
	}
}
