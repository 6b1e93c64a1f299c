package producer

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/lane"
)

// cluster answers what the producer asks about topics.
type cluster struct {
	mu    sync.Mutex
	topic map[string]error // what it says; absent: the topic exists
	asked map[string]int
}

func (c *cluster) say(topic string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topic == nil {
		c.topic = map[string]error{}
	}
	c.topic[topic] = err
}

func (c *cluster) ask(topic string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = map[string]int{}
	}
	c.asked[topic]++
	return c.topic[topic]
}

func (c *cluster) asks(topic string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[topic]
}

func TestAsync_Send_toANewTopicDoesNotWaitForTheCluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openAsync(t)
		answer := make(chan struct{})
		f.answers = func(string) error { <-answer; return nil }
		began := time.Now()
		require.NoError(t, p.Send(t.Context(), tagged("t", "0")))
		require.NoError(t, p.TrySend(t.Context(), tagged("t", "1")))
		require.NoError(t, p.SendFunc(t.Context(), tagged("t", "2"), nil))
		require.Zero(t, time.Since(began))
		synctest.Wait()
		require.Empty(t, f.submitted(), "sarama would hold up every topic for one that it does not know")
		close(answer)
		synctest.Wait()
		require.Equal(t, numbered(3), tagsOf(f.submitted()))
	})
}

func TestTopic_parksInOrderUntilItIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c cluster
		p, f := openAsync(t)
		f.answers = c.ask
		c.say("t", lane.ErrUnknown)
		const n = 200
		for i, tag := range numbered(n) {
			if i == n/2 {
				c.say("t", nil) // created; the rest comes while what is parked is fed
				advance(time.Second)
			}
			require.NoError(t, p.Send(t.Context(), tagged("t", tag)))
		}
		synctest.Wait()
		require.Equal(t, numbered(n), tagsOf(f.submitted()))
	})
}

func TestTopic_thatIsUnknownFailsItsMessagesAfterTheGrace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		option Option
		grace  time.Duration
	}{"default": {nil, 5 * time.Second}, "set": {WithUnknownTopicTimeout(700 * time.Millisecond), 700 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				var told reports
				p, f := open(told.options(), c.option)
				f.answers = func(string) error { return lane.ErrUnknown }
				sends := []call{beginSend(t, p, text("missing", "v")), beginSend(t, p, text("missing", "v"))}
				advance(c.grace - time.Nanosecond)
				require.Empty(t, told.all())
				advance(time.Nanosecond)
				for i, send := range sends {
					failure := failed(t, send, &told, i)
					require.ErrorIs(t, failure, ErrUnknownTopic)
					require.Equal(t, NotPersisted, failure.Status)
					require.Equal(t, "missing", failure.Topic)
					require.EqualValues(t, -1, failure.Partition)
					require.Zero(t, failure.Attempts)
					require.False(t, IsRetriable(failure))
				}
				require.Empty(t, f.submitted(), "it never reached sarama")
				require.Zero(t, p.Stats().Buffered)
				require.Zero(t, p.Stats().Held)
			})
		})
	}
}

func TestTopic_thatIsCreatedWithinTheGraceGetsItsMessages(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var c cluster
		p, f := open()
		f.answers, f.auto = c.ask, true
		c.say("t", lane.ErrUnknown)
		send := beginSend(t, p, text("t", "v"))
		advance(4 * time.Second)
		require.Empty(t, f.submitted())
		c.say("t", nil)
		advance(time.Second)
		require.NoError(t, send.result())
		require.EqualValues(t, 1, p.Stats().Delivered)
	})
}

func TestTopic_thatIsUnknownDoesNotDelayOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reports
		p, f := openAsync(t, told.options())
		f.auto = true
		silent := make(chan struct{})
		f.answers = func(topic string) error {
			switch topic {
			case "missing":
				return lane.ErrUnknown
			case "silent":
				<-silent
				return lane.ErrNoAnswer
			}
			return nil
		}
		began := time.Now()
		for i := range 1000 {
			for _, topic := range []string{"missing", "silent", fmt.Sprint("missing", i), "healthy"} {
				require.NoError(t, p.Send(t.Context(), text(topic, "v")))
			}
		}
		synctest.Wait()
		require.Zero(t, time.Since(began))
		healthy := 0
		for _, r := range told.all() {
			require.NoError(t, r.err)
			if r.msg.Topic == "healthy" {
				healthy++
			}
		}
		require.Equal(t, 1000, healthy)
		close(silent)
	})
}

// A cluster that does not answer proves nothing about a topic.
func TestTopic_withoutAnAnswerIsLeftToTheDeliveryTimeout(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options(), WithDeliveryTimeout(20*time.Second))
		f.answers = func(string) error { return lane.ErrNoAnswer }
		send := beginSend(t, p, text("t", "v"))
		advance(20*time.Second - time.Nanosecond)
		require.Empty(t, told.all())
		advance(time.Nanosecond)
		failure := failed(t, send, &told, 0)
		require.ErrorIs(t, failure, ErrDeliveryTimeout)
		require.NotErrorIs(t, failure, ErrUnknownTopic)
		require.Equal(t, NotPersisted, failure.Status)
		require.True(t, SafeToRetry(failure))
		require.Zero(t, p.Stats().Buffered, "nobody holds it any more")
	})
}

// A broker that has just come back may not know its topics yet.
func TestTopic_hasItsWholeGraceAfterAnOutage(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var c cluster
		p, f := open()
		f.answers, f.auto = c.ask, true
		c.say("t", lane.ErrNoAnswer)
		send := beginSend(t, p, text("t", "v"))
		advance(30 * time.Second)
		c.say("t", lane.ErrUnknown)
		advance(4 * time.Second)
		c.say("t", nil)
		advance(2 * time.Second)
		require.NoError(t, send.result())
		require.EqualValues(t, 1, p.Stats().Delivered)
	})
}

func TestTopic_thatMayNotBeWrittenFailsItsMessagesAtOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options())
		f.answers = func(string) error { return sarama.ErrTopicAuthorizationFailed }
		began := time.Now()
		send := beginSend(t, p, text("secret", "v"))
		failure := failed(t, send, &told, 0)
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, failure, sarama.ErrTopicAuthorizationFailed)
		require.Equal(t, NotPersisted, failure.Status)
		require.False(t, IsRetriable(failure))
	})
}

func TestTopic_thatIsCreatedAfterItFailedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var c cluster
		p, f := open()
		f.answers, f.auto = c.ask, true
		c.say("t", lane.ErrUnknown)
		_ = beginSend(t, p, text("t", "early"))
		advance(time.Minute)
		require.EqualValues(t, 1, p.Stats().Failed)
		c.say("t", nil)
		send := beginSend(t, p, text("t", "late"))
		require.NoError(t, send.result())
		synctest.Wait()
		require.EqualValues(t, 1, p.Stats().Delivered)
	})
}

func TestTopic_isAskedForOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var c cluster
		p, f := open()
		f.answers, f.auto = c.ask, true
		for range 100 {
			require.NoError(t, p.Send(t.Context(), text("t", "v")))
			advance(time.Second)
		}
		require.Equal(t, 1, c.asks("t"))
	})
}

func TestTopic_namedByWithTopicsIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var c cluster
		p, f := open(WithTopics("a", "b")) // the constructor has asked
		f.answers, f.auto = c.ask, true
		for _, topic := range []string{"a", "b", "c"} {
			require.NoError(t, p.Send(t.Context(), text(topic, "v")))
		}
		synctest.Wait()
		require.Equal(t, map[string]int{"c": 1}, c.asked)
		require.EqualValues(t, 3, p.Stats().Delivered, "other topics can be sent to as well")
	})
}

func TestTopic_isNotAskedForOnceNobodyWaits(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var c cluster
		p, f := open(WithDeliveryTimeout(10 * time.Second))
		f.answers, f.auto = c.ask, true
		c.say("t", lane.ErrNoAnswer)
		_ = beginSend(t, p, text("t", "v"))
		advance(20 * time.Second)
		asks := c.asks("t")
		advance(time.Hour)
		require.Equal(t, asks, c.asks("t"))
		c.say("t", nil)
		send := beginSend(t, p, text("t", "v"))
		require.NoError(t, send.result(), "the next message asks again")
	})
}

func TestTopic_thatSeemsDeletedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var c cluster
		p, f := open()
		f.answers, f.auto = c.ask, true
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		synctest.Wait()
		c.say("t", lane.ErrUnknown)
		coreOf(p).lanes.Suspect("t") // as the transport does
		send := beginSend(t, p, text("t", "v"))
		require.Len(t, f.submitted(), 1, "parked")
		c.say("t", nil)
		advance(time.Second)
		require.NoError(t, send.result())
		require.Len(t, f.submitted(), 2)
	})
}

// The messages that were queued before it seemed deleted, with nobody who sends
// another one.
func TestTopic_thatSeemsDeletedIsAskedForByTheMessagesThatWait(t *testing.T) {
	t.Parallel()
	for name, exists := range map[string]bool{"exists": true, "deleted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				var told reports
				var c cluster
				p, f := open(told.options(), WithSaramaConfig(func(c *sarama.Config) { c.ChannelBufferSize = 1 }))
				f.answers = c.ask
				_ = beginSend(t, p, tagged("t", "inside"))
				queued := beginSend(t, p, tagged("t", "queued"))
				require.Len(t, f.submitted(), 1)
				if !exists {
					c.say("t", lane.ErrUnknown)
				}
				coreOf(p).lanes.Suspect("t")
				f.fail(f.first(t), sarama.ErrUnknownTopicOrPartition)
				advance(5 * time.Second)
				if exists {
					f.deliver(f.first(t))
					require.NoError(t, queued.result())
					return
				}
				require.ErrorIs(t, failed(t, queued, &told, 1), ErrUnknownTopic)
			})
		})
	}
}

func TestTopic_ofAWithdrawnMessageForgetsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c cluster
		p, f := openSync(t)
		f.answers, f.auto = c.ask, true
		c.say("t", lane.ErrUnknown)
		ctx, cancel := context.WithCancel(t.Context())
		send := begin(t, func() error { return p.Send(ctx, tagged("t", "withdrawn")) })
		cancel()
		require.Equal(t, NotPersisted, failureOf(t, send.result()).Status)
		c.say("t", nil)
		require.NoError(t, p.Send(t.Context(), tagged("t", "next")))
		advance(time.Minute)
		require.Equal(t, []string{"next"}, tagsOf(f.submitted()))
	})
}

// A record is given up after it has left the queue of a topic that was found
// missing, and before it is reported as such.
func TestTopic_thatFailsWhileItsMessagesAreGivenUpKeepsItsBooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := newFakeAsync(t)
		f.answers = func(string) error { return lane.ErrNoAnswer }
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		c := coreOf(p)
		left, _ := c.registry.Undecided(time.Now())
		require.Len(t, left, 1)
		r := left[0]
		require.True(t, r.Lane.Withdraw(r), "as the check does when it fails")
		require.True(t, c.giveUp(r, ErrDeliveryTimeout))
		c.neverHanded(left, ErrUnknownTopic)
		require.False(t, c.lanes.Live("t"))
		synctest.Wait()
		s := p.Stats()
		require.Zero(t, s.Held)
		require.Zero(t, s.Buffered)
		require.EqualValues(t, 1, s.Failed)

		// The books are right if one record in the transport counts as one.
		f.answers = nil
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		advance(5 * time.Second)
		require.Len(t, f.holding(), 1)
		require.True(t, c.lanes.Live("t"))
		f.deliver(f.holding()[0])
		require.NoError(t, p.Close(context.Background()))
	})
}
