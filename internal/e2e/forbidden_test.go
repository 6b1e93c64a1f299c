package e2e

import (
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

// Each message to them fails at once, and each asks the cluster again, so a loop
// that goes on sending asks all the time.
//
//nolint:paralleltest // it measures
func TestForbidden_topicsThatAreSentToAllTheTimeDoNotSlowAHealthyOne(t *testing.T) {
	oneByOne(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithTopic("forbidden", 1))
		r := newRig(t, m, cluster, producer.WithUnknownTopicTimeout(100*time.Millisecond))
		ctx := bounded(t)
		r.warm(50)
		undisturbed := took(func() { r.run(ctx, load{senders: 2, each: 300}) })
		forbidden := cluster.FailMetadata("forbidden", int16(sarama.ErrTopicAuthorizationFailed))
		refused := cluster.FailProduce(int16(sarama.ErrTopicAuthorizationFailed), kafkatest.OnTopic("forbidden"))
		stop := make(chan struct{})
		var others sync.WaitGroup
		for sender, name := range []string{"forbidden", "misspelt"} {
			others.Go(func() {
				// As fast as a service that logs each failure.
				for pace := time.NewTicker(2 * time.Millisecond); ; <-pace.C {
					select {
					case <-stop:
						return
					default:
					}
					m, msg := r.next(100+sender, name, nil)
					r.answered(m, r.p.Send(ctx, msg))
				}
			})
		}
		require.NoError(t, forbidden.Wait(ctx, 5))
		beside := took(func() { r.run(ctx, load{senders: 2, each: 300}) })
		t.Logf("600 messages alone: %v, beside: %v", undisturbed, beside)
		require.Less(t, beside, 2*undisturbed+2*slack)
		close(stop)
		others.Wait()
		r.finish(forbidden)
		require.Equal(t, 50+2*600, r.delivered())
		for _, err := range r.failures() {
			failure := judge.DeliveryError(err)
			require.Equal(t, producer.NotPersisted, failure.Status)
			switch failure.Topic {
			case "forbidden":
				require.ErrorIs(t, err, sarama.ErrTopicAuthorizationFailed)
			default:
				require.ErrorIs(t, err, producer.ErrUnknownTopic)
			}
		}
		require.Zero(t, refused.Hits(), "nothing was sent to it")
	})
}
