package batch

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// choosing is a user's partitioner.
type choosing func(msg *sarama.ProducerMessage) (int32, error)

func (c choosing) Partition(msg *sarama.ProducerMessage, _ int32) (int32, error) { return c(msg) }

func (choosing) RequiresConsistency() bool { return true }

// MessageRequiresConsistency says that only a message with a key may go to a
// partition without a leader.
func (choosing) MessageRequiresConsistency(msg *sarama.ProducerMessage) bool { return msg.Key != nil }

func (c choosing) use(conf *sarama.Config) {
	conf.Producer.Partitioner = func(string) sarama.Partitioner { return c }
}

func TestTopic_whatHasAPlaceDoesNotWaitForASlowPartitioner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := choosing(func(*sarama.ProducerMessage) (int32, error) {
			time.Sleep(time.Millisecond) //nolint:forbidigo // virtual
			return 0, nil
		})
		w := open(t, slow.use, stores)
		began := time.Now()
		for i := range 1000 {
			w.sendKeyed(fmt.Sprint(i))
		}
		w.settle(time.Minute)
		w.close()
		last := began
		for _, s := range w.got() {
			require.Less(t, s.at.Sub(last), 10*time.Millisecond)
			last = s.at
		}
		require.Len(t, w.results(0), 1000)
	})
}

func TestTopic_anOutcomeDoesNotWaitForTheLeaderOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		no := errors.New("no")
		refusing := choosing(func(*sarama.ProducerMessage) (int32, error) { return -1, no })
		w := open(t, func(c *sarama.Config) {
			refusing.use(c)
			c.Producer.Flush.Frequency = 10 * time.Millisecond // so that both are in one lot
		}, stores)
		w.set(func(w *world) { w.leader = false })
		w.sendKeyed("refused")
		w.sendTo("t", 0, "", "waits")
		w.settle(time.Minute)
		require.Len(t, w.results(0), 1)
		require.ErrorIs(t, w.outcomes[0].Err, no)
		w.abort()
		w.close()
		require.Len(t, w.results(0), 2)
	})
}

func TestTopic_aPartitionerThatEndsTheGoroutineFailsOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		leaving := choosing(func(*sarama.ProducerMessage) (int32, error) {
			if asked++; asked == 2 {
				runtime.Goexit()
			}
			return 0, nil
		})
		w := open(t, func(c *sarama.Config) {
			leaving.use(c)
			c.Producer.Flush.Frequency = 10 * time.Millisecond
		}, stores)
		for i := range 4 {
			w.sendKeyed(fmt.Sprint(i))
		}
		w.settle(time.Minute)
		w.sendKeyed("later")
		w.settle(time.Minute)
		w.close()
		require.ElementsMatch(t, []string{"0", errExited.Error() + " true", "1", "2", "3"}, w.results(0))
	})
}
