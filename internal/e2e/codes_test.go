package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

// retried are the codes after which sarama sends again.
func retried() []sarama.KError {
	return []sarama.KError{
		sarama.ErrInvalidMessage,               // 2
		sarama.ErrUnknownTopicOrPartition,      // 3
		sarama.ErrLeaderNotAvailable,           // 5
		sarama.ErrNotLeaderForPartition,        // 6
		sarama.ErrRequestTimedOut,              // 7
		sarama.ErrNotEnoughReplicas,            // 19
		sarama.ErrNotEnoughReplicasAfterAppend, // 20
		sarama.ErrKafkaStorageError,            // 56
	}
}

func TestCodes_afterARetriableCodeNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, code := range retried() {
		t.Run(fmt.Sprint(int16(code)), func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster)
				fault := cluster.FailProduce(int16(code), kafkatest.Times(6))
				r.run(bounded(t), load{senders: 2, each: 60})
				r.finishWithoutFailures(fault)
			})
		})
	}
}

func TestCodes_afterARetriableCodeThatComesAfterTheAppendNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, code := range retried() {
		t.Run(fmt.Sprint(int16(code)), func(t *testing.T) {
			t.Parallel()
			// The judge finds a duplicate of an idempotent producer.
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster)
				fault := cluster.FailProduceAfterAppend(int16(code), kafkatest.Times(6))
				r.run(bounded(t), load{senders: 2, each: 60})
				r.finishWithoutFailures(fault)
			})
		})
	}
}

func TestCodes_aRetriableCodeForEverIsADeliveryTimeoutInTime(t *testing.T) {
	t.Parallel()
	const timeout = 1500 * time.Millisecond
	for _, after := range []bool{false, true} {
		for _, code := range retried() {
			t.Run(fmt.Sprintf("%d after append %t", int16(code), after), func(t *testing.T) {
				t.Parallel()
				inModes(t, modes, func(t *testing.T, m mode) {
					cluster := startCluster(t)
					r := newRig(t, m, cluster,
						producer.WithDeliveryTimeout(timeout), producer.WithUnknownTopicTimeout(10*time.Second))
					r.warm(1)

					fault := forEver(cluster, code, after)
					elapsed := took(func() { r.run(bounded(t), load{senders: 2, each: 20}) })
					elapsed += took(func() { require.NoError(t, r.p.Flush(bounded(t))) })
					require.Less(t, elapsed, timeout+slack)
					failures := r.failures()
					require.Len(t, failures, 40)
					for _, err := range failures {
						require.ErrorIs(t, err, producer.ErrDeliveryTimeout)
						require.True(t, producer.IsRetriable(err))
					}
					fault.Remove()
					// What sarama still holds has to leave before it works again.
					require.NoError(t, r.send(bounded(t)))
					r.finish(fault)
					require.Equal(t, 2, r.delivered())
				})
			})
		}
	}
}

// slack is what a busy machine may add to a bound.
const slack = time.Second

// forEver installs a code that does not go away.
func forEver(cluster *kafkatest.Cluster, code sarama.KError, after bool) *kafkatest.Fault {
	if after {
		return cluster.FailProduceAfterAppend(int16(code))
	}
	return cluster.FailProduce(int16(code))
}

// final are codes after which sarama gives a batch up, and whether they prove
// that the only attempt was not stored.
func finalCodes() map[sarama.KError]bool {
	return map[sarama.KError]bool{
		sarama.ErrUnknown:                    false, // -1
		sarama.ErrMessageSizeTooLarge:        true,  // 10
		sarama.ErrNetworkException:           false, // 13
		sarama.ErrInvalidTopic:               true,  // 17
		sarama.ErrTopicAuthorizationFailed:   true,  // 29
		sarama.ErrClusterAuthorizationFailed: true,  // 31
		sarama.ErrInvalidTimestamp:           true,  // 32
		sarama.ErrPolicyViolation:            false, // 44
		sarama.ErrOutOfOrderSequenceNumber:   false, // 45
		sarama.ErrInvalidProducerEpoch:       false, // 47
		sarama.ErrUnknownProducerID:          false, // 59
		sarama.ErrInvalidRecord:              true,  // 87
		sarama.ErrThrottlingQuotaExceeded:    true,  // 89
		sarama.ErrProducerFenced:             false, // 90
	}
}

func TestCodes_aFinalCodeFailsAtOnceWithItsStatus(t *testing.T) {
	t.Parallel()
	for code, proof := range finalCodes() {
		t.Run(fmt.Sprint(int16(code)), func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				r := newRig(t, m, cluster)
				r.warm(1)
				fault := cluster.FailProduce(int16(code))
				elapsed := took(func() { r.run(bounded(t), load{senders: 2, each: 20}) })
				elapsed += took(func() { require.NoError(t, r.p.Flush(bounded(t))) })
				require.Less(t, elapsed, 2*time.Second)
				failures := r.failures()
				require.Len(t, failures, 40)
				proved := 0
				for _, err := range failures {
					require.ErrorIs(t, err, code)
					failure := judge.DeliveryError(err)
					require.GreaterOrEqual(t, failure.Partition, int32(0))
					require.Equal(t, topic, failure.Topic)
					require.False(t, failure.Pending)
					if failure.Status == producer.NotPersisted {
						proved++
					}
				}
				if proof {
					// No retry was seen, so the proof holds for all.
					require.Equal(t, 40, proved)
				} else {
					require.Zero(t, proved)
				}
				fault.Remove()
				require.NoError(t, r.send(bounded(t)))
				r.finish(fault)
				require.Equal(t, 2, r.delivered())
			})
		})
	}
}

func TestCodes_aFinalCodeThatComesAfterTheAppendIsNotCalledNotPersisted(t *testing.T) {
	t.Parallel()
	for code, proof := range finalCodes() {
		if proof {
			continue // no broker gives it after it has appended
		}
		t.Run(fmt.Sprint(int16(code)), func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				// One partition: kfake keeps the epoch of a producer for all of
				// them, Kafka for each, and sarama's moves on with a failure.
				cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
				r := newRig(t, m, cluster, producer.WithLinger(0))
				fault := cluster.FailProduceAfterAppend(int16(code), kafkatest.Times(3))
				r.run(bounded(t), load{senders: 2, each: 60})
				require.NoError(t, fault.Wait(bounded(t), 3))
				require.NoError(t, r.p.Flush(bounded(t)))
				require.NoError(t, r.send(bounded(t)))
				r.finish(fault)
				require.NotEmpty(t, r.failures())
				for _, err := range r.failures() {
					require.ErrorIs(t, err, code)
					require.True(t, producer.MayHaveBeenWritten(err))
				}
				require.NotZero(t, r.delivered())
			})
		})
	}
}

func TestCodes_aProofOfTheLastAttemptIsNoneOfTheFirst(t *testing.T) {
	t.Parallel()
	// The first attempt is stored, its answer is lost; the second is refused
	// with a code that proves something of that attempt only.
	for name, first := range map[string]func(*kafkatest.Cluster) *kafkatest.Fault{
		"answer lost": func(c *kafkatest.Cluster) *kafkatest.Fault {
			return c.LoseProduceResponse(kafkatest.Times(1))
		},
		"timed out after the append": func(c *kafkatest.Cluster) *kafkatest.Fault {
			return c.FailProduceAfterAppend(int16(sarama.ErrRequestTimedOut), kafkatest.Times(1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				cluster := startCluster(t)
				// Time between the attempts to install the second fault.
				r := newRig(t, m, cluster, producer.WithRetryBackoff(500*time.Millisecond, time.Second))
				stored := first(cluster)
				ctx := bounded(t)
				sent := make(chan error, 1)
				go func() { sent <- r.send(ctx) }()
				require.NoError(t, stored.Wait(ctx, 1))
				refused := cluster.FailProduce(int16(sarama.ErrTopicAuthorizationFailed))
				err := <-sent
				require.NoError(t, r.p.Flush(ctx))
				require.Len(t, r.failures(), 1)
				if m.sync {
					require.ErrorIs(t, err, sarama.ErrTopicAuthorizationFailed)
				}
				require.True(t, producer.MayHaveBeenWritten(r.failures()[0]))
				r.finish(stored, refused)
				require.Len(t, r.stored(r.snapshot()), 1)
			})
		})
	}
}

func TestCodes_notEnoughReplicasAtTheOnlyAttemptIsAProof(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		// Retry.Max 1 is sarama's least for an idempotent producer; what was
		// sent twice proves nothing, so a plain one without retries is asked.
		if m.idempotent {
			t.Skip("an idempotent producer needs a retry")
		}
		r := newRig(t, m, cluster, producer.WithSaramaConfig(func(c *sarama.Config) { c.Producer.Retry.Max = 0 }))
		fault := cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas), kafkatest.Times(1))
		_ = r.send(bounded(t))
		require.NoError(t, r.p.Flush(bounded(t)))
		require.Len(t, r.failures(), 1)
		require.True(t, producer.SafeToRetry(r.failures()[0]))
		r.finish(fault)
	})
}

func TestCodes_aMessageThatOnlyTheBrokerFindsTooLargeIsNotPersisted(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1, kafkatest.MaxMessageBytes(2000)))
		r := newRig(t, m, cluster, producer.WithCompression(sarama.CompressionNone), producer.WithLinger(0))
		require.NoError(t, r.send(bounded(t)))
		require.NoError(t, r.p.Flush(bounded(t)))
		large := func(msg *sarama.ProducerMessage) {
			msg.Headers = []sarama.RecordHeader{{Key: []byte("h"), Value: make([]byte, 3000)}}
		}
		if err := r.sendTo(bounded(t), topic, large); m.sync {
			require.ErrorIs(t, err, sarama.ErrMessageSizeTooLarge)
		}
		require.NoError(t, r.p.Flush(bounded(t)))
		require.NoError(t, r.send(bounded(t)))
		require.NoError(t, r.p.Flush(bounded(t)))
		require.Len(t, r.failures(), 1)
		err := r.failures()[0]
		require.ErrorIs(t, err, sarama.ErrMessageSizeTooLarge)
		require.Equal(t, producer.NotPersisted, judge.DeliveryError(err).Status)
		require.False(t, producer.IsRetriable(err))
		r.finish()
		require.Equal(t, 2, r.delivered())
	})
}
