package batch

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/partition"
	"github.com/saramakit/producer/internal/record"
)

func plain(c *sarama.Config) { c.Producer.Idempotent = false }

func lingering(d time.Duration) func(*sarama.Config) {
	return func(c *sarama.Config) { c.Producer.Flush.Frequency = d }
}

func TestBatcher_recordsComeBackInOrderWithTheirOffsets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, stores)
		w.send(0, "a", "b", "c")
		w.send(1, "d")
		w.settle(time.Second)
		w.send(0, "e")
		w.settle(time.Second)
		w.close()
		require.Equal(t, []string{"0", "1", "2", "3"}, w.results(0))
		require.Equal(t, []string{"0"}, w.results(1))
	})
}

func TestBatcher_whatComesWhileABatchIsOnItsWayIsOneBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, func(sent) reply { return reply{wait: time.Second} })
		w.send(0, "a")
		w.settle(100 * time.Millisecond)
		for range 5 {
			w.send(0, "b")
			w.settle(10 * time.Millisecond)
		}
		require.Len(t, w.got(), 1, "one batch of a partition at a time")
		w.settle(5 * time.Second)
		w.close()
		require.Len(t, w.got(), 2)
		require.Len(t, w.got()[1].values, 5)
	})
}

func TestBatcher_whatLingersIsSentTogetherAndNoLaterThanItIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, lingering(40*time.Millisecond), stores)
		began := time.Now()
		w.send(0, "a")
		w.settle(10 * time.Millisecond)
		w.send(0, "b")
		w.send(1, "c")
		w.settle(time.Second)
		w.close()
		require.Equal(t, 1, w.requests)
		require.Len(t, w.got(), 2)
		require.Equal(t, 40*time.Millisecond, w.got()[0].at.Sub(began))
	})
}

func TestBatcher_aFullBatchDoesNotLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) {
			c.Producer.Flush.Frequency = time.Minute
			c.Producer.MaxMessageBytes = 1000
		}, stores)
		w.send(0, strings.Repeat("a", 400), strings.Repeat("b", 400), strings.Repeat("c", 400))
		w.settle(time.Second)
		require.NotEmpty(t, w.got())
		require.Len(t, w.got()[0].values, 2, "no more than fit")
		w.close()
		require.Len(t, w.results(0), 3)
	})
}

func TestBatcher_enoughMessagesDoNotLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) {
			c.Producer.Flush.Frequency, c.Producer.Flush.Messages = time.Minute, 3
		}, stores)
		w.send(0, "a", "b")
		w.settle(time.Second)
		require.Empty(t, w.got())
		w.send(1, "c")
		w.settle(time.Second)
		require.Len(t, w.got(), 2)
		w.close()
	})
}

func TestBatcher_aRequestHoldsNoMoreMessagesThanItIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) {
			c.Producer.Flush.Frequency, c.Producer.Flush.MaxMessages = 10*time.Millisecond, 3
		}, stores)
		w.send(0, "a", "b")
		w.send(1, "c", "d")
		w.send(2, "e", "f")
		w.settle(time.Second)
		w.close()
		for p := range int32(3) {
			require.Equal(t, []string{"0", "1"}, w.results(p))
		}
		for _, s := range w.got() {
			require.LessOrEqual(t, len(s.values), 3)
		}
	})
}

func TestBatcher_aRetryIsTheSameBatchWithTheSameSequence(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]reply{
		"code":             {code: sarama.ErrNotLeaderForPartition},
		"connection broke": {err: io.EOF, wait: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, nil, scripted(reply{}, first))
				w.send(0, "before")
				w.settle(time.Second)
				w.send(0, "a", "b")
				w.settle(50 * time.Millisecond)
				w.send(0, "later")
				w.settle(time.Second)
				w.close()
				got := w.got()
				require.Len(t, got, 4)
				require.Equal(t, got[1].values, got[2].values)
				require.EqualValues(t, 1, got[1].sequence)
				require.EqualValues(t, 1, got[2].sequence)
				require.EqualValues(t, 3, got[3].sequence)
				require.GreaterOrEqual(t, got[2].at.Sub(got[1].at), 100*time.Millisecond)
				require.Equal(t, []string{"0", "1", "2", "3"}, w.results(0))
			})
		})
	}
}

func TestBatcher_whatWasGivenUpIsLeftOutOfARetryWithoutASequence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, plain, scripted(reply{code: sarama.ErrNotLeaderForPartition}))
		records := w.send(0, "a", "b", "c")
		w.settle(50 * time.Millisecond)
		_, ok := records[1].Refuse()
		require.True(t, ok)
		w.settle(time.Second)
		w.close()
		require.Equal(t, []string{"a", "c"}, w.got()[1].values)
		require.Len(t, w.outcomes, 3)
	})
}

func TestBatcher_whatWasGivenUpBeforeItIsSentIsNeverSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, lingering(time.Second), stores)
		records := w.send(0, "a", "b")
		_, ok := records[0].Refuse()
		require.True(t, ok)
		w.settle(5 * time.Second)
		w.close()
		require.Equal(t, []string{"b"}, w.got()[0].values)
		require.Len(t, w.outcomes, 2)
		require.Zero(t, records[0].Attempts())
	})
}

func TestBatcher_afterAnUncertainEndTheNextBatchBeginsAnEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(reply{}, reply{}, reply{code: sarama.ErrUnknown}))
		w.send(0, "a")
		w.settle(time.Second)
		w.send(1, "b")
		w.settle(time.Second)
		w.send(0, "lost")
		w.settle(time.Second)
		w.send(0, "c")
		w.settle(time.Second)
		w.send(1, "d")
		w.settle(time.Second)
		w.close()
		got := w.got()
		require.EqualValues(t, 1, got[2].sequence)
		for _, s := range got[3:] {
			require.EqualValues(t, 1, s.epoch)
			require.EqualValues(t, 0, s.sequence)
		}
		require.Contains(t, w.results(0)[1], "false", "it may have been written")
	})
}

func TestBatcher_aSequenceIsNotUsedAgainEvenIfItWasNotStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(reply{}, reply{code: sarama.ErrInvalidRecord}))
		w.send(0, "a")
		w.settle(time.Second)
		w.send(0, "refused")
		w.settle(time.Second)
		w.send(0, "b")
		w.settle(time.Second)
		w.close()
		got := w.got()
		require.EqualValues(t, 1, got[1].sequence)
		require.EqualValues(t, 1, got[2].epoch)
		require.Zero(t, got[2].sequence)
		require.Contains(t, w.results(0)[1], "true", "it is known not to be written")
	})
}

func TestBatcher_anEpochThatAnotherPartitionHasEndedIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, overtaken)
		w.send(1, "a")
		w.settle(time.Millisecond)
		w.send(0, "b")
		w.settle(time.Minute)
		w.close()
		require.Equal(t, []string{"0"}, w.results(1))
	})
}

func TestBatcher_whenTheEpochsAreUsedUpThereIsANewIdentity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(reply{code: sarama.ErrUnknown}))
		w.b.ids.now.Epoch = math.MaxInt16
		w.send(0, "lost")
		w.settle(time.Second)
		w.send(0, "a")
		w.settle(time.Second)
		w.close()
		got := w.got()
		require.EqualValues(t, 1, got[0].id)
		require.EqualValues(t, 2, got[1].id)
		require.Zero(t, got[1].epoch)
		require.Zero(t, got[1].sequence)
	})
}

func TestBatcher_theSequenceBeginsAnewAfterTheHighestNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, stores)
		w.send(0, "a")
		w.settle(time.Second)
		w.b.topic("t").partitions[0].sequence = math.MaxInt32
		w.send(0, "b", "c")
		w.settle(time.Second)
		w.send(0, "d")
		w.settle(time.Second)
		w.close()
		require.EqualValues(t, 1, w.got()[2].sequence)
	})
}

func TestBatcher_whatIsTooLargeTogetherIsSentInHalves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, func(s sent) reply {
			if len(s.values) > 2 || slices.Contains(s.values, "large") {
				return reply{code: sarama.ErrMessageSizeTooLarge}
			}
			return stores(s)
		})
		w.send(0, "a", "b", "c", "d", "large", "e")
		w.settle(time.Minute)
		w.close()
		results := w.results(0)
		require.Len(t, results, 6)
		require.Equal(t, []string{"0", "1", "2", "3"}, results[:4])
		require.Contains(t, results[4], "true", "a proof")
		require.Equal(t, "4", results[5])
		for _, s := range w.got()[:4] {
			require.Zero(t, s.epoch, "to be too large together is no failure")
		}
	})
}

func TestBatcher_withoutAConnectionNothingCountsAsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) { c.Producer.Retry.Max = 3 }, stores)
		w.set(func(w *world) { w.refused = errors.New("refused") })
		records := w.send(0, "a", "b")
		w.settle(time.Minute)
		require.Equal(t, []string{"refused true", "refused true"}, w.results(0))
		require.Zero(t, records[0].Attempts())
		w.set(func(w *world) { w.refused = nil })
		w.send(0, "c")
		w.settle(time.Second)
		w.close()
		require.Equal(t, "0", w.results(0)[2])
	})
}

func TestBatcher_withoutALimitRecordsWaitAsLongAsTheyAreWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) { c.Producer.Retry.Max = -1 }, stores)
		w.set(func(w *world) { w.refused = errors.New("refused") })
		records := w.send(0, "a", "b")
		w.settle(time.Hour)
		require.Empty(t, w.results(0))
		records[0].Refuse()
		w.settle(time.Hour)
		require.Len(t, w.results(0), 1)
		w.set(func(w *world) { w.refused = nil })
		w.settle(time.Hour)
		w.close()
		require.Equal(t, []string{"b"}, w.got()[0].values)
	})
}

func TestBatcher_recordsWaitForALeaderAndThoseGivenUpAreReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, stores)
		w.send(0, "first")
		w.settle(time.Second)
		w.set(func(w *world) { w.leader = false })
		records := w.send(0, "a", "b")
		w.settle(time.Second)
		records[0].Refuse()
		w.settle(time.Second)
		require.Len(t, w.results(0), 2, "the one that was given up is back")
		w.set(func(w *world) { w.leader = true })
		w.settle(time.Second)
		w.close()
		require.Equal(t, []string{"b"}, w.got()[1].values)
	})
}

func TestBatcher_aTopicThatStaysUnknownIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, stores)
		w.set(func(w *world) { w.topics["t"] = 0 })
		w.send(0, "a")
		w.settle(900 * time.Millisecond)
		require.Empty(t, w.results(0))
		w.settle(time.Second)
		require.Len(t, w.results(0), 1)
		require.Contains(t, w.results(0)[0], "true")
		w.close()
	})
}

func TestBatcher_anAbortReturnsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, func(s sent) reply {
			if s.partition == 0 {
				return reply{hang: true}
			}
			return reply{code: sarama.ErrNotEnoughReplicas}
		})
		w.send(0, "on its way")
		w.settle(10 * time.Millisecond)
		w.send(1, "waits for a retry")
		w.send(0, "behind it")
		w.settle(10 * time.Millisecond)
		w.set(func(w *world) { w.leader = false })
		w.send(2, "without a leader")
		w.settle(10 * time.Millisecond)
		began := time.Now()
		w.abort()
		broker{w, 0}.Close() // which is what the caller cuts
		w.close()
		require.Zero(t, time.Since(began))
		aborted := ErrAborted.Error()
		require.Equal(t, []string{aborted + " false", aborted + " true"}, w.results(0))
		require.Equal(t, []string{aborted + " false"}, w.results(1))
		require.Equal(t, []string{aborted + " true"}, w.results(2))
	})
}

func TestBatcher_anAbortWithALeaderEndsToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, lingering(time.Minute), stores)
		w.send(0, "a")
		w.settle(time.Second)
		w.abort()
		w.settle(time.Second)
		w.send(0, "b")
		w.close()
		aborted := ErrAborted.Error() + " true"
		require.Equal(t, []string{aborted, aborted}, w.results(0))
		require.Empty(t, w.got())
	})
}

func TestBatcher_closeSendsWhatLingersAndTriesNothingAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, lingering(time.Minute), func(s sent) reply {
			if s.partition == 1 {
				return reply{code: sarama.ErrNotLeaderForPartition}
			}
			return stores(s)
		})
		w.send(0, "a")
		w.send(1, "b")
		w.close()
		require.Equal(t, []string{"0"}, w.results(0))
		require.Equal(t, []string{sarama.ErrNotLeaderForPartition.Error() + " false"}, w.results(1))
	})
}

func TestBatcher_aConnectionThatBrokeIsClosedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, scripted(reply{err: io.EOF, wait: time.Millisecond}, reply{err: io.EOF, wait: time.Millisecond}))
		w.send(0, "a")
		w.send(1, "b")
		w.settle(time.Minute)
		w.close()
		require.Equal(t, []string{"0"}, w.results(0))
		require.Equal(t, []string{"0"}, w.results(1))
		require.LessOrEqual(t, w.closed, 2)
	})
}

func TestBatcher_aSizeThatWasTooLargeIsNotTriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := 0
		w := open(t, nil, func(s sent) reply {
			if len(s.values) > 10 {
				refused++
				return reply{code: sarama.ErrMessageSizeTooLarge}
			}
			return stores(s)
		})
		for range 30 {
			for range 16 {
				w.send(0, "a")
			}
			w.settle(time.Second)
		}
		w.close()
		require.Len(t, w.results(0), 30*16)
		require.Less(t, refused, 20, "of 30 that would have been")
	})
}

func TestBatcher_aPromptPartitionerKeepsTheOrderOfThoseThatHadToWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) {
			c.Producer.Partitioner = partition.Guard(partition.New, record.Around{})
			c.Producer.Flush.Frequency = 3 * time.Millisecond
		}, stores)
		w.set(func(w *world) { w.topics["t"] = 0 })
		var want []string
		for i := range 200 {
			v := fmt.Sprint(i)
			want = append(want, v)
			w.sendKeyed(v)
			if i == 50 {
				w.set(func(w *world) { w.topics["t"] = 4 })
			}
			if i%10 == 0 {
				w.settle(10 * time.Millisecond)
			}
		}
		w.settle(time.Second)
		require.False(t, w.b.topic("t").placing)
		w.close()
		var got []string
		for _, s := range w.got() {
			got = append(got, s.values...)
		}
		require.Equal(t, want, got)
	})
}

func TestBatcher_aPartitionerThatWaitsHoldsUpItsTopicOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		w := open(t, func(c *sarama.Config) {
			c.Producer.Partitioner = func(topic string) sarama.Partitioner {
				return &slow{Partitioner: sarama.NewManualPartitioner(topic), waits: topic == "slow", until: until}
			}
		}, stores)
		w.set(func(w *world) { w.topics["slow"] = 1 })
		w.sendTo("slow", 0, "", "a")
		w.send(0, "b")
		w.settle(time.Second)
		require.Len(t, w.got(), 1)
		close(until)
		w.settle(time.Second)
		w.close()
		require.Len(t, w.got(), 2)
	})
}

// slow is a partitioner that waits for the test.
type slow struct {
	sarama.Partitioner
	waits bool
	until <-chan struct{}
}

func (p *slow) Partition(msg *sarama.ProducerMessage, n int32) (int32, error) {
	if p.waits {
		<-p.until
	}
	return p.Partitioner.Partition(msg, n)
}

func TestBatcher_withoutAcksWhatIsWrittenIsDelivered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) {
			c.Producer.Idempotent, c.Producer.RequiredAcks = false, sarama.NoResponse
		}, stores)
		w.send(0, "a", "b")
		w.settle(time.Second)
		w.close()
		require.Equal(t, []string{"-1", "-1"}, w.results(0))
	})
}

func TestBatcher_aSenderWithNothingToDoForLongEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil, stores)
		w.send(0, "a")
		w.settle(2 * idleness)
		require.Empty(t, w.b.senders)
		w.send(0, "b")
		w.settle(time.Second)
		w.close()
		require.Equal(t, []string{"0", "1"}, w.results(0))
	})
}

// A partition that is just being put into a sender's list may get more before it is
// in it.
func TestBatcher_whatComesWhileItsPartitionIsOnTheWayToASenderCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, func(c *sarama.Config) {
			c.Producer.Flush.Frequency, c.Producer.Flush.Messages = time.Minute, 2
		}, stores)
		w.send(0, "a", "b")
		w.settle(time.Second)
		w.b.senders[broker{w, 0}].more(1, 10, false)
		w.send(0, "c")
		w.settle(time.Second)
		require.Len(t, w.results(0), 3)
		w.close()
	})
}
