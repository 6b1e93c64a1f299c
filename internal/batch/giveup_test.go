package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/partition"
	"github.com/saramakit/producer/internal/record"
)

func TestBatcher_aBatchThatNobodyWaitsForStopsNobodyAndIsNotSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 2 * time.Minute
		w := open(t, nil, func(s sent) reply {
			if s.values[0] == "poison" {
				return reply{code: sarama.ErrInvalidMessage}
			}
			return stores(s)
		})
		w.b.cfg.MostRetries = -1
		began := time.Now()
		for i := range 600 {
			value := fmt.Sprint(i)
			if i == 0 {
				value = "poison"
			}
			r := w.send(0, value)[0]
			time.AfterFunc(timeout, func() { r.Refuse() })
			w.settle(time.Second)
		}
		w.close()
		healthy := 0
		for _, s := range w.got() {
			if s.values[0] != "poison" {
				healthy += len(s.values)
				continue
			}
			require.Less(t, s.at.Sub(began), timeout, "nobody waits for it")
		}
		// What waited behind it has timed out with it, but for the retry's wait.
		require.Greater(t, healthy, 450)
		require.Len(t, w.results(0), 600)
	})
}

func TestBatcher_whatComesWhileTheDeadAreReturnedIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const dead = 300 // more than are handed over at a time
		w := open(t, func(c *sarama.Config) { c.Producer.Partitioner = partition.New },
			scripted(reply{code: sarama.ErrNotLeaderForPartition}))
		var fresh *record.Record
		w.b.cfg.Sink = func(outcomes []Outcome) {
			w.sink(outcomes)
			if fresh == nil { // room has become free: a Send goes on
				fresh = w.sendTo("t", 0, "key", "fresh")
			}
		}
		w.set(func(w *world) { w.leader = false })
		var old []*record.Record
		for i := range dead {
			old = append(old, w.sendTo("t", 0, "key", fmt.Sprint(i)))
		}
		w.settle(time.Millisecond)
		w.set(func(w *world) { w.leader = true })
		w.settle(60 * time.Millisecond)
		require.Len(t, w.got(), 1, "one batch, which waits to be sent again")
		for _, r := range old {
			r.Refuse()
		}
		w.settle(time.Minute)
		w.close()
		require.Len(t, w.outcomes, dead+1)
		for _, o := range w.outcomes {
			require.Equal(t, o.Record == fresh, o.Err == nil, "%v", o.Err)
		}
	})
}

func TestBatcher_withoutRetriesTheLeaderIsLookedUpAllTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(reply{code: sarama.ErrNotLeaderForPartition}))
		w.b.cfg.MostRetries = 0
		w.send(0, "a")
		w.settle(time.Second)
		require.Equal(t, 1, w.asked)
		w.send(0, "b")
		w.settle(time.Second)
		w.close()
		require.Equal(t, []string{sarama.ErrNotLeaderForPartition.Error() + " false", "0"}, w.results(0))
	})
}

func TestBatcher_whatMayBeStoredIsNotSplit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, n := &kafka{}, 0
		w := open(t, lingering(10*time.Millisecond), func(s sent) reply {
			n++
			switch n {
			case 1: // it is stored, and the answer lost
				_ = k.append(s)
				return reply{err: io.EOF}
			case 2: // meanwhile the limit was lowered
				return reply{code: sarama.ErrMessageSizeTooLarge}
			default:
				return reply{code: k.append(s)}
			}
		})
		w.send(0, "a", "b", "c", "d")
		w.settle(10 * time.Second)
		w.send(0, "e")
		w.settle(time.Second)
		w.close()
		require.Equal(t, []string{"a", "b", "c", "d", "e"}, k.values())
		maybe := sarama.ErrMessageSizeTooLarge.Error() + " false"
		require.Equal(t, []string{maybe, maybe, maybe, maybe, "0"}, w.results(0))
	})
}

func TestBatcher_theLargestMessageIsSentAgain(t *testing.T) { //nolint:paralleltest // it changes a variable of sarama's
	former := sarama.MaxRequestSize
	sarama.MaxRequestSize = 1 << 20
	defer func() { sarama.MaxRequestSize = former }()
	most := int(sarama.MaxRequestSize) - RequestMargin // as much as may be configured
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) { c.Producer.MaxMessageBytes = most },
			scripted(reply{code: sarama.ErrNotLeaderForPartition}))
		w.send(0, strings.Repeat("x", most-36))
		w.settle(time.Minute)
		w.close()
		require.Equal(t, []string{"0"}, w.results(0))
	})
}

func TestBatcher_whatCannotBeWrittenFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		unwritable := sarama.PacketEncodingError{Info: "no"}
		w := open(t, lingering(10*time.Millisecond), func(s sent) reply {
			if s.partition == 1 {
				return reply{unsent: unwritable}
			}
			return stores(s)
		})
		for p := range int32(3) {
			w.send(p, "a")
		}
		w.settle(time.Second)
		w.close()
		require.Equal(t, []string{"0"}, w.results(0))
		require.Equal(t, []string{unwritable.Error() + " true"}, w.results(1))
		require.Equal(t, []string{"0"}, w.results(2))
		require.Zero(t, w.closed, "nothing is wrong with the connection")
	})
}

// A batch whose epoch is over, and that was not taken because of it, may have the
// next one also if there is no connection meanwhile: it was not sent again.
func TestGiveUp_toHaveNoConnectionProvesNothingAgainstABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, overtaken)
		w.send(1, "a")
		w.settle(time.Millisecond)
		w.send(0, "b")
		w.settle(500 * time.Millisecond)
		w.set(func(w *world) { w.refused = errors.New("refused") })
		w.settle(550 * time.Millisecond)
		w.set(func(w *world) { w.refused = nil })
		w.settle(time.Minute)
		w.close()
		require.Equal(t, []string{"0"}, w.results(1))
	})
}

func TestGiveUp_whatWasNeverWrittenIsProvedNotToBe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, func(sent) reply { return reply{unsent: sarama.ErrNotConnected} })
		w.send(0, "a")
		w.settle(time.Hour)
		w.close()
		require.Equal(t, []string{sarama.ErrNotConnected.Error() + " true"}, w.results(0))
		require.Empty(t, w.got())
	})
}

func TestGiveUp_whatNobodyWaitsForIsNotKeptUntilThereIsAProducerID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(reply{code: sarama.ErrUnknown}))
		w.b.ids.now.Epoch = math.MaxInt16
		asked := 0
		w.b.cfg.Identify = func(ctx context.Context) (Identity, error) {
			asked++
			select {
			case <-time.After(time.Hour):
				return w.identify(ctx)
			case <-ctx.Done():
				return Identity{}, ctx.Err()
			}
		}
		w.send(0, "lost")
		w.settle(time.Second)
		records := w.send(0, "a", "b")
		w.send(1, "c")
		w.settle(time.Millisecond)
		for _, r := range records {
			r.Refuse()
		}
		w.settle(3 * time.Second)
		require.Len(t, w.results(0), 3)
		require.Empty(t, w.results(1))
		w.settle(2 * time.Hour)
		require.Equal(t, []string{"0"}, w.results(1))
		require.Equal(t, 1, asked)
		w.close()
	})
}

// The leader moves while a request is being put together, so that another sender
// has the next batch of the partition.
func TestGiveUp_isToldBeforeWhatComesAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, lingering(time.Second), stores)
		first := w.send(0, "first")
		w.send(0, "second")
		w.send(1, "x")
		w.settle(100 * time.Millisecond)
		w.b.topic("t").partitions[0].shrink(1) // a batch is one record
		first[0].Refuse()
		var once sync.Once
		told := 0
		w.set(func(w *world) {
			// Asked for when the partition is let go of.
			w.onLeader = func() { once.Do(func() { told = len(w.outcomes) }) }
		})
		w.settle(time.Minute)
		w.close()
		require.Equal(t, 1, told, "the outcome of the first was handed over before its partition was")
		require.Len(t, w.results(0), 2)
	})
}
