package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// afterCtx is how long Close may take beyond its ctx.
const afterCtx = time.Second

// sockets remembers the connections of a producer, so that a test can tell that
// none is left.
type sockets struct {
	net.Dialer
	mu    sync.Mutex
	conns []*net.TCPConn
}

// option makes a producer dial through it.
func (s *sockets) option() producer.Option { return dialingThrough(s) }

func (s *sockets) Dial(network, addr string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, addr)
}

func (s *sockets) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := s.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		s.mu.Lock()
		s.conns = append(s.conns, tcp)
		s.mu.Unlock()
	}
	return c, nil
}

// count returns how many connections were made and how many are open.
func (s *sockets) count() (made, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		raw, err := c.SyscallConn()
		if err == nil && raw.Control(func(uintptr) {}) == nil {
			open++
		}
	}
	return len(s.conns), open
}

// states are what a cluster can be like when a producer has to end.
func states() map[string]func(t *testing.T, c *kafkatest.Cluster) *kafkatest.Fault {
	return map[string]func(t *testing.T, c *kafkatest.Cluster) *kafkatest.Fault{
		"healthy": func(*testing.T, *kafkatest.Cluster) *kafkatest.Fault { return nil },
		"erroring": func(_ *testing.T, c *kafkatest.Cluster) *kafkatest.Fault {
			return c.FailProduce(int16(sarama.ErrNotEnoughReplicas))
		},
		"dropping": func(_ *testing.T, c *kafkatest.Cluster) *kafkatest.Fault { return c.DropProduce() },
		"ignoring": func(_ *testing.T, c *kafkatest.Cluster) *kafkatest.Fault { return c.IgnoreProduce() },
		"frozen":   func(_ *testing.T, c *kafkatest.Cluster) *kafkatest.Fault { return c.Freeze() },
		"half frozen": func(_ *testing.T, c *kafkatest.Cluster) *kafkatest.Fault {
			return c.Freeze(0, 1)
		},
		"refusing": func(t *testing.T, c *kafkatest.Cluster) *kafkatest.Fault {
			t.Helper()
			require.NoError(t, c.Outage())
			return nil
		},
		"gone": func(t *testing.T, c *kafkatest.Cluster) *kafkatest.Fault {
			t.Helper()
			require.NoError(t, c.Close())
			return nil
		},
	}
}

// inStates runs a test for each state of the cluster and each kind of producer,
// one after the other, and checks that each leaves nothing behind.
func inStates(t *testing.T, of []mode, test func(t *testing.T, r *rig, spoil func() *kafkatest.Fault)) {
	t.Helper()
	for name, spoil := range states() {
		for _, m := range of {
			t.Run(fmt.Sprintf("%s %v", name, m), func(t *testing.T) {
				verifyNothingLeft(t)
				cluster := startCluster(t)
				var s sockets
				// Long network timeouts, as they are by default: nothing may
				// wait for them.
				r := newRigOver(t, m, cluster, func(opts producer.Options) (underTest, error) {
					opts = append(opts, s.option(), networkTimeouts(15*time.Second))
					if m.sync {
						return producer.NewSync(bounded(t), cluster.Addrs(), opts)
					}
					return producer.NewAsync(bounded(t), cluster.Addrs(), opts)
				})
				t.Cleanup(func() {
					made, open := s.count()
					require.Positive(t, made, "void: no connection was made")
					require.Zero(t, open, "connections are left")
				})
				r.warm(40)
				test(t, r, func() *kafkatest.Fault { return spoil(t, cluster) })
			})
		}
	}
}

// settled judges the history of a closed producer. A cluster that is gone has
// no log to compare with.
func (r *rig) settled() {
	r.t.Helper()
	if _, err := r.cluster.Records(bounded(r.t), topic); errors.Is(err, kafkatest.ErrClosed) {
		history := r.snapshot()
		for i := range history {
			want := 0
			if history[i].Accepted() {
				want = 1
			}
			require.Len(r.t, history[i].Outcomes, want)
		}
		s := r.p.Stats()
		require.Zero(r.t, s.InFlight)
		require.Equal(r.t, s.Accepted, s.Delivered+s.Failed)
		return
	}
	r.verify()
}

//nolint:paralleltest // it looks for goroutines that are left
func TestClose_inEveryStateOfTheClusterItAbortsInTimeAndLeavesNothing(t *testing.T) {
	inStates(t, modes, func(t *testing.T, r *rig, spoil func() *kafkatest.Fault) {
		t.Helper()
		fault := spoil()
		ctx := bounded(t)
		var senders sync.WaitGroup
		senders.Go(func() { r.run(ctx, load{senders: 4, each: 25, window: 25}) })
		if fault != nil {
			require.NoError(t, fault.Wait(ctx, 1))
		}
		limit := 200 * time.Millisecond
		closing, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		var err error
		elapsed := took(func() { err = r.p.Close(closing) })
		require.Less(t, elapsed, limit+afterCtx)
		senders.Wait()
		if err != nil {
			failure, ok := errors.AsType[*producer.CloseError](err)
			require.True(t, ok, "%v", err)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Zero(t, failure.CallbacksRunning)
			aborted := 0
			for _, e := range r.failures() {
				if errors.Is(e, producer.ErrAborted) {
					aborted++
				}
			}
			require.Equal(t, failure.Undelivered, aborted)
		}
		r.settled()
		require.ErrorIs(t, r.p.Send(ctx, &sarama.ProducerMessage{Topic: topic}), producer.ErrClosed)
		require.Equal(t, err, r.p.Close(ctx), "a later Close returns the first result")
	})
}

//nolint:paralleltest // it looks for goroutines that are left
func TestClose_withAContextThatHasEndedAbortsAtOnce(t *testing.T) {
	inStates(t, kinds, func(t *testing.T, r *rig, spoil func() *kafkatest.Fault) {
		t.Helper()
		fault := spoil()
		ctx := bounded(t)
		var senders sync.WaitGroup
		senders.Go(func() { r.run(ctx, load{senders: 2, each: 25, window: 25}) })
		if fault != nil {
			require.NoError(t, fault.Wait(ctx, 1))
		}
		ended, cancel := context.WithCancelCause(ctx)
		cause := errors.New("second signal")
		cancel(cause)
		var err error
		elapsed := took(func() { err = r.p.Close(ended) })
		require.Less(t, elapsed, afterCtx)
		senders.Wait()
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, cause)
		}
		r.settled()
	})
}

//nolint:paralleltest // it looks for goroutines that are left
func TestClose_ofAnIdleProducerIsCleanInEveryState(t *testing.T) {
	inStates(t, kinds, func(t *testing.T, r *rig, spoil func() *kafkatest.Fault) {
		t.Helper()
		_ = spoil()
		elapsed := took(func() { require.NoError(t, r.p.Close(bounded(t))) })
		require.Less(t, elapsed, time.Second)
		require.NoError(t, r.p.Flush(bounded(t)))
		r.settled()
	})
}

//nolint:paralleltest // it looks for goroutines that are left
func TestClose_racesSendersFlushesAndOtherCloses(t *testing.T) {
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			for round := range 8 {
				t.Run(fmt.Sprint(round), func(t *testing.T) {
					verifyNothingLeft(t)
					cluster := startCluster(t)
					r := newRig(t, m, cluster, producer.WithMaxBuffered(64))
					ctx := bounded(t)
					var others sync.WaitGroup
					others.Go(func() { r.run(ctx, load{senders: 8, each: 100, window: 10}) })
					others.Go(func() {
						for range 20 {
							_ = r.p.Flush(ctx)
							_ = r.p.Stats()
						}
					})
					require.NoError(t, r.waitDelivered(ctx, 1+round*20))
					for range 3 {
						others.Go(func() {
							if err := r.p.Close(ctx); err != nil {
								t.Errorf("Close: %v", err)
							}
						})
					}
					require.NoError(t, r.p.Close(ctx))
					others.Wait()
					r.verify()
					require.Empty(t, r.failures(), "Close waits for what was accepted")
				})
			}
		})
	}
}

func TestClose_sendFlushAndCloseReturnInTimeWithAFrozenCluster(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		// Fewer places than messages, so that Send has to wait for room.
		r := newRig(t, m, cluster, producer.WithMaxBuffered(10), networkTimeouts(15*time.Second))
		require.NoError(t, r.send(bounded(t)))
		require.NoError(t, r.p.Flush(bounded(t)))
		frozen := cluster.Freeze()
		limit := 300 * time.Millisecond
		var sends sync.WaitGroup
		for range 20 {
			sends.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				defer cancel()
				if elapsed := took(func() { _ = r.send(ctx) }); elapsed > limit+slack {
					t.Errorf("Send took %v", elapsed)
				}
			})
		}
		sends.Wait()
		ctx := within(t, limit)
		var err error
		elapsed := took(func() { err = r.p.Flush(ctx) })
		require.Less(t, elapsed, limit+slack)
		left, ok := errors.AsType[*producer.FlushError](err)
		require.True(t, ok, "%v", err)
		require.Positive(t, left.Left)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		closing, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		elapsed = took(func() { err = r.p.Close(closing) })
		require.Less(t, elapsed, limit+afterCtx)
		require.Error(t, err)
		r.verify(frozen)
	})
}

func TestClose_aSendThatWaitsForRoomIsWoken(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t)
	r := newRig(t, mode{idempotent: true}, cluster, producer.WithMaxBuffered(1))
	frozen := cluster.Freeze()
	ctx := bounded(t)
	require.NoError(t, r.send(ctx))
	waits := make(chan error, 1)
	go func() { waits <- r.send(ctx) }()
	require.Eventually(t, func() bool { return r.p.Stats().Waiting == 1 }, 10*time.Second, time.Millisecond)
	closing, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	require.Error(t, r.p.Close(closing))
	require.ErrorIs(t, <-waits, producer.ErrClosed)
	frozen.Remove()
	r.verify()
}

func TestClose_aCallbackThatEndsAfterCloseIsCountedAndEndsInPeace(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		entered, release, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
		var once sync.Once
		r := newRigQuiet(t, m, cluster, producer.WithOnSuccess(func(context.Context, *sarama.ProducerMessage) {
			once.Do(func() {
				close(entered)
				<-release
				close(left)
			})
		}))
		require.NoError(t, r.p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")}))
		<-entered
		limit := 200 * time.Millisecond
		closing, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		var err error
		elapsed := took(func() { err = r.p.Close(closing) })
		require.Less(t, elapsed, limit+afterCtx)
		failure, ok := errors.AsType[*producer.CloseError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, 1, failure.CallbacksRunning)
		require.Zero(t, failure.Undelivered)
		require.EqualValues(t, 1, r.p.Stats().InFlight, "in flight until the callback has returned")
		close(release)
		<-left
		require.NoError(t, r.p.Flush(bounded(t)))
		require.Zero(t, r.p.Stats().InFlight)
		require.EqualValues(t, 1, r.p.Stats().Delivered)
	})
}

func TestClose_fromACallbackStartsTheEndAndReturnsAtOnce(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		said := make(chan error, 1)
		var p underTest
		ready := make(chan struct{})
		r := newRigQuiet(t, m, cluster, producer.WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) {
			<-ready
			said <- p.Close(ctx)
		}))
		p = r.p
		close(ready)
		require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")}))
		require.ErrorIs(t, <-said, producer.ErrInCallback)
		require.NoError(t, p.Close(bounded(t)))
	})
}
