package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

func TestErrorKind_isShortAndTheSameForAllErrorsOfAKind(t *testing.T) {
	t.Parallel()
	for kind, errs := range map[string][]error{
		"":                           {nil},
		"delivery_timeout":           {ErrDeliveryTimeout, &DeliveryError{Err: ErrDeliveryTimeout}},
		"aborted":                    {ErrAborted},
		"unknown_topic":              {ErrUnknownTopic},
		"other_cluster":              {ErrOtherCluster},
		"closed":                     {ErrClosed},
		"buffer_full":                {ErrBufferFull, fmt.Errorf("%w: %w", ErrBufferFull, context.Canceled)},
		"invalid_message":            {invalidMessage(sarama.ErrNotEnoughReplicas)},
		"message_too_large":          {ErrMessageTooLarge},
		"stalled":                    {ErrStalled},
		"canceled":                   {context.Canceled},
		"deadline_exceeded":          {context.DeadlineExceeded},
		"SASL_AUTHENTICATION_FAILED": {sarama.Wrap(sarama.ErrOutOfBrokers, sarama.ErrSASLAuthenticationFailed)},
		"network":                    {io.EOF, io.ErrUnexpectedEOF, &net.OpError{Err: errors.New("refused")}, sarama.ErrOutOfBrokers, sarama.ErrNotConnected},
		"network_timeout":            {&net.OpError{Err: os.ErrDeadlineExceeded}},
		"NOT_ENOUGH_REPLICAS":        {sarama.ErrNotEnoughReplicas, &DeliveryError{Err: sarama.ErrNotEnoughReplicas}},
		"UNKNOWN_SERVER_ERROR":       {sarama.ErrUnknown},
		"NONE":                       {sarama.ErrNoError},
		"PRODUCER_FENCED":            {sarama.ErrProducerFenced},
		"INVALID_RECORD":             {sarama.ErrInvalidRecord},
		"UNKNOWN_CODE":               {sarama.KError(91), sarama.KError(-2), sarama.KError(30000)},
		"other":                      {errors.New("something")},
	} {
		for _, err := range errs {
			require.Equal(t, kind, ErrorKind(err), "%v", err)
		}
	}
}
