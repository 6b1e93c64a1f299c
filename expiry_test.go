package producer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// failed is the error of a send that was accepted and failed: a Sync returns
// it, an Async tells it.
func failed(t *testing.T, send call, told *reports, nth int) *DeliveryError {
	t.Helper()
	require.Greater(t, len(told.all()), nth, "no outcome yet")
	err := told.all()[nth].err
	if got := send.result(); got != nil {
		require.Equal(t, err, got)
	}
	return failureOf(t, err)
}

func TestDeliveryTimeout_endsAMessageExactlyThen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		option Option
		want   time.Duration
	}{"default": {nil, 2 * time.Minute}, "set": {WithDeliveryTimeout(7 * time.Second), 7 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				var told reports
				p, _ := open(told.options(), c.option)
				advance(3 * time.Second) // the clock of the producer and of the message differ
				send := beginSend(t, p, text("t", "v"))
				advance(c.want - time.Nanosecond)
				require.Empty(t, told.all())
				advance(time.Nanosecond)
				failure := failed(t, send, &told, 0)
				require.ErrorIs(t, failure, ErrDeliveryTimeout)
				require.Equal(t, c.want, failure.Elapsed)
				require.True(t, IsRetriable(failure))
			})
		})
	}
}

func TestDeliveryTimeout_countsForEachMessageFromItsOwnAcceptance(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, _ := open(told.options(), WithDeliveryTimeout(10*time.Second))
		var sends []call
		for range 50 { // enough for every shard of the registry
			sends = append(sends, beginSend(t, p, text("t", "v")))
			advance(100 * time.Millisecond)
		}
		advance(5 * time.Second) // the first one is 10 s old
		for i := range sends {
			require.Len(t, told.all(), i+1)
			require.Equal(t, 10*time.Second, failed(t, sends[i], &told, i).Elapsed)
			advance(100 * time.Millisecond)
		}
	})
}

func TestDeliveryTimeout_doesNotCountTheWaitForRoom(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options(), WithMaxBuffered(1), WithDeliveryTimeout(10*time.Second))
		_ = beginSend(t, p, text("t", "takes the room"))
		send := beginSend(t, p, text("t", "v"))
		advance(8 * time.Second)
		f.deliver(f.first(t))
		advance(10*time.Second - time.Nanosecond)
		require.Len(t, told.all(), 1)
		advance(time.Nanosecond)
		require.Equal(t, 10*time.Second, failed(t, send, &told, 1).Elapsed)
	})
}

// Found where three nodes started on two processors: the look took a fifth of a
// second, and the outcomes of the others came two seconds late.
func TestDeliveryTimeout_isLookedAtAgainAQuarterOfASecondAfterAStallAtTheLatest(t *testing.T) {
	t.Parallel()
	require.Equal(t, 3*time.Second, expiryPause(3*time.Second, time.Millisecond), "until the next one is due")
	require.Equal(t, 9*time.Millisecond, expiryPause(time.Microsecond, time.Millisecond), "it takes a tenth of the time at most")
	require.Equal(t, 250*time.Millisecond, expiryPause(time.Microsecond, 200*time.Millisecond), "but no stall makes outcomes late")
	require.Equal(t, 250*time.Millisecond, expiryPause(-time.Second, time.Minute))
}

func TestDeliveryTimeout_leavesAMessageAloneThatWasDelivered(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options(), WithDeliveryTimeout(time.Second))
		send := beginSend(t, p, text("t", "v"))
		f.deliver(f.first(t))
		advance(time.Minute)
		require.NoError(t, send.result())
		require.Len(t, told.all(), 1)
		require.Zero(t, p.Stats().Failed)
	})
}

// NotPersisted is a proof: the bytes are refused from then on.
func TestDeliveryTimeout_ofAMessageThatWasNeverBatchedIsNotPersistedAndStaysSo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options(), WithDeliveryTimeout(time.Second))
		send := beginSend(t, p, text("t", "v"))
		r := f.first(t)
		advance(time.Second)
		failure := failed(t, send, &told, 0)
		require.Equal(t, NotPersisted, failure.Status)
		require.Zero(t, failure.Attempts)
		require.EqualValues(t, -1, failure.Partition)
		require.True(t, SafeToRetry(failure))
		require.False(t, f.batch(r), "it would be sent after it was reported as not persisted")
		require.Equal(t, "v", valueOf(t, told.all()[0].msg), "the callback can still read it")
	})
}

func TestDeliveryTimeout_ofAMessageThatWasBatchedIsPossiblyPersisted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options(), WithDeliveryTimeout(time.Second))
		send := beginSend(t, p, text("t", "v"))
		r := f.first(t)
		require.True(t, f.batch(r))
		require.True(t, f.batch(r))
		advance(time.Second)
		failure := failed(t, send, &told, 0)
		require.Equal(t, PossiblyPersisted, failure.Status)
		require.Equal(t, 2, failure.Attempts)
		require.EqualValues(t, 3, failure.Partition)
		require.EqualValues(t, 3, told.all()[0].msg.Partition)
		require.EqualValues(t, -1, told.all()[0].msg.Offset)
		require.False(t, failure.Pending, "the outcome is final")
		require.False(t, SafeToRetry(failure))
		require.False(t, f.batch(r), "no further copy may follow")
	})
}

func TestDeliveryTimeout_keepsTheRoomUntilTheTransportLetsGo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithDeliveryTimeout(time.Second), WithMaxBlock(0), WithMaxBuffered(1))
		_ = beginSend(t, p, text("t", "v"))
		r := f.first(t)
		advance(time.Second)
		s := p.Stats()
		requireBalanced(t, s)
		require.EqualValues(t, 1, s.Failed)
		require.Zero(t, s.InFlight)
		require.EqualValues(t, 1, s.Held)
		require.EqualValues(t, 1, s.Buffered)
		require.Positive(t, s.BufferedBytes)
		require.ErrorIs(t, p.Send(t.Context(), text("t", "v")), ErrBufferFull, "sarama still has the bytes")

		f.fail(r, sarama.ErrOutOfBrokers)
		s = p.Stats()
		require.Zero(t, s.Held)
		require.Zero(t, s.Buffered)
		require.Zero(t, s.BufferedBytes)
		require.Zero(t, s.Late)
		require.EqualValues(t, 1, s.Failed)
		f.auto = true
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
	})
}

func TestDeliveryTimeout_countsALaterDeliveryAsLateAndReportsItToNobody(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options(), WithDeliveryTimeout(time.Second))
		_ = beginSend(t, p, text("t", "v"))
		r := f.first(t)
		require.True(t, f.batch(r))
		advance(time.Second)
		require.Zero(t, p.Stats().Late)
		f.deliver(r)
		require.Len(t, told.all(), 1)
		s := p.Stats()
		requireBalanced(t, s)
		require.EqualValues(t, 1, s.Late)
		require.EqualValues(t, 1, s.Failed)
		require.Zero(t, s.Delivered)
		require.Zero(t, s.Held)
		require.Zero(t, s.Buffered)
		f.deliver(r)
		require.EqualValues(t, 1, p.Stats().Late, "reported twice")
		require.Zero(t, p.Stats().Held)
	})
}

func TestDeliveryTimeout_takesAQueuedMessageOutForGood(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options(), WithDeliveryTimeout(time.Second),
			WithSaramaConfig(func(c *sarama.Config) { c.ChannelBufferSize = 1 }))
		_ = beginSend(t, p, tagged("t", "inside"))
		queued := beginSend(t, p, tagged("t", "queued"))
		require.Equal(t, []string{"inside"}, tagsOf(f.submitted()))
		advance(time.Second)
		require.Equal(t, NotPersisted, failed(t, queued, &told, 1).Status)
		s := p.Stats()
		require.EqualValues(t, 1, s.Held, "the one inside")
		require.EqualValues(t, 1, s.Buffered, "the queued one is nowhere any more")
		f.fail(f.first(t), sarama.ErrOutOfBrokers)
		advance(time.Second)
		require.Equal(t, []string{"inside"}, tagsOf(f.submitted()))
		require.Zero(t, p.Stats().Buffered)

		f.auto = true
		require.NoError(t, p.Send(t.Context(), tagged("t", "next")), "the topic goes on")
	})
}

// The transport returns a message in the very moment in which it times out.
func TestDeliveryTimeout_andDeliveryTogetherMakeOneOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		delivered, expired := 0, 0
		for range 300 {
			var told reports
			p, f := openAsync(t, told.options(), WithDeliveryTimeout(time.Second))
			const n = 10
			for _, tag := range numbered(n) {
				require.NoError(t, p.Send(t.Context(), tagged("t", tag)))
			}
			synctest.Wait()
			timer := time.AfterFunc(time.Second, func() {
				for _, r := range f.holding() {
					f.deliver(r)
				}
			})
			advance(time.Second)
			timer.Stop()
			require.Len(t, told.all(), n)
			seen := map[any]bool{}
			for _, r := range told.all() {
				require.False(t, seen[r.msg.Metadata])
				seen[r.msg.Metadata] = true
				if r.err == nil {
					delivered++
				} else {
					require.ErrorIs(t, r.err, ErrDeliveryTimeout)
					expired++
				}
			}
			s := p.Stats()
			requireBalanced(t, s)
			require.Zero(t, s.InFlight)
			require.Zero(t, s.Held)
			require.Zero(t, s.Buffered)
			require.NoError(t, p.Close(t.Context()))
		}
		require.Positive(t, delivered)
		require.Positive(t, expired, "the two never met")
	})
}

func TestProducer_endsAMessageThatTheTransportNeverReports(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options(), WithDeliveryTimeout(time.Second))
		f.stuck = true
		var sends []call
		for range 20 {
			sends = append(sends, beginSend(t, p, text("t", "v")))
		}
		advance(time.Second)
		require.Len(t, told.all(), 20)
		for i, send := range sends {
			require.ErrorIs(t, failed(t, send, &told, i), ErrDeliveryTimeout)
		}
		require.NoError(t, p.Flush(t.Context()), "every outcome is known")
		s := p.Stats()
		requireBalanced(t, s)
		require.Zero(t, s.InFlight)
		require.EqualValues(t, 20, s.Held)
		require.EqualValues(t, 20, s.Buffered, "memory stays bounded")
	})
}
