package chaos

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
)

// told is a load whose messages were sent, accepted and done with at these
// seconds.
func told(times ...[3]int) *load {
	l := &load{keys: keys}
	for _, t := range times {
		m := &sent{Message: judge.Message{Answered: true, Outcomes: []judge.Outcome{{}}}}
		m.began, m.returned, m.ended = at(t[0]), at(t[1]), at(t[2])
		l.history = append(l.history, m)
	}
	return l
}

func at(second int) time.Duration { return time.Duration(second) * time.Second }

// acked is a load with an acknowledgement of each partition at these seconds.
func acked(seconds ...int) *load {
	l := &load{keys: keys}
	for _, second := range seconds {
		for partition := range int32(partitions) {
			l.acks = append(l.acks, ack{partition, at(second)})
		}
	}
	return l
}

func TestLoad_theGapIsThatOfThePartitionThatWaitedLongest(t *testing.T) {
	t.Parallel()
	require.Equal(t, at(7), acked(1, 3, 10).gap(at(12)))
	require.Equal(t, at(9), acked(1, 3).gap(at(12)), "none came until the end")
	require.Equal(t, at(2), acked(1, 3, 20).gap(at(4)), "what came later does not count")
	l := acked(1, 2, 3)
	l.acks = l.acks[:len(l.acks)-1] // the last partition has none at 3
	require.Equal(t, at(2), l.gap(at(4)))
	l = acked(1)
	l.acks = l.acks[1:]
	require.Equal(t, at(5), l.gap(at(5)), "one had none at all")
	l.keys = 1
	require.Equal(t, at(4), l.gap(at(5)), "one partition is all there is to one key")
}

func TestLoad_hasRecoveredWhenEveryPartitionHas(t *testing.T) {
	t.Parallel()
	took, ok := acked(1, 8, 9).recovery(at(5))
	require.True(t, ok)
	require.Equal(t, at(3), took)
	l := acked(1, 8)
	l.acks = l.acks[:len(l.acks)-1]
	_, ok = l.recovery(at(5))
	require.False(t, ok)
	_, ok = acked().recovery(0)
	require.False(t, ok)
}

func TestLoad_timesMessagesFromAcceptanceToOutcome(t *testing.T) {
	t.Parallel()
	l := told([3]int{0, 4, 9}, [3]int{1, 2, 6}, [3]int{5, 5, 8})
	require.Equal(t, at(5), l.slowest(false).length(), "a Send that waits for room has accepted nothing yet")
	require.Equal(t, at(9), l.slowest(true).length())
	require.Equal(t, span{0, at(4)}, l.longestSend())
	took, some := l.fastest(0)
	require.True(t, some)
	require.Equal(t, at(3), took)
	took, _ = told([3]int{0, 0, 1}, [3]int{2, 2, 7}).fastest(at(1))
	require.Equal(t, at(5), took, "what was sent before does not count")
	_, some = l.fastest(at(6))
	require.False(t, some)
	l.history[0].Outcomes = nil
	require.Equal(t, at(4), l.slowest(false).length(), "what has no outcome is silent, not slow")
}

func TestLoad_aFailureIsEarlyBeforeTheTimeoutAndTheEndOfClose(t *testing.T) {
	t.Parallel()
	l := told([3]int{0, 0, 4}, [3]int{0, 0, 5}, [3]int{7, 7, 9}, [3]int{0, 0, 1})
	for _, m := range l.history[:3] {
		m.Outcomes[0].Err = &producer.DeliveryError{Err: errors.New("whatever")}
	}
	require.Equal(t, 2, l.early(at(5), at(20)))
	require.Equal(t, 1, l.early(at(5), at(9)), "Close gives up what is left")
}

func TestLoad_aSendMayBeRefusedWhenTheProducerIsClosedAndThenOnly(t *testing.T) {
	t.Parallel()
	l := told([3]int{0, 1, 2}, [3]int{3, 4, 4}, [3]int{6, 7, 7}, [3]int{6, 8, 8})
	for i, err := range []error{nil, producer.ErrClosed, producer.ErrClosed, producer.ErrBufferFull} {
		l.history[i].Returned = err
	}
	require.Equal(t, 2, l.refused(at(5)))
	require.Equal(t, 1, l.after(0))
	require.Zero(t, l.after(at(1)))
}

func TestPulse_countsWhatIsInTheSpan(t *testing.T) {
	t.Parallel()
	p := &pulse{lost: []span{{at(1), at(2)}, {at(4), at(7)}, {at(9), at(10)}}}
	require.Zero(t, p.without(span{at(2), at(4)}))
	require.Equal(t, at(4), p.without(span{0, at(8)}))
	require.Equal(t, at(2), p.without(span{at(6), at(20)}))
	require.Zero(t, p.without(span{at(8), at(1)}), "what was not too long has none")
}
