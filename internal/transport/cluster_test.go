package transport

import (
	"context"
	"errors"
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

	mu    sync.Mutex
	asked [][]string
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
		conf: conf, question: a.ask, ctx: t.Context(),
		spawn:   func(f func()) bool { a.wg.Go(f); return true },
		initial: func() []*sarama.Broker { return nil },
		topics:  make(map[string]*topology), brokers: make(map[int32]*sarama.Broker),
	}
	return a
}

func (a *atlas) ask(_ context.Context, topics []string) (*sarama.MetadataResponse, error) {
	a.mu.Lock()
	a.asked = append(a.asked, slices.Clone(topics))
	n := len(a.asked)
	a.mu.Unlock()
	return a.answer(n, topics)
}

func (a *atlas) questions() [][]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
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

func TestCluster_whatIsKnownIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows(led("orders", 0, 2, 1)))
	for range 3 {
		partitions, err := a.Partitions("orders")
		require.NoError(t, err)
		require.Equal(t, []int32{0, 1, 2}, partitions)
		b, err := a.Leader("orders", 1)
		require.NoError(t, err)
		require.Equal(t, "c:1", b.Addr())
	}
	require.Equal(t, [][]string{{"orders"}}, a.questions())
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
				_, err := a.Leader([]string{"orders", "payments", "refunds"}[n%3], 0)
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.LessOrEqual(t, len(a.questions()), 2)
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
		go func() { _ = a.RefreshMetadata("orders") }()
		synctest.Wait() // the first question has been asked
		require.NoError(t, a.RefreshMetadata("orders"))
		b, err := a.Leader("orders", 0)
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
		_, err := a.Leader("orders", 0)
		require.NoError(t, err)
		require.Len(t, a.questions(), 1)
	})
}

func TestCluster_aPartitionWithoutALeaderDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows(led("orders", 0, -1)))
	_, err := a.Leader("orders", 0)
	require.NoError(t, err)
	_, err = a.Leader("orders", 1)
	require.ErrorIs(t, err, sarama.ErrLeaderNotAvailable)
	writable, err := a.WritablePartitions("orders")
	require.NoError(t, err)
	require.Equal(t, []int32{0}, writable)
	all, err := a.Partitions("orders")
	require.NoError(t, err)
	require.Equal(t, []int32{0, 1}, all)
	_, err = a.Leader("orders", 2)
	require.ErrorIs(t, err, sarama.ErrLeaderNotAvailable, "what the answer says of the topic")
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
		require.NoError(t, a.RefreshMetadata("orders"))
		require.Equal(t, error(code), a.RefreshMetadata("orders"))
		_, err := a.Leader("orders", 0)
		require.Equal(t, error(code), err)
		_, err = a.Partitions("orders")
		require.Equal(t, error(code), err)
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
	require.NoError(t, a.RefreshMetadata("orders"))
	require.ErrorIs(t, a.RefreshMetadata("orders"), sarama.ErrOutOfBrokers)
	_, err := a.Leader("orders", 0)
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
		require.NoError(t, a.RefreshMetadata("orders"))
		require.NoError(t, a.RefreshMetadata("orders"))
		b, err := a.Leader("orders", 0)
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
		require.NoError(t, a.RefreshMetadata("orders"))
		b, err := a.Leader("orders", 0)
		require.NoError(t, err)
		return b
	}
	first := leader()
	require.Same(t, first, leader())
	addr = "moved:1"
	require.Equal(t, "moved:1", leader().Addr())
	require.Len(t, a.former, 1, "closed at once it would lose the answers that are on their way")
	require.Same(t, first, a.former[0].broker)
}

func TestCluster_brokersThatAreGoneAreClosedInTheEnd(t *testing.T) {
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
		require.NoError(t, a.RefreshMetadata("orders"))
		require.NoError(t, a.RefreshMetadata("orders"))
		require.Len(t, a.former, 1)
		<-time.After(2*a.conf.Net.ReadTimeout + 1)
		require.NoError(t, a.RefreshMetadata("orders"))
		require.Empty(t, a.former)
		require.Len(t, a.brokers, 1)
		a.wg.Wait()
	})
}

func TestCluster_knownTopicsAreAskedForAgainEverySoOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAtlas(t, knows(led("orders", 0)))
		a.conf.Metadata.RefreshFrequency = 10 * time.Minute
		ends := time.Now().Add(time.Hour - 1)
		a.keepFresh(func(d time.Duration) bool {
			<-time.After(d)
			return time.Now().Before(ends)
		})
		require.Empty(t, a.questions(), "no topic is known yet")
		require.NoError(t, a.RefreshMetadata("orders"))
		ends = time.Now().Add(time.Hour - 1)
		a.keepFresh(func(d time.Duration) bool {
			<-time.After(d)
			return time.Now().Before(ends)
		})
		require.Len(t, a.questions(), 1+5)
		a.conf.Metadata.RefreshFrequency = 0
		a.keepFresh(func(time.Duration) bool { panic("0 means never") })
		a.wg.Wait()
	})
}

func TestCluster_afterCloseNothingIsAsked(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows(led("orders", 0)))
	require.NoError(t, a.RefreshMetadata("orders"))
	require.NoError(t, a.Close())
	require.True(t, a.Closed())
	require.ErrorIs(t, a.RefreshMetadata("orders"), sarama.ErrClosedClient)
	_, err := a.Leader("orders", 0)
	require.ErrorIs(t, err, sarama.ErrClosedClient)
	require.Len(t, a.questions(), 1)
}

func TestCluster_aProducerIDIsAskedForOfEachBrokerInTurn(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows())
	require.Nil(t, a.LeastLoadedBroker())
	a.initial = func() []*sarama.Broker { return []*sarama.Broker{sarama.NewBroker("a:1"), sarama.NewBroker("b:1")} }
	for _, addr := range []string{"a:1", "b:1", "a:1"} {
		require.Equal(t, addr, a.LeastLoadedBroker().Addr())
	}
}

func TestCluster_theOneThatAnsweredFirstIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	a := newAtlas(t, knows())
	ours, other, none := "ours", "other", ""
	for _, c := range []struct {
		id   *string
		want bool
	}{{nil, true}, {&none, true}, {&ours, true}, {&ours, true}, {&other, false}, {nil, true}, {&ours, true}} {
		require.Equal(t, c.want, a.same(c.id))
	}
}
