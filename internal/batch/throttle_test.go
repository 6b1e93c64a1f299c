package batch

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// throttles is the reply of a broker that asks to be left alone for so long.
func throttles(d time.Duration) reply { return reply{wait: 10 * time.Millisecond, throttle: d} }

func requireFourASecondApart(t *testing.T, w *world) {
	t.Helper()
	got := w.got()
	require.Len(t, got, 4)
	for i := range got[1:] {
		require.GreaterOrEqual(t, got[i+1].at.Sub(got[i].at), time.Second)
	}
}

func TestThrottle_aBrokerIsSentNothingBeforeTheTimeThatItAsksFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(5*time.Second)))
		began := time.Now()
		w.send(0, "a")
		w.settle(time.Second)
		require.Equal(t, []string{"0"}, w.results(0), "it is stored all the same")
		w.send(0, "b")
		w.send(1, "c")
		w.settle(time.Minute)
		w.close()
		got := w.got()
		require.Len(t, got, 3)
		for _, s := range got[1:] {
			require.Equal(t, 5*time.Second+10*time.Millisecond, s.at.Sub(began), "%v", s.values)
		}
	})
}

func TestThrottle_thereIsOneRequestOnItsWayUntilAnAnswerAsksForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(time.Second), reply{wait: 3 * time.Second, throttle: time.Second},
			reply{wait: time.Second}, reply{wait: time.Second}, reply{wait: time.Second}))
		began := time.Now()
		w.send(0, "a")
		w.settle(1010 * time.Millisecond)
		w.send(0, "b") // is answered at 4.01 s
		w.settle(time.Second)
		w.send(1, "c")
		w.settle(time.Millisecond)
		w.send(2, "d")
		w.settle(time.Minute)
		w.send(0, "e") // is answered a second later
		w.settle(100 * time.Millisecond)
		w.send(1, "f")
		w.settle(time.Minute)
		w.close()
		var at []time.Duration
		for _, s := range w.got() {
			at = append(at, s.at.Sub(began).Truncate(100*time.Millisecond))
		}
		require.Equal(t, []time.Duration{
			0, time.Second, 5 * time.Second, 5 * time.Second, 62 * time.Second, 62*time.Second + 100*time.Millisecond,
		}, at)
	})
}

func TestThrottle_whatIsGivenUpMeanwhileComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(time.Hour)))
		w.send(0, "a")
		w.settle(time.Second)
		records := append(w.send(0, "b", "c"), w.send(1, "d")...)
		w.settle(time.Second)
		for _, r := range records[:2] {
			r.Refuse()
		}
		w.settle(2 * time.Second)
		require.Len(t, w.results(0), 3)
		require.Empty(t, w.results(1))
		w.send(0, "e")
		w.settle(2 * time.Hour)
		w.close()
		require.Equal(t, []string{"0"}, w.results(1))
		require.Equal(t, "1", w.results(0)[3])
		require.Len(t, w.got(), 3)
	})
}

func TestThrottle_aPartitionThatMovesIsSentToItsNewLeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(time.Hour)))
		began := time.Now()
		w.send(0, "a")
		w.settle(time.Second)
		w.send(0, "b")
		w.settle(time.Second)
		w.set(func(w *world) { w.leads = 1 })
		w.settle(2 * time.Second)
		require.Equal(t, []string{"0", "1"}, w.results(0))
		require.Less(t, w.got()[1].at.Sub(began), 4*time.Second)
		w.close()
	})
}

func TestThrottle_aSenderWithNothingToDoRemembersIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(time.Hour)))
		began := time.Now()
		w.send(0, "a")
		w.settle(3 * idleness)
		w.send(0, "b")
		w.settle(2 * time.Hour)
		w.close()
		require.Equal(t, time.Hour+10*time.Millisecond, w.got()[1].at.Sub(began))
	})
}

func TestThrottle_anAbortDoesNotWaitForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(time.Hour)))
		w.send(0, "a")
		w.settle(time.Second)
		w.send(0, "b")
		w.settle(time.Second)
		began := time.Now()
		w.abort()
		w.close()
		require.Zero(t, time.Since(began))
		require.Equal(t, []string{"0", ErrAborted.Error() + " true"}, w.results(0))
	})
}

func TestThrottle_anEndSendsNothingThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(reply{code: sarama.ErrNotEnoughReplicas, throttle: time.Hour}))
		records := w.send(0, "a")
		w.settle(time.Second)
		records = append(records, w.send(0, "b")...)
		w.settle(2300 * time.Millisecond) // it has just been looked for such
		for _, r := range records {
			r.Refuse()
		}
		began := time.Now()
		w.close()
		require.Zero(t, time.Since(began))
		require.Len(t, w.got(), 1)
		require.Len(t, w.results(0), 2)
	})
}

func TestThrottle_theLongestPauseThatWasAskedForCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(10*time.Second), reply{wait: time.Second, throttle: time.Second}))
		began := time.Now()
		w.send(0, "a")
		w.settle(time.Millisecond)
		w.send(1, "b") // is answered when a's pause has begun
		w.settle(time.Second)
		w.send(2, "c")
		w.settle(time.Minute)
		w.close()
		require.Equal(t, 10*time.Second+10*time.Millisecond, w.got()[2].at.Sub(began))
	})
}

func TestThrottle_aThousandMessagesMeanwhileWakeNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(time.Minute)))
		w.send(0, "a")
		w.settle(time.Second)
		for range 1000 {
			w.send(0, "b")
		}
		w.settle(2 * time.Minute)
		w.close()
		require.Len(t, w.got(), 2, "they are one batch")
		require.Len(t, w.results(0), 1001)
	})
}

func TestThrottle_ofSeveralRequestsThatAreReadyOneIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) {
			c.Producer.Flush.Frequency, c.Producer.Flush.MaxMessages = time.Millisecond, 1
		}, func(sent) reply { return throttles(time.Second) })
		w.send(0, "a")
		w.settle(100 * time.Millisecond)
		w.send(0, "b")
		w.send(1, "c")
		w.send(2, "d")
		w.settle(time.Minute)
		w.close()
		requireFourASecondApart(t, w)
	})
}

func TestThrottle_whatCannotBeWrittenIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		unwritable := reply{unsent: sarama.PacketEncodingError{Info: "too large"}}
		w := open(t, nil, scripted(throttles(time.Second), unwritable, unwritable, unwritable))
		w.send(0, "a")
		w.settle(100 * time.Millisecond)
		w.send(0, "b")
		w.send(1, "c")
		w.settle(10 * time.Second)
		require.Len(t, w.results(0), 2)
		require.Len(t, w.results(1), 1)
		w.send(0, "d")
		w.settle(10 * time.Second)
		require.Equal(t, "1", w.results(0)[2])
		w.close()
	})
}

func TestThrottle_anAnswerThatAsksForNothingEndsItAtOnceWhateverElseIsOnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(20*time.Millisecond), reply{wait: 50 * time.Millisecond}, reply{wait: time.Second}))
		began := time.Now()
		for partition := range int32(3) {
			w.send(partition, "a")
			w.settle(time.Millisecond)
		}
		w.settle(17 * time.Millisecond)
		w.send(3, "d")
		w.settle(time.Minute)
		w.close()
		require.Less(t, w.got()[3].at.Sub(began), 60*time.Millisecond)
	})
}

func TestThrottle_aSenderOutlivesItWithWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(throttles(500*time.Millisecond), reply{wait: 11 * time.Millisecond}, reply{hang: true}))
		for partition := range int32(3) {
			w.send(partition, "a")
			w.settle(time.Millisecond)
		}
		w.settle(100 * time.Millisecond)
		given := w.send(3, "d")
		w.settle(time.Millisecond)
		given[0].Refuse()
		w.settle(2 * idleness)
		w.b.mu.Lock()
		senders := len(w.b.senders)
		w.b.mu.Unlock()
		require.Equal(t, 1, senders)
		broker{w, 0}.Close() // the connection fails: that is noticed, and it is closed for the next
		w.settle(time.Minute)
		require.Equal(t, 2, w.closed)
		w.close()
	})
}

func TestThrottle_shortPausesAreNotSpentOnLooking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) { c.Producer.MaxMessageBytes = 1000 }, func(sent) reply {
			return reply{wait: time.Millisecond, throttle: 2 * time.Millisecond}
		})
		routes := 0
		w.set(func(w *world) { w.onLeader = func() { routes++ } })
		for range 1000 {
			w.send(0, "0123456789")
		}
		w.settle(time.Minute)
		requests := len(w.got())
		w.close()
		require.Greater(t, requests, 20)
		require.LessOrEqual(t, routes, requests+1)
	})
}

func TestThrottle_whatCannotBeWrittenTogetherIsSentOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, func(s sent) reply {
			if s.values[0] == "bad" {
				return reply{unsent: sarama.PacketEncodingError{Info: "it cannot be"}}
			}
			return throttles(time.Second)
		})
		w.send(0, "a")
		w.settle(100 * time.Millisecond)
		w.send(1, "c")
		w.send(0, "bad")
		w.send(2, "d")
		w.send(3, "e")
		w.settle(time.Minute)
		w.close()
		requireFourASecondApart(t, w)
		require.Len(t, w.results(0), 2)
	})
}
