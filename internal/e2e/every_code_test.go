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

// everyCode are the error codes of Kafka's protocol, and the next few that it
// may get. DUPLICATE_SEQUENCE_NUMBER (46) is no failure: it has a test below.
func everyCode() (codes []sarama.KError) {
	for code := sarama.KError(-1); code <= 140; code++ {
		if code != sarama.ErrNoError && code != sarama.ErrDuplicateSequenceNumber {
			codes = append(codes, code)
		}
	}
	return codes
}

// class is what becomes of a message whose only attempt so far was answered with
// a code.
type class struct {
	retried bool // it is sent again
	proof   bool // it failed, and is known not to be stored
}

// classOf says it for every code. What is not named fails at once and proves
// nothing: of a code that is new nobody knows when brokers give it.
func classOf(code sarama.KError) class {
	switch code {
	case 2, 3, 5, 6, 7, 19, 20, 56:
		return class{retried: true}
	case 10, 17, 18, 21, 29, 31, 32, 43, 76, 87, 89:
		return class{proof: true}
	default:
		return class{}
	}
}

// Each code has a partition of its own, whose first request is answered with it.
func TestCodes_everyCodeHasItsClassAndItsStatusIsTrue(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after the append %t", after), func(t *testing.T) {
			t.Parallel()
			inModes(t, modes, func(t *testing.T, m mode) {
				codes := everyCode()
				cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, len(codes)))
				r := newRig(t, m, cluster, producer.WithLinger(0), producer.WithPartitioner(sarama.NewManualPartitioner),
					// An answer that came too late would be a retry that is not meant.
					networkTimeouts(15*time.Second), producer.WithDeliveryTimeout(time.Minute))
				var faults []*kafkatest.Fault
				for i, code := range codes {
					want := classOf(code)
					if after && want.proof {
						continue // no broker gives it after it has appended
					}
					faults = append(faults, r.answeredWith(code, int32(i), after, want))
				}
				r.finish(faults...)
			})
		})
	}
}

// answeredWith sends one message to a partition of its own, and checks what
// becomes of it when the first request is answered with a code.
func (r *rig) answeredWith(code sarama.KError, partition int32, after bool, want class) *kafkatest.Fault {
	r.t.Helper()
	install := r.cluster.FailProduce
	if after {
		install = r.cluster.FailProduceAfterAppend
	}
	fault := install(int16(code), kafkatest.OnPartition(partition), kafkatest.Times(1))
	ctx := bounded(r.t)
	// One after the other, so that nothing else is on its way: an idempotent
	// producer that gives a batch up begins a new epoch for all partitions.
	before := len(r.failures())
	_ = r.sendTo(ctx, topic, toPartition(partition))
	require.NoError(r.t, r.p.Flush(ctx))
	require.Equal(r.t, 1, fault.Hits(), "void: code %d", code)

	failures := r.failures()[before:]
	if want.retried {
		require.Empty(r.t, failures, "code %d", code)
		return fault
	}
	require.Len(r.t, failures, 1, "code %d", code)
	require.ErrorIs(r.t, failures[0], code)
	failure := judge.DeliveryError(failures[0])
	require.Equal(r.t, 1, failure.Attempts, "code %d", code)
	require.Equal(r.t, want.proof, failure.Status == producer.NotPersisted, "code %d is %v", code, failure.Status)
	return fault
}

// It is the answer to a batch that is stored already, and tells no offset.
func TestCodes_aDuplicateIsADeliveryWithoutAnOffset(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		r := newRig(t, m, startCluster(t), networkTimeouts(15*time.Second))
		fault := r.cluster.FailProduceAfterAppend(int16(sarama.ErrDuplicateSequenceNumber), kafkatest.Times(1))
		require.NoError(t, r.send(bounded(t)))
		require.NoError(t, r.p.Flush(bounded(t)))
		require.EqualValues(t, -1, r.snapshot()[0].Outcomes[0].Offset, "0 would be a plausible one")
		require.NoError(t, r.send(bounded(t)))
		r.finishWithoutFailures(fault)
	})
}
