package e2e

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// initProducerID is the API key of a producer's request for its id.
const initProducerID = 22

// busy makes a broker answer that request with "not yet, and wait before you ask
// again".
func busy(wait time.Duration) kafkatest.GarbleFunc {
	return func(_, version int16, answer []byte) []byte {
		at := 4 + 4 // length, correlation id
		if version >= 2 {
			at++ // the tags of the header
		}
		binary.BigEndian.PutUint32(answer[at:], uint32(wait/time.Millisecond))
		binary.BigEndian.PutUint16(answer[at+4:], uint16(sarama.ErrOffsetsLoadInProgress))
		return answer
	}
}

func TestFindings_aConstructorEndsWithItsCtxWhileABrokerMakesItsClientsWait(t *testing.T) {
	t.Parallel()
	// Sarama sleeps for as long as the broker says, and nothing can end that.
	const wait = 4 * time.Second
	cluster := kafkatest.Start(t, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 1))
	fault := cluster.GarbleResponses(busy(wait), kafkatest.OnKey(initProducerID))
	began := time.Now()
	t.Cleanup(func() { pause(wait - time.Since(began)) }) // so that nothing is left of it
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	ended := make(chan time.Time, 1)
	go func() {
		for fault.Hits() == 0 && ctx.Err() == nil {
			pause(time.Millisecond)
		}
		pause(50 * time.Millisecond) // sarama has been told, and sleeps
		ended <- time.Now()
		cancel()
	}()
	_, err := producer.NewSync(ctx, cluster.Addrs(), quick(mode{true, true}))
	returned := time.Now()
	require.ErrorIs(t, err, context.Canceled)
	require.Positive(t, fault.Hits(), "void: nobody was told to wait")
	require.Less(t, returned.Sub(<-ended), afterCtx)
}

func TestFindings_aLimitThatNoRequestCanHoldIsRefused(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t)
	p, err := producer.NewSync(t.Context(), cluster.Addrs(), producer.WithMaxMessageBytes(int(sarama.MaxRequestSize)-1))
	if err == nil {
		require.NoError(t, p.Close(bounded(t)))
	}
	require.ErrorIs(t, err, producer.ErrInvalidConfig)
}
