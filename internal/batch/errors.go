package batch

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// ErrAborted is what records get that are left when the batcher is aborted.
var ErrAborted = errors.New("producer: the connections were cut because Close ran out of time")

// errExited is what a record gets whose partitioner has ended its goroutine.
var errExited = errors.New("partitioner called runtime.Goexit")

// LookupError says that it could not be found where to send a message. The
// message was not sent because of it, but may have been sent before.
type LookupError struct{ Err error }

func (e *LookupError) Error() string { return fmt.Sprintf("no leader could be found: %v", e.Err) }

// Unwrap returns why.
func (e *LookupError) Unwrap() error { return e.Err }

// NeverAppended reports whether a broker gives that code only before it has
// appended anything. It proves something only for a record that was sent once:
// an earlier copy of it may have been appended.
//
// NOT_LEADER_OR_FOLLOWER is not among them (KAFKA-13574), nor is any time-out.
func NeverAppended(err error) bool {
	// Only the code itself: what is wrapped was said in answer to another
	// question, or about another record.
	code, ok := err.(sarama.KError) //nolint:errorlint // see above
	if !ok {
		return false
	}
	switch code {
	case sarama.ErrMessageSizeTooLarge, // 10
		sarama.ErrInvalidTopic,                // 17
		sarama.ErrMessageSetSizeTooLarge,      // 18
		sarama.ErrNotEnoughReplicas,           // 19
		sarama.ErrInvalidRequiredAcks,         // 21
		sarama.ErrTopicAuthorizationFailed,    // 29
		sarama.ErrClusterAuthorizationFailed,  // 31
		sarama.ErrInvalidTimestamp,            // 32
		sarama.ErrUnsupportedForMessageFormat, // 43
		sarama.ErrUnsupportedCompressionType,  // 76
		sarama.ErrInvalidRecord,               // 87
		sarama.ErrThrottlingQuotaExceeded:     // 89
		return true
	default:
		return false
	}
}

// retriable are the codes after which a batch is sent again, as sarama does.
func retriable(code sarama.KError) bool {
	switch code {
	case sarama.ErrInvalidMessage, sarama.ErrUnknownTopicOrPartition, sarama.ErrLeaderNotAvailable,
		sarama.ErrNotLeaderForPartition, sarama.ErrRequestTimedOut, sarama.ErrNotEnoughReplicas,
		sarama.ErrNotEnoughReplicasAfterAppend, sarama.ErrKafkaStorageError:
		return true
	default:
		return false
	}
}
