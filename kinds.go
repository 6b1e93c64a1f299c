package producer

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/transport"
)

// ErrorKind is a short name for an error of this package, for metrics: of those
// there are few, whatever the error's text. For what a broker said it is Kafka's
// name of the code, such as "NOT_ENOUGH_REPLICAS"; else it is one of
//
//	delivery_timeout   ErrDeliveryTimeout
//	aborted            ErrAborted
//	unknown_topic      ErrUnknownTopic
//	other_cluster      ErrOtherCluster
//	closed             ErrClosed
//	buffer_full        ErrBufferFull
//	invalid_message    ErrInvalidMessage
//	message_too_large  ErrMessageTooLarge
//	stalled            ErrStalled
//	canceled           the ctx was canceled
//	deadline_exceeded  the deadline of the ctx had passed
//	network            a connection failed, or there was none
//	network_timeout    a connection timed out
//	other              anything else
//
// and empty for nil.
func ErrorKind(err error) string {
	if err == nil {
		return ""
	}
	for _, known := range [...]struct {
		err  error
		kind string
	}{
		{ErrDeliveryTimeout, "delivery_timeout"},
		{ErrAborted, "aborted"},
		{ErrUnknownTopic, "unknown_topic"},
		{ErrOtherCluster, "other_cluster"},
		{ErrClosed, "closed"},
		{ErrBufferFull, "buffer_full"},
		{ErrInvalidMessage, "invalid_message"},
		{ErrMessageTooLarge, "message_too_large"},
		{ErrStalled, "stalled"},
		{context.Canceled, "canceled"},
	} {
		if errors.Is(err, known.err) {
			return known.kind
		}
	}
	if code, ok := errors.AsType[sarama.KError](err); ok {
		return codeName(code)
	}
	// It is a net.Error too, and so must be looked for before.
	if errors.Is(err, context.DeadlineExceeded) {
		return "deadline_exceeded"
	}
	if network, ok := errors.AsType[net.Error](err); ok {
		if network.Timeout() {
			return "network_timeout"
		}
		return "network"
	}
	_, unavailable := errors.AsType[*transport.UnavailableError](err)
	if unavailable || isEOF(err) {
		return "network"
	}
	for _, gone := range []error{
		sarama.ErrOutOfBrokers, sarama.ErrNotConnected, sarama.ErrClosedClient, sarama.ErrShuttingDown,
		sarama.ErrIncompleteResponse, transport.ErrAborted,
	} {
		if errors.Is(err, gone) {
			return "network"
		}
	}
	return "other"
}

// kinds counts errors by their kind.
type kinds struct {
	mu     sync.Mutex // held for a few instructions
	counts map[string]int64
}

func (k *kinds) add(kind string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.counts == nil {
		k.counts = make(map[string]int64)
	}
	k.counts[kind]++
}

func (k *kinds) read() map[string]int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.counts)
}

// codeName is Kafka's name of a code.
func codeName(code sarama.KError) string {
	switch {
	case code == sarama.ErrUnknown:
		return "UNKNOWN_SERVER_ERROR"
	case 0 <= code && int(code) < len(codeNames):
		return codeNames[code]
	default:
		return "UNKNOWN_CODE" // of a broker that is newer than sarama
	}
}

// codeNames are the names of org.apache.kafka.common.protocol.Errors, by code.
var codeNames = [...]string{ //nolint:gochecknoglobals // a table, never written to
	"NONE", "OFFSET_OUT_OF_RANGE", "CORRUPT_MESSAGE", "UNKNOWN_TOPIC_OR_PARTITION", "INVALID_FETCH_SIZE",
	"LEADER_NOT_AVAILABLE", "NOT_LEADER_OR_FOLLOWER", "REQUEST_TIMED_OUT", "BROKER_NOT_AVAILABLE",
	"REPLICA_NOT_AVAILABLE", "MESSAGE_TOO_LARGE", "STALE_CONTROLLER_EPOCH", "OFFSET_METADATA_TOO_LARGE",
	"NETWORK_EXCEPTION", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR",
	"INVALID_TOPIC_EXCEPTION", "RECORD_LIST_TOO_LARGE", "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
	"INVALID_REQUIRED_ACKS", "ILLEGAL_GENERATION", "INCONSISTENT_GROUP_PROTOCOL", "INVALID_GROUP_ID",
	"UNKNOWN_MEMBER_ID", "INVALID_SESSION_TIMEOUT", "REBALANCE_IN_PROGRESS", "INVALID_COMMIT_OFFSET_SIZE",
	"TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "INVALID_TIMESTAMP",
	"UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE", "UNSUPPORTED_VERSION", "TOPIC_ALREADY_EXISTS",
	"INVALID_PARTITIONS", "INVALID_REPLICATION_FACTOR", "INVALID_REPLICA_ASSIGNMENT", "INVALID_CONFIG",
	"NOT_CONTROLLER", "INVALID_REQUEST", "UNSUPPORTED_FOR_MESSAGE_FORMAT", "POLICY_VIOLATION",
	"OUT_OF_ORDER_SEQUENCE_NUMBER", "DUPLICATE_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH", "INVALID_TXN_STATE",
	"INVALID_PRODUCER_ID_MAPPING", "INVALID_TRANSACTION_TIMEOUT", "CONCURRENT_TRANSACTIONS",
	"TRANSACTION_COORDINATOR_FENCED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "SECURITY_DISABLED",
	"OPERATION_NOT_ATTEMPTED", "KAFKA_STORAGE_ERROR", "LOG_DIR_NOT_FOUND", "SASL_AUTHENTICATION_FAILED",
	"UNKNOWN_PRODUCER_ID", "REASSIGNMENT_IN_PROGRESS", "DELEGATION_TOKEN_AUTH_DISABLED",
	"DELEGATION_TOKEN_NOT_FOUND", "DELEGATION_TOKEN_OWNER_MISMATCH", "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
	"DELEGATION_TOKEN_AUTHORIZATION_FAILED", "DELEGATION_TOKEN_EXPIRED", "INVALID_PRINCIPAL_TYPE", "NON_EMPTY_GROUP",
	"GROUP_ID_NOT_FOUND", "FETCH_SESSION_ID_NOT_FOUND", "INVALID_FETCH_SESSION_EPOCH", "LISTENER_NOT_FOUND",
	"TOPIC_DELETION_DISABLED", "FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "UNSUPPORTED_COMPRESSION_TYPE",
	"STALE_BROKER_EPOCH", "OFFSET_NOT_AVAILABLE", "MEMBER_ID_REQUIRED", "PREFERRED_LEADER_NOT_AVAILABLE",
	"GROUP_MAX_SIZE_REACHED", "FENCED_INSTANCE_ID", "ELIGIBLE_LEADERS_NOT_AVAILABLE", "ELECTION_NOT_NEEDED",
	"NO_REASSIGNMENT_IN_PROGRESS", "GROUP_SUBSCRIBED_TO_TOPIC", "INVALID_RECORD", "UNSTABLE_OFFSET_COMMIT",
	"THROTTLING_QUOTA_EXCEEDED", "PRODUCER_FENCED",
}
