package lane

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

func TestSet_Open_letsRecordsStraightThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		s := newSet(t, 10, k)
		s.Open("t")
		records := send(s, of(s, "t"), 10)
		require.Equal(t, records, k.all(), "without another goroutine")
		require.Zero(t, k.asks())
	})
}

func TestSet_Use_isOneLaneForATopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t, 10, &sink{})
		first, again := of(s, "a"), of(s, "a")
		require.Same(t, first, again)
		require.NotSame(t, of(s, "a"), of(s, "b"))
	})
}

func TestLane_moreThanTheLimitWaitInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		s := newSet(t, 3, k)
		s.Open("t")
		l := of(s, "t")
		records := send(s, l, 10)
		for passed := 3; passed < 10; passed++ {
			synctest.Wait()
			require.Equal(t, records[:passed], k.all())
			l.Returned(false)
		}
		synctest.Wait()
		require.Equal(t, records, k.all())
	})
}

func TestLane_aFullTopicHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		s := newSet(t, 1, k)
		s.Open("full")
		s.Open("free")
		full := send(s, of(s, "full"), 100)
		for i := range 50 {
			r := send(s, of(s, "free"), 1)
			require.Equal(t, r[0], k.all()[i+1])
			of(s, "free").Returned(false)
		}
		require.Equal(t, full[0], k.all()[0])
	})
}

func TestLane_placesComeBackHoweverARecordEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		s := newSet(t, 2, k)
		s.Open("t")
		l := of(s, "t")
		for range 5 {
			send(s, l, 2)
			require.EqualValues(t, 2, l.live())
			l.Returned(false)
			l.Completed() // it timed out
			require.Zero(t, l.live())
			l.Returned(true)
			require.Zero(t, l.live())
			require.Zero(t, l.inside.Load())
			require.Zero(t, l.backlog.Load())
		}
		require.Len(t, k.all(), 10)
	})
}

func TestLane_Withdraw_takesAQueuedRecordOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		s := newSet(t, 1, k)
		s.Open("t")
		l := of(s, "t")
		records := send(s, l, 5)
		require.False(t, l.Withdraw(records[0]), "the transport has it")
		for _, i := range []int{4, 1, 3} { // the last, the first, and the one in the middle
			require.True(t, l.Withdraw(records[i]))
			require.False(t, l.Withdraw(records[i]), "it is not there any more")
		}
		l.Returned(false)
		synctest.Wait()
		require.Equal(t, []*record.Record{records[0], records[2]}, k.all())
		require.Zero(t, l.backlog.Load())
		l.Returned(false)
		last := send(s, l, 1)
		require.Equal(t, last[0], k.all()[2], "nobody is waited for any more")
	})
}

func TestLane_Room_isTheTopicsPartOfTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Limit: 1, PerTopic: 2})
		defer s.Stop()
		l := of(s, "t")
		require.True(t, l.Room().TryAcquire(100))
		require.True(t, l.Room().TryAcquire(100))
		require.False(t, l.Room().TryAcquire(100))
		require.True(t, of(s, "other").Room().TryAcquire(100))
		l.Free(100)
		require.EqualValues(t, 1, l.Room().Messages())
	})
}

func TestSet_keepsATopicWhosePartOfTheBudgetIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Limit: 1, PerTopic: 5})
		defer s.Stop()
		l := s.Use("t")
		require.True(t, l.Room().TryAcquire(100))
		l.Leave()
		require.Same(t, l, s.Find("t"), "a new one would have all room again")
		l.Free(100)
		require.Nil(t, s.Find("t"))
	})
}

func TestLane_withoutALimitPerTopicHasNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t, 1, &sink{})
		require.Nil(t, of(s, "t").Room())
		of(s, "t").Free(100) // of no effect
	})
}

func TestLane_nobodyOvertakesARecordThatIsBeingFed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		k := &sink{submit: func(*record.Record) { <-gate }}
		s := newSet(t, 10, k)
		l := of(s, "t")
		first := send(s, l, 1)
		synctest.Wait()
		require.Equal(t, first, k.all(), "the feeder has it in its hands")
		go send(s, l, 1)
		synctest.Wait()
		require.Equal(t, first, k.all())
		close(gate)
		synctest.Wait()
		require.Len(t, k.all(), 2)
	})
}

// A topic with a long queue must not keep another one waiting for its turn.
func TestSet_theFeederServesLanesInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const each = 10 * turn
		answer, gate := make(chan struct{}), make(chan struct{})
		k := &sink{
			ask:    func(context.Context, string) error { <-answer; return nil },
			submit: func(*record.Record) { <-gate },
		}
		s := newSet(t, 3*each, k)
		topics := []string{"a", "b", "c"}
		for _, topic := range topics {
			send(s, of(s, topic), each)
		}
		close(answer)
		synctest.Wait() // the feeder has the first one in its hands
		close(gate)
		synctest.Wait()
		sent := k.all()
		require.Len(t, sent, 3*each)
		run := 0
		for i, r := range sent {
			if i > 0 && r.Msg.Topic == sent[i-1].Msg.Topic {
				run++
			} else {
				run = 1
			}
			require.LessOrEqual(t, run, turn, "at %d", i)
		}
	})
}

func TestSet_Stop_isPromptWhileTheClusterIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{ask: func(ctx context.Context, topic string) error {
			if topic == "silent" {
				<-ctx.Done()
			}
			return ErrNoAnswer
		}}
		s := newSet(t, 10, k)
		asked := send(s, of(s, "silent"), 3)
		send(s, of(s, "pause"), 3) // between two questions
		advance(10*time.Second + time.Millisecond)
		start := time.Now()
		s.Stop()
		require.Zero(t, time.Since(start))
		require.True(t, of(s, "silent").Withdraw(asked[1]), "what is queued stays there")
		failed, _ := k.failures()
		require.Empty(t, failed)
	})
}

func TestSet_Stop_feedsNothingAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		s := newSet(t, 1, k)
		s.Open("t")
		records := send(s, of(s, "t"), 3)
		s.Stop()
		s.Stop() // may be called again
		of(s, "t").Returned(false)
		synctest.Wait()
		require.Equal(t, records[:1], k.all())
	})
}

func TestSet_Submit_asksNothingAfterStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		s := newSet(t, 1, k)
		s.Stop()
		r := send(s, of(s, "t"), 1)[0]
		synctest.Wait()
		require.Zero(t, k.asks())
		require.True(t, of(s, "t").Withdraw(r))
	})
}
