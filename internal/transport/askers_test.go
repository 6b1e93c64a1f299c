package transport

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// table is a number of brokers that answer as the test says.
type table struct {
	*askers
	wg sync.WaitGroup

	mu    sync.Mutex
	asked []string
}

// never is how long a frozen broker takes.
const never = time.Hour

// seat makes a table. A broker answers after as long as answers says, at once if
// it does not say; below 0 it fails at once.
func seat(answers map[string]time.Duration, addrs ...string) *table {
	b := &table{}
	b.askers = &askers{
		ask: func(broker *sarama.Broker, _ []string) (*sarama.MetadataResponse, error) {
			b.mu.Lock()
			b.asked = append(b.asked, broker.Addr())
			d := answers[broker.Addr()]
			b.mu.Unlock()
			if d < 0 {
				return nil, io.EOF
			}
			time.Sleep(d) //nolint:forbidigo // virtual
			if d == never {
				return nil, errNoAnswer
			}
			id := broker.Addr()
			return &sarama.MetadataResponse{ClusterID: &id}, nil
		},
		spawn:  func(f func()) bool { b.wg.Go(f); return true },
		hangUp: func(broker *sarama.Broker, _ time.Duration) { b.wg.Go(func() { _ = broker.Close() }) },
	}
	b.adopt(addrs, nil)
	return b
}

// put puts a question and returns who has answered, and after how long.
func (b *table) put(t *testing.T) (string, time.Duration, error) {
	t.Helper()
	began := time.Now()
	response, err := b.question(t.Context(), []string{"orders"}, func(*sarama.MetadataResponse) {})
	took := time.Since(began)
	synctest.Wait() // what they owe is noted
	if err != nil {
		return "", took, err
	}
	return *response.ClusterID, took, nil
}

func (b *table) addrs() (addrs []string) {
	b.askers.mu.Lock()
	defer b.askers.mu.Unlock()
	for _, x := range b.list {
		addrs = append(addrs, x.broker.Addr())
	}
	return addrs
}

// first is whose turn it is.
func (b *table) first() *asker {
	b.askers.mu.Lock()
	defer b.askers.mu.Unlock()
	return b.list[0]
}

func (b *table) open() int {
	b.askers.mu.Lock()
	defer b.askers.mu.Unlock()
	return b.owed
}

// whoWasAsked returns whom the questions since the last call were put to.
func (b *table) whoWasAsked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.asked = nil }()
	return b.asked
}

// An asker with an old view of the cluster must not be asked for ever.
func TestAskers_eachIsAskedInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := seat(nil, "a:1", "b:1", "c:1")
		for _, want := range []string{"a:1", "b:1", "c:1", "a:1"} {
			got, took, err := b.put(t)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Zero(t, took)
		}
		b.wg.Wait()
	})
}

func TestAskers_aFrozenOneHoldsUpOneQuestionForTheHedgeAndNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := seat(map[string]time.Duration{"a:1": never}, "a:1", "b:1", "c:1")
		_, took, err := b.put(t)
		require.NoError(t, err)
		require.Equal(t, hedge, took)
		for range 10 {
			_, took, err = b.put(t)
			require.NoError(t, err)
			require.Zero(t, took)
		}
		require.Len(t, slices.DeleteFunc(b.whoWasAsked(), func(addr string) bool { return addr != "a:1" }), 1)
		b.wg.Wait()
	})
}

func TestAskers_oneThatFailedIsAskedAfterTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := seat(map[string]time.Duration{"a:1": -1}, "a:1", "b:1", "c:1")
		for _, want := range []string{"b:1", "c:1", "b:1", "c:1"} {
			got, took, err := b.put(t)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Zero(t, took, "a failure is not waited for")
		}
		require.Equal(t, []string{"a:1", "b:1", "c:1", "b:1", "c:1"}, b.whoWasAsked())
		b.wg.Wait()
	})
}

func TestAskers_whenAllHaveFailedTheQuestionHas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := seat(map[string]time.Duration{"a:1": -1, "b:1": -1}, "a:1", "b:1")
		_, took, err := b.put(t)
		require.ErrorIs(t, err, sarama.ErrOutOfBrokers)
		require.ErrorIs(t, err, io.EOF)
		require.Zero(t, took)
		require.Len(t, b.whoWasAsked(), 2, "each once")
		b.wg.Wait()

		_, _, err = seat(nil).put(t)
		require.ErrorIs(t, err, sarama.ErrOutOfBrokers)
	})
}

// A firewall that has forgotten a connection says nothing about it.
func TestAskers_theOnlyOneIsAskedOverANewConnectionIfItOwesAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := map[string]time.Duration{"a:1": never}
		b := seat(answers, "a:1")
		old := b.first()
		time.AfterFunc(hedge/2, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			answers["a:1"] = 0
		})
		_, took, err := b.put(t)
		require.NoError(t, err)
		require.Equal(t, hedge, took)
		require.Len(t, b.addrs(), 1)
		require.NotSame(t, old, b.first())
		b.wg.Wait()
		require.Zero(t, b.open())
	})
}

func TestAskers_aConnectionThatWasNotUsedForLongIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := seat(nil, "a:1")
		ask := func() *asker {
			_, _, err := b.put(t)
			require.NoError(t, err)
			return b.first()
		}
		first := ask()
		<-time.After(idle)
		require.Same(t, first, ask())
		<-time.After(idle + 1)
		require.NotSame(t, first, ask())
		b.wg.Wait()
	})
}

func TestAskers_aClusterThatIsSlowIsWaitedForLongerTheNextTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const slow = patience + 500*time.Millisecond
		b := seat(map[string]time.Duration{"a:1": slow, "b:1": slow, "c:1": slow}, "a:1", "b:1", "c:1")
		var late []*sarama.MetadataResponse
		var mu sync.Mutex
		began := time.Now()
		_, err := b.question(t.Context(), nil, func(r *sarama.MetadataResponse) {
			mu.Lock()
			defer mu.Unlock()
			late = append(late, r)
		})
		require.ErrorIs(t, err, errNoAnswer)
		require.Equal(t, patience, time.Since(began))
		b.wg.Wait()
		require.Len(t, late, 1, "the first one that comes is taken in, and no other")

		b.whoWasAsked()
		_, took, err := b.put(t)
		require.NoError(t, err)
		require.Equal(t, slow, took)
		require.LessOrEqual(t, len(b.whoWasAsked()), 2, "one that has too much to do is not asked more")
		b.wg.Wait()
	})
}

func TestAskers_howMuchIsOwedHasABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := seat(map[string]time.Duration{"a:1": never, "b:1": never, "c:1": never}, "a:1", "b:1", "c:1")
		for range 10 {
			_, took, err := b.put(t)
			require.ErrorIs(t, err, sarama.ErrOutOfBrokers)
			require.Equal(t, patience, took, "a question that cannot be put waits for its end too")
			require.LessOrEqual(t, b.open(), mostOwed)
		}
		b.wg.Wait()
		require.Zero(t, b.open())
	})
}

func TestAskers_anAddressThatIsGoneIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := seat(map[string]time.Duration{"old:1": never}, "old:1", "seed:1")
		_, _, err := b.put(t)
		require.NoError(t, err)
		b.adopt([]string{"seed:1", "new:1"}, nil)
		require.ElementsMatch(t, []string{"seed:1", "new:1"}, b.addrs())
		require.Equal(t, 1, b.open(), "its question is still open")
		b.wg.Wait()
		require.Zero(t, b.open())
		require.ElementsMatch(t, []string{"seed:1", "new:1"}, b.addrs())
	})
}

func TestAskers_anEndOfTheTransportEndsTheQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := seat(map[string]time.Duration{"a:1": never}, "a:1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.question(ctx, nil, func(*sarama.MetadataResponse) { t.Error("it is over") })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		b.spawn = func(func()) bool { return false }
		_, _, err = b.put(t)
		require.ErrorIs(t, err, sarama.ErrClosedClient)
		b.wg.Wait()
	})
}

func TestUnanswered_isFinalOnlyIfAllBrokersSaySo(t *testing.T) {
	t.Parallel()
	password := sarama.Wrap(sarama.ErrSASLAuthenticationFailed, errors.New("no such user"))
	for _, end := range []error{password, ErrOtherCluster} {
		require.True(t, final(unanswered([]error{end, end})))
		mixed := unanswered([]error{end, io.EOF})
		require.False(t, final(mixed))
		require.ErrorIs(t, mixed, io.EOF)
		require.ErrorIs(t, mixed, sarama.ErrOutOfBrokers)
		require.ErrorContains(t, mixed, end.Error())
	}
	require.False(t, final(unanswered([]error{password, ErrOtherCluster})))
}
