package producer

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// stuckFor is how sarama deals with a partition that makes no progress: what it
// does with a record of it, until it lets go.
var stuckFor = map[string]func(f *fake, r *record.Record, healed *atomic.Bool){ //nolint:gochecknoglobals // a table
	// A frozen leader: it never lets go.
	"frozen": func(f *fake, r *record.Record, _ *atomic.Bool) { f.batch(r) },
	// NOT_ENOUGH_REPLICAS: it asks the Encoder again every second, and lets go
	// when that refuses.
	"retried": func(f *fake, r *record.Record, healed *atomic.Bool) {
		var again func()
		again = func() {
			switch {
			case healed.Load():
				f.deliver(r)
			case f.batch(r):
				time.AfterFunc(time.Second, again)
			default:
				f.fail(r, record.ErrRefused)
			}
		}
		again()
	},
	// It waits in sarama for others of its partition.
	"waiting": func(*fake, *record.Record, *atomic.Bool) {},
}

// For an hour a topic makes no progress while its senders go on. What the
// producer holds stays within the budget, everything ends in time, another topic
// notices nothing, and afterwards the topic works again.
func TestStuck_aTopicWithoutProgressForAnHourCostsItsPartOfTheBudgetAndNoMore(t *testing.T) {
	t.Parallel()
	for name, stuck := range stuckFor {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				const most, part = 60, 40
				const delivery, block = 2 * time.Minute, time.Second
				p, f := open(WithMaxBuffered(most), WithMaxBufferedPerTopic(part), WithMaxBlock(block),
					WithDeliveryTimeout(delivery), WithTopics("stuck", "healthy"),
					// Seven places in sarama for each topic, the others queue up.
					WithSaramaConfig(func(c *sarama.Config) { c.ChannelBufferSize = 8 }))
				var healed atomic.Bool
				f.submit = func(r *record.Record) {
					if r.Msg.Topic == "healthy" || healed.Load() {
						f.deliver(r)
						return
					}
					stuck(f, r, &healed)
				}
				began := time.Now()
				var senders sync.WaitGroup
				for _, load := range []struct {
					topic   string
					senders int
					every   time.Duration
				}{{"stuck", 50, 20 * time.Second}, {"healthy", 2, time.Second}} {
					for range load.senders {
						senders.Go(func() {
							for ; time.Since(began) < time.Hour; <-time.After(load.every) {
								sent := time.Now()
								err := p.Send(t.Context(), text(load.topic, "v"))
								took := time.Since(sent)
								if load.topic == "healthy" && (err != nil || took > 0) {
									t.Errorf("a healthy topic: %v after %v", err, took)
								}
								if took > block+delivery {
									t.Errorf("Send took %v", took)
								}
							}
						})
					}
				}
				for time.Since(began) < time.Hour {
					advance(time.Minute)
					s := p.Stats()
					requireBalanced(t, s)
					require.LessOrEqual(t, s.Buffered, int64(part))
					require.LessOrEqual(t, s.OldestInFlight, delivery)
				}
				senders.Wait()
				s := p.Stats()
				require.Greater(t, s.Delivered, int64(2*3500), "void: the healthy topic had no load")
				require.Greater(t, s.Rejected, int64(10*part), "void: the stuck topic had no load")
				// It let go of its part at most once in a delivery timeout.
				require.LessOrEqual(t, s.Failed, int64(part*(1+time.Hour/delivery)))
				require.Positive(t, s.Failed)

				healed.Store(true)
				advance(2 * time.Second) // those that are tried again
				f.deliverAll()
				advance(delivery)
				before := p.Stats().Delivered
				require.NoError(t, p.Send(t.Context(), text("stuck", "v")))
				synctest.Wait()
				require.Equal(t, before+1, p.Stats().Delivered, "it works again")
				s = p.Stats()
				require.Zero(t, s.InFlight+s.Held+s.Buffered+s.BufferedBytes, "%+v", s)
			})
		})
	}
}
