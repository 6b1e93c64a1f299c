package producer

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// sized is room for messages of so many bytes, beside their overhead.
func sized(messages, bytes int) Option {
	return WithMaxBufferedBytes(int64(messages*MessageOverhead + bytes))
}

func TestSend_waitsForRoomInTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithMaxBuffered(1))
		const n = 20
		for _, tag := range numbered(n) {
			_ = beginSend(t, p, tagged("t", tag))
		}
		require.EqualValues(t, n-1, p.Stats().Waiting)
		for i := range n {
			require.Equal(t, numbered(i+1), tagsOf(f.submitted()), "one place, one message")
			f.deliver(f.first(t))
			synctest.Wait()
		}
		require.Zero(t, p.Stats().Waiting)
		require.EqualValues(t, n, p.Stats().Delivered)
	})
}

func TestSend_thatIsSmallDoesNotOvertakeALargeOneThatWaits(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		// The small one fits beside the first, but not beside the large one.
		p, f := open(sized(1, 2500))
		_ = beginSend(t, p, tagged("t", "first"))
		large := text("t", strings.Repeat("x", 2000))
		large.Metadata = "large"
		waits := beginSend(t, p, large)
		waits.requireWaits()
		small := beginSend(t, p, tagged("t", "small"))
		small.requireWaits()
		for _, want := range [][]string{{"first"}, {"first", "large"}, {"first", "large", "small"}} {
			require.Equal(t, want, tagsOf(f.submitted()))
			f.deliver(f.first(t))
			synctest.Wait()
		}
	})
}

func TestSend_waitsForRoomForMaxBlock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		option Option
		want   time.Duration
	}{
		"default": {nil, time.Minute}, "short": {WithMaxBlock(3 * time.Second), 3 * time.Second}, "zero": {WithMaxBlock(0), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				p, f := open(WithMaxBuffered(1), c.option)
				_ = beginSend(t, p, text("t", "takes the room"))
				began := time.Now()
				err := p.Send(context.Background(), text("t", "v")) // no ctx bounds it
				require.Equal(t, c.want, time.Since(began))
				require.ErrorIs(t, err, ErrBufferFull)
				require.EqualError(t, err, ErrBufferFull.Error())
				require.Len(t, f.submitted(), 1)
				require.EqualValues(t, 1, p.Stats().Accepted)
				require.EqualValues(t, 1, p.Stats().Rejected)
				require.Zero(t, p.Stats().Waiting)
			})
		})
	}
}

func TestSend_whoseCtxEndsWhileItWaitsForRoomAcceptsNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(WithMaxBuffered(1), told.options())
		first := beginSend(t, p, text("t", "takes the room"))
		cause := errors.New("request is gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := begin(t, func() error { return p.Send(ctx, tagged("t", "gone")) })
		next := beginSend(t, p, tagged("t", "next"))
		gone.requireWaits()

		cancel(cause)
		err := gone.result()
		require.ErrorIs(t, err, ErrBufferFull)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		var failure *DeliveryError
		require.NotErrorAs(t, err, &failure)

		f.deliver(f.first(t))
		require.NoError(t, first.result())
		f.deliver(f.first(t))
		require.NoError(t, next.result(), "the one behind it has its turn")
		require.Equal(t, "next", f.submitted()[1].Msg.Metadata)
		require.Len(t, f.submitted(), 2)
		require.Len(t, told.all(), 2)
	})
}

func TestClose_wakesSendsThatWaitForRoom(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithMaxBuffered(1))
		first := beginSend(t, p, text("t", "takes the room"))
		var waiting []call
		for range 5 {
			waiting = append(waiting, beginSend(t, p, text("t", "v")))
		}
		closing := begin(t, func() error { return p.Close(t.Context()) })
		for _, c := range waiting {
			err := c.result()
			require.ErrorIs(t, err, ErrClosed)
			require.NotErrorIs(t, err, ErrBufferFull)
		}
		closing.requireWaits()
		f.deliver(f.first(t))
		require.NoError(t, first.result())
		require.NoError(t, closing.result())
		require.Len(t, f.submitted(), 1)
	})
}

func TestSend_thatWaitsForItsTopicHoldsNothingThatOthersCouldUse(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithMaxBuffered(2), WithMaxBufferedPerTopic(1))
		_ = beginSend(t, p, tagged("dead", "0"))
		waits := beginSend(t, p, tagged("dead", "1"))
		waits.requireWaits()
		_ = beginSend(t, p, tagged("healthy", "2"))
		require.Equal(t, []string{"0", "2"}, tagsOf(f.submitted()))
		require.EqualValues(t, 2, p.Stats().Buffered)

		f.deliver(f.submitted()[0])
		synctest.Wait()
		require.Equal(t, []string{"0", "2", "1"}, tagsOf(f.submitted()))
	})
}

func TestSend_waitsForItsTopicInTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithMaxBufferedPerTopic(1))
		for _, tag := range numbered(10) {
			_ = beginSend(t, p, tagged("t", tag))
		}
		for range 10 {
			f.deliver(f.first(t))
			synctest.Wait()
		}
		require.Equal(t, numbered(10), tagsOf(f.submitted()))
	})
}

// The room in the topic's part that it had taken first.
func TestSend_thatFindsNoRoomGivesItsTopicsPartBack(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]time.Duration{"atOnce": 0, "afterMaxBlock": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				p, f := open(WithMaxBuffered(1), WithMaxBufferedPerTopic(1), WithMaxBlock(block))
				_ = beginSend(t, p, text("a", "takes all room"))
				for range 3 {
					require.ErrorIs(t, p.Send(t.Context(), text("b", "v")), ErrBufferFull)
				}
				f.deliver(f.first(t))
				synctest.Wait()
				send := beginSend(t, p, text("b", "v"))
				f.deliver(f.first(t))
				require.NoError(t, send.result())
			})
		})
	}
}

func TestSend_maxBlockBoundsBothWaitsTogether(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithMaxBuffered(2), WithMaxBufferedPerTopic(1), WithMaxBlock(10*time.Second))
		_ = beginSend(t, p, text("a", "takes its topic's part"))
		_ = beginSend(t, p, text("b", "takes the rest"))
		began := time.Now()
		send := beginSend(t, p, text("a", "waits for the topic"))
		other := beginSend(t, p, text("c", "is first in line for the whole"))
		advance(6 * time.Second)
		f.deliver(f.first(t)) // of a; what is free now goes to c
		send.requireWaits()
		require.Len(t, f.submitted(), 3)
		advance(4 * time.Second)
		require.ErrorIs(t, send.result(), ErrBufferFull)
		require.Equal(t, 10*time.Second, time.Since(began))
		if _, async := p.(*Async); async {
			require.NoError(t, other.result())
		}
	})
}

func TestSend_givesAllRoomBackWhateverBecomesOfIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithMaxBuffered(3), WithMaxBufferedPerTopic(2), sized(3, 50), WithMaxBlock(20*time.Millisecond),
			WithDeliveryTimeout(50*time.Millisecond))
		var senders sync.WaitGroup
		for range 8 {
			senders.Go(func() {
				for range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(100))*time.Millisecond)
					topic := []string{"a", "b", "c"}[rand.IntN(3)]
					_ = p.Send(ctx, text(topic, strings.Repeat("x", rand.IntN(50))))
					cancel()
				}
			})
		}
		stop := make(chan struct{})
		var broker sync.WaitGroup
		broker.Go(func() {
			for tick := time.NewTicker(5 * time.Millisecond); ; {
				select {
				case <-stop:
					tick.Stop()
					return
				case <-tick.C:
				}
				for _, r := range f.holding() {
					switch rand.IntN(4) {
					case 0:
						f.deliver(r)
					case 1:
						f.fail(r, errors.New("no"))
					case 2:
						f.batch(r)
					}
				}
			}
		})
		senders.Wait()
		advance(time.Second)
		close(stop)
		broker.Wait()
		for _, r := range f.holding() {
			f.fail(r, errors.New("no"))
		}
		synctest.Wait()
		s := p.Stats()
		requireBalanced(t, s)
		require.Positive(t, s.Delivered)
		require.Positive(t, s.Rejected)
		require.Zero(t, s.InFlight)
		require.Zero(t, s.Buffered)
		require.Zero(t, s.BufferedBytes)
		require.Zero(t, s.Waiting)
		require.Zero(t, s.Held)
		for range 2 { // the parts of the topics are free too
			for _, topic := range []string{"a", "b", "c"} {
				require.True(t, coreOf(p).lanes.Use(topic).Room().TryAcquire(1))
			}
		}
	})
}

func TestAsync_TrySend_withoutRoomReturnsAtOnce(t *testing.T) {
	t.Parallel()
	for name, full := range map[string]Option{
		"messages": WithMaxBuffered(1), "bytes": sized(1, 1), "topic": WithMaxBufferedPerTopic(1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, f := openAsync(t, full)
				require.NoError(t, p.TrySend(t.Context(), text("t", "v")))
				began := time.Now()
				err := p.TrySend(t.Context(), text("t", "v"))
				require.ErrorIs(t, err, ErrBufferFull)
				require.Zero(t, time.Since(began))
				f.deliver(f.first(t))
				synctest.Wait()
				require.NoError(t, p.TrySend(t.Context(), text("t", "v")))
				require.EqualValues(t, 2, p.Stats().Accepted)
			})
		})
	}
}

func TestAsync_TrySend_doesNotOvertakeSendsThatWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _ := openAsync(t, sized(3, 2500))
		large := strings.Repeat("x", 2000)
		require.NoError(t, p.Send(t.Context(), text("t", large)))
		require.NoError(t, p.TrySend(t.Context(), text("t", "fits")))
		require.ErrorIs(t, p.TrySend(t.Context(), text("t", large)), ErrBufferFull)
		beginSend(t, p, text("t", large)).requireWaits()
		require.ErrorIs(t, p.TrySend(t.Context(), text("t", "fits")), ErrBufferFull)
	})
}
