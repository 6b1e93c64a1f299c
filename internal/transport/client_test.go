package transport

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// answering is a sarama.Client whose Leader and Partitions fail with what the
// test says, and whose RefreshMetadata takes as long as it says.
type answering struct {
	sarama.Client
	asked int
	err   func(asked int) error

	refreshed atomic.Int64
	refresh   func(refreshed int64) error // nil: it succeeds at once
}

func (a *answering) ask() error {
	a.asked++
	return a.err(a.asked)
}

func (a *answering) Leader(string, int32) (*sarama.Broker, error) { return nil, a.ask() }
func (a *answering) Partitions(string) ([]int32, error)           { return []int32{7}, a.ask() }
func (a *answering) WritablePartitions(string) ([]int32, error)   { return []int32{7}, a.ask() }

func (a *answering) RefreshMetadata(...string) error {
	n := a.refreshed.Add(1)
	if a.refresh == nil {
		return nil
	}
	return a.refresh(n)
}

// asking returns the client as sarama's producer sees it.
func asking(err func(asked int) error, change func(*Config)) (*client, *answering) {
	cfg := &Config{
		Backoff:         Backoff{time.Second, time.Second},
		DeliveryTimeout: 30 * time.Second,
		UnknownTopic:    5 * time.Second,
		Live:            func(string) bool { return true },
		Suspect:         func(string) {},
	}
	if change != nil {
		change(cfg)
	}
	inner := &answering{err: err}
	t := bare(cfg)
	t.client = inner
	return &client{Client: inner, t: t}, inner
}

func always(err error) func(int) error { return func(int) error { return err } }

func TestClient_leaderIsAskedForUntilThereIsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, inner := asking(func(asked int) error {
			if asked < 4 {
				return fmt.Errorf("refresh: %w", sarama.ErrOutOfBrokers)
			}
			return nil
		}, nil)
		_, err := c.Leader("orders", 0)
		require.NoError(t, err)
		require.Equal(t, 4, inner.asked)
	})
}

func TestClient_partitionsAreAskedForUntilTheyAreKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, ask := range map[string]func(c *client) ([]int32, error){
			"all":      func(c *client) ([]int32, error) { return c.Partitions("orders") },
			"writable": func(c *client) ([]int32, error) { return c.WritablePartitions("orders") },
		} {
			c, inner := asking(func(asked int) error {
				if asked < 3 {
					return sarama.ErrLeaderNotAvailable
				}
				return nil
			}, nil)
			partitions, err := ask(c)
			require.NoError(t, err, name)
			require.Equal(t, []int32{7}, partitions, name)
			require.Equal(t, 3, inner.asked, name)
		}
	})
}

func TestClient_theQuestionEndsWithTheDeliveryTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := asking(always(sarama.ErrOutOfBrokers), nil)
		began := time.Now()
		_, err := c.Leader("orders", 0)
		require.ErrorIs(t, err, sarama.ErrOutOfBrokers)
		require.InDelta(t, 30, time.Since(began).Seconds(), 1)
	})
}

func TestClient_nobodyIsAskedForATopicWithoutLiveMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, inner := asking(always(sarama.ErrOutOfBrokers), func(cfg *Config) {
			cfg.Live = func(topic string) bool { return topic != "orders" }
		})
		began := time.Now()
		_, err := c.Leader("orders", 0)
		var lookup *LookupError
		require.ErrorAs(t, err, &lookup)
		require.Zero(t, time.Since(began))
		require.Equal(t, 1, inner.asked)
	})
}

func TestClient_aFinalAnswerIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, final := range []error{
			sarama.ErrTopicAuthorizationFailed, sarama.ErrClusterAuthorizationFailed,
			sarama.ErrSASLAuthenticationFailed, sarama.ErrInvalidTopic, sarama.ErrClosedClient,
		} {
			c, inner := asking(always(final), nil)
			_, err := c.Leader("orders", 0)
			require.ErrorIs(t, err, final)
			require.Equal(t, 1, inner.asked, "%v", final)
		}
	})
}

func TestClient_aTopicThatStaysUnknownIsGivenUpAndSuspected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		suspected := ""
		c, _ := asking(always(sarama.ErrUnknownTopicOrPartition), func(cfg *Config) {
			cfg.Suspect = func(topic string) { suspected = topic }
		})
		began := time.Now()
		_, err := c.Partitions("orders")
		require.ErrorIs(t, err, sarama.ErrUnknownTopicOrPartition)
		require.InDelta(t, 5, time.Since(began).Seconds(), 1)
		require.Equal(t, "orders", suspected)
	})
}

func TestClient_aTopicThatIsAwayForAShortTimeIsNotGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := asking(func(asked int) error {
			switch {
			case asked > 12:
				return nil
			case asked%4 == 0: // never denied for five seconds on end
				return sarama.ErrOutOfBrokers
			}
			return sarama.ErrUnknownTopicOrPartition
		}, func(cfg *Config) { cfg.Suspect = func(string) { panic("suspected") } })
		_, err := c.Partitions("orders")
		require.NoError(t, err)
	})
}

func TestClient_anAbortEndsEveryQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := asking(always(sarama.ErrOutOfBrokers), nil)
		time.AfterFunc(1500*time.Millisecond, c.t.Abort)
		began := time.Now()
		_, err := c.Leader("orders", 0)
		require.ErrorIs(t, err, ErrAborted)
		require.Equal(t, 1500*time.Millisecond, time.Since(began))
		require.ErrorIs(t, c.RefreshMetadata("orders"), ErrAborted)
		_, err = c.WritablePartitions("orders")
		require.ErrorIs(t, err, ErrAborted)
	})
}

func TestClient_aRefreshIsAskedOnceAndItsFailureIsLeftToLeader(t *testing.T) {
	t.Parallel()
	c, inner := asking(always(sarama.ErrOutOfBrokers), nil)
	inner.refresh = func(int64) error { return sarama.ErrOutOfBrokers }
	require.NoError(t, c.RefreshMetadata("orders"))
	require.EqualValues(t, 1, inner.refreshed.Load())
	require.Zero(t, inner.asked)
}

// A frozen broker answers nothing until the read timeout, here an hour.
func TestClient_aRefreshThatHangsIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, inner := asking(always(nil), nil)
		inner.refresh = func(n int64) error {
			if n < 2 {
				time.Sleep(time.Hour) //nolint:forbidigo // virtual: the read timeout
			}
			return nil
		}
		began := time.Now()
		require.NoError(t, c.RefreshMetadata("orders"))
		require.Equal(t, hedge, time.Since(began))
		c.t.asks.Wait()
	})
}

func TestClient_aRefreshThatHangsForGoodEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, inner := asking(always(nil), nil)
		inner.refresh = func(int64) error {
			time.Sleep(time.Hour) //nolint:forbidigo // virtual: the read timeout
			return nil
		}
		began := time.Now()
		for range 2 * maxRefreshes { // each hangs, and their number has a bound
			require.NoError(t, c.RefreshMetadata("orders"))
		}
		require.LessOrEqual(t, time.Since(began), 2*maxRefreshes*refreshing)
		require.LessOrEqual(t, inner.refreshed.Load(), int64(maxRefreshes))
		c.t.asks.Wait()
		require.Zero(t, c.t.refreshes.Load())
	})
}

func TestClient_anAbortEndsARefreshThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, inner := asking(always(nil), nil)
		inner.refresh = func(int64) error {
			time.Sleep(time.Hour) //nolint:forbidigo // virtual: the read timeout
			return nil
		}
		time.AfterFunc(100*time.Millisecond, c.t.Abort)
		began := time.Now()
		require.NoError(t, c.RefreshMetadata("orders"))
		require.Equal(t, 100*time.Millisecond, time.Since(began))
		c.t.asks.Wait()
	})
}

func TestClient_givesTheProducersConfigurationAndIsNotClosed(t *testing.T) {
	t.Parallel()
	c, _ := asking(always(nil), nil)
	require.Same(t, c.t.cfg.Sarama, c.Config())
	require.NoError(t, c.Close()) // the embedded nil Client would panic
}

func TestLookupError_isNoProofEvenIfItsCauseWouldBeOne(t *testing.T) {
	t.Parallel()
	cause := error(sarama.ErrTopicAuthorizationFailed)
	require.True(t, neverAppended(cause))
	require.False(t, neverAppended(&LookupError{Err: cause}))
	require.False(t, neverAppended(&UnavailableError{Breaker: errors.New(breakerText), Last: cause}))
}
