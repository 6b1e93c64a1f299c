package lane

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCheck_parksTheFirstRecordsInOrderUntilTheTopicIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan error)
		k := &sink{ask: func(context.Context, string) error { return <-answer }}
		s := newSet(t, 100, k)
		records := send(s, of(s, "t"), 10)
		synctest.Wait()
		require.Empty(t, k.all())
		require.Equal(t, 1, k.asks(), "one question for all")
		answer <- nil
		synctest.Wait()
		require.Equal(t, records, k.all())
		records = append(records, send(s, of(s, "t"), 1)...)
		require.Equal(t, records, k.all(), "straight through")
		require.Equal(t, 1, k.asks())
	})
}

func TestCheck_anUnknownTopicFailsAfterTheGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{ask: always(ErrUnknown)}
		s := newSet(t, 100, k)
		records := send(s, of(s, "t"), 3)
		advance(grace - time.Nanosecond)
		failed, _ := k.failures()
		require.Empty(t, failed)
		advance(time.Nanosecond)
		failed, err := k.failures()
		require.Equal(t, records, failed)
		require.Equal(t, errUnknownTopic, err)
		require.Empty(t, k.all())
	})
}

func TestCheck_asksAtGrowingIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{ask: always(ErrNoAnswer)}
		s := newSet(t, 100, k)
		send(s, of(s, "t"), 1)
		advance(5 * time.Second)
		ms := time.Millisecond
		require.Equal(t, []time.Duration{
			0, 50 * ms, 150 * ms, 350 * ms, 750 * ms, 1550 * ms, 2550 * ms, 3550 * ms, 4550 * ms,
		}, k.asked)
	})
}

func TestCheck_aTopicThatAppearsWithinTheGraceIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		k.ask = func(context.Context, string) error {
			if time.Since(k.start) < grace/2 {
				return ErrUnknown
			}
			return nil
		}
		s := newSet(t, 100, k)
		records := send(s, of(s, "t"), 3)
		advance(grace)
		require.Equal(t, records, k.all())
	})
}

func TestCheck_withoutAnAnswerItKeepsAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{ask: always(ErrNoAnswer)}
		s := newSet(t, 100, k)
		records := send(s, of(s, "t"), 1)
		advance(100 * grace)
		failed, _ := k.failures()
		require.Empty(t, failed, "no answer proves nothing")
		k.mu.Lock()
		k.ask = nil
		k.mu.Unlock()
		advance(askMost)
		require.Equal(t, records, k.all())
	})
}

func TestCheck_aFinalAnswerIsTheOutcomeAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		final := errors.New("not authorised")
		k := &sink{ask: always(final)}
		s := newSet(t, 100, k)
		records := send(s, of(s, "t"), 2)
		synctest.Wait()
		failed, err := k.failures()
		require.Equal(t, records, failed)
		require.Equal(t, final, err)
		require.Zero(t, time.Since(k.start))
	})
}

func TestCheck_theNextRecordAfterAFailureAsksAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{ask: always(ErrUnknown)}
		s := newSet(t, 100, k)
		send(s, of(s, "t"), 1)
		advance(grace)
		k.mu.Lock()
		k.ask = nil // the topic was created
		k.mu.Unlock()
		records := send(s, of(s, "t"), 1)
		synctest.Wait()
		require.Equal(t, records, k.all())
	})
}

func TestCheck_endsWhenNobodyWaitsAndStartsAgainWithTheNextRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{ask: always(ErrNoAnswer)}
		s := newSet(t, 100, k)
		l := of(s, "t")
		r := send(s, l, 1)[0]
		advance(10 * time.Second)
		require.True(t, l.Withdraw(r)) // its delivery timeout
		advance(askMost)
		asked := k.asks()
		advance(time.Hour)
		require.Equal(t, asked, k.asks())

		k.mu.Lock()
		k.ask = nil
		k.mu.Unlock()
		records := send(s, l, 1)
		synctest.Wait()
		require.Equal(t, records, k.all())
	})
}

func TestCheck_aLaneThatIsInUseOutlivesTheFailureOfItsTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{ask: always(ErrUnknown)}
		s := newSet(t, 100, k)
		l := s.Use("t")
		first := send(s, l, 1)
		advance(grace)
		late := send(s, l, 1) // looked the lane up before, and waited for room since
		require.Same(t, l, s.Find("t"))
		advance(grace)
		failed, err := k.failures()
		require.Equal(t, append(first, late...), failed, "it had the whole grace for itself")
		require.Equal(t, errUnknownTopic, err)
		l.Leave()
		require.Nil(t, s.Find("t"))
	})
}

func TestSet_forgetsATopicThatDoesNotExistOnceNothingIsLeftOfIt(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{"unknown": ErrUnknown, "refused": errUnknownTopic, "silent": ErrNoAnswer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSet(t, 100, &sink{ask: always(answer)})
				l := s.Use("t")
				r := send(s, l, 1)[0]
				l.Leave()
				require.Same(t, l, s.Find("t"), "a record waits in it")
				if errors.Is(answer, ErrNoAnswer) {
					require.True(t, l.Withdraw(r)) // its delivery timeout
				}
				advance(grace)
				require.Nil(t, s.Find("t"))
				again := s.Use("t")
				defer again.Leave()
				require.NotSame(t, l, again)
			})
		})
	}
}

func TestSet_forgetsATopicToWhichNothingWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t, 100, &sink{})
		s.Use("t").Leave() // there was no room, for instance
		require.Nil(t, s.Find("t"))
	})
}

func TestSet_keepsATopicThatExists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t, 100, &sink{})
		l := s.Use("t")
		send(s, l, 1)
		l.Leave()
		synctest.Wait()
		l.Returned(false)
		require.Same(t, l, s.Find("t"))
	})
}

func TestCheck_aTopicWithoutAnAnswerDelaysNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{ask: func(ctx context.Context, topic string) error {
			if topic == "dead" {
				<-ctx.Done() // a broker that is asked and never answers
				return ErrNoAnswer
			}
			return nil
		}}
		s := newSet(t, 100, k)
		send(s, of(s, "dead"), 100)
		records := send(s, of(s, "alive"), 100)
		synctest.Wait()
		require.Equal(t, records, k.all())
	})
}

func TestSuspect_parksWhatComesUntilTheClusterHasAnsweredAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{ask: always(ErrUnknown)}
		s := newSet(t, 100, k)
		l := of(s, "t")
		s.Open("t")
		before := send(s, l, 1)
		require.Equal(t, before, k.all())
		l.suspect()
		parked := send(s, l, 2)
		advance(grace)
		require.Equal(t, before, k.all())
		failed, _ := k.failures()
		require.Equal(t, parked, failed)
	})
}

// Nobody may send to the topic again, so the queue cannot wait for that.
func TestSuspect_asksForWhatIsQueuedAlready(t *testing.T) {
	t.Parallel()
	for name, exists := range map[string]bool{"Exists": true, "Deleted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := &sink{ask: always(ErrUnknown)}
				if exists {
					k.ask = nil
				}
				s := newSet(t, 2, k)
				l := of(s, "t")
				s.Open("t")
				records := send(s, l, 3) // the third waits for a place
				l.suspect()
				l.Returned(false)
				l.Returned(false)
				advance(grace)
				failed, _ := k.failures()
				if exists {
					require.Equal(t, records, k.all())
				} else {
					require.Equal(t, records[2:], failed)
				}
			})
		})
	}
}

func TestChecker_Wait_endsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the constructor's time is over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute+time.Millisecond, cause)
		defer cancel()
		start := time.Now()
		c := Checker{Ask: always(ErrNoAnswer), Unknown: errUnknownTopic, Grace: grace}
		err := c.Wait(ctx, "t", func() bool { return true })
		require.Equal(t, cause, err)
		require.Equal(t, time.Minute+time.Millisecond, time.Since(start))
	})
}

// A broker that comes back may not know its topics at once.
func TestCheck_theGraceBeginsAgainAfterASilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		k.ask = func(context.Context, string) error {
			if now := time.Since(k.start); now > grace-time.Second && now < grace+time.Second {
				return ErrNoAnswer
			}
			return ErrUnknown
		}
		s := newSet(t, 100, k)
		send(s, of(s, "t"), 1)
		advance(2 * grace)
		failed, _ := k.failures()
		require.Empty(t, failed)
		advance(grace)
		failed, _ = k.failures()
		require.Len(t, failed, 1)
	})
}
