package producer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/transport"
)

func sentinels() []error {
	return []error{
		ErrClosed, ErrBufferFull, ErrInvalidMessage, ErrMessageTooLarge, ErrInvalidConfig, ErrUnknownTopic,
		ErrDeliveryTimeout, ErrAborted, ErrInCallback,
	}
}

func TestErrors_sentinelsNameThePackageAndDiffer(t *testing.T) {
	t.Parallel()
	texts := map[string]bool{}
	for _, err := range sentinels() {
		require.True(t, strings.HasPrefix(err.Error(), "producer: "), err.Error())
		require.False(t, texts[err.Error()], err.Error())
		texts[err.Error()] = true
	}
}

func TestErrors_isAndAsReachTheCauseThroughEveryType(t *testing.T) {
	t.Parallel()
	cause := &net.OpError{Op: "write", Err: syscall.EPIPE}
	delivery := &DeliveryError{Err: fmt.Errorf("wrapped: %w", cause)}
	for name, err := range map[string]error{
		"DeliveryError": delivery,
		"FlushError":    &FlushError{Err: cause},
		"CloseError":    &CloseError{Err: cause},
		"BatchError":    &BatchError{Errs: []error{nil, ErrClosed, nil, delivery}},
		"Unavailable":   &DeliveryError{Err: &transport.UnavailableError{Breaker: io.EOF, Last: cause}},
		"wrapped":       fmt.Errorf("handler: %w", &BatchError{Errs: []error{delivery}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, err, syscall.EPIPE)
			var op *net.OpError
			require.ErrorAs(t, err, &op)
			require.Same(t, cause, op)
			require.NotErrorIs(t, err, syscall.ECONNREFUSED)
		})
	}
}

func TestDeliveryError_hasOneTextForEachCauseAndStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pending bool
		status  Persistence
		want    string
	}{
		{false, PossiblyPersisted, "producer: delivery failed (possibly persisted): producer: delivery timed out"},
		{false, NotPersisted, "producer: delivery failed (not persisted): producer: delivery timed out"},
		{
			true, PossiblyPersisted,
			"producer: delivery failed (outcome still open, possibly persisted): producer: delivery timed out",
		},
	} {
		for n := range 3 {
			err := &DeliveryError{
				Topic: fmt.Sprint("topic", n), Partition: int32(n), Status: c.status, Pending: c.pending, //nolint:gosec // small
				Attempts: n, Elapsed: time.Duration(n) * time.Second, Err: ErrDeliveryTimeout,
			}
			require.EqualError(t, err, c.want)
		}
	}
}

func TestErrors_keepCountersOutOfTheirText(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		require.EqualError(t, &FlushError{Left: n, Err: context.Canceled},
			"producer: flush ended before all messages were done: context canceled")
		require.EqualError(t, &CloseError{n, n, n, n, context.Canceled},
			"producer: close ran out of time: context canceled")
		require.EqualError(t, &BatchError{Errs: append(make([]error, n), ErrClosed)},
			"producer: a batch was not delivered as a whole, first failure: producer: closed")
	}
	require.EqualError(t, &BatchError{}, "producer: a batch was not delivered as a whole")
}

func TestBatchError_unwrapsToTheFailuresOnly(t *testing.T) {
	t.Parallel()
	require.Equal(t, []error{ErrClosed, io.EOF}, (&BatchError{Errs: []error{nil, ErrClosed, nil, io.EOF}}).Unwrap())
	require.Empty(t, (&BatchError{Errs: make([]error, 2)}).Unwrap())
}

// What is not proved is possible.
func TestPersistence_isPossiblyUnlessItWasSet(t *testing.T) {
	t.Parallel()
	var status Persistence
	require.Equal(t, PossiblyPersisted, status)
	require.Equal(t, "possibly persisted", status.String())
	require.Equal(t, "not persisted", NotPersisted.String())
	require.Equal(t, "possibly persisted", Persistence(7).String())
	require.True(t, MayHaveBeenWritten(&DeliveryError{Status: 7, Err: io.EOF}))
}

func TestIsRetriable_ofCauses(t *testing.T) {
	t.Parallel()
	timeout, cancel := context.WithTimeout(t.Context(), 0)
	cancel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	open := errors.New("circuit breaker is open")
	for _, c := range []struct {
		name  string
		cause error
		want  bool
	}{
		{"closed", ErrClosed, false},
		{"bufferFull", ErrBufferFull, true},
		{"bufferFullAndCtx", fmt.Errorf("%w: %w", ErrBufferFull, endError(canceled)), true},
		{"invalidMessage", ErrInvalidMessage, false},
		{"invalidMessageWithTransientCause", invalidMessage(io.EOF), false},
		{"messageTooLarge", ErrMessageTooLarge, false},
		{"invalidConfig", ErrInvalidConfig, false},
		{"unknownTopic", ErrUnknownTopic, false},
		{"deliveryTimeout", ErrDeliveryTimeout, true},
		{"aborted", ErrAborted, true},
		{"transportAborted", transport.ErrAborted, true},
		{"inCallback", ErrInCallback, false},
		{"ctxTimeout", endError(timeout), true},
		{"ctxCanceled", endError(canceled), false},
		{"eof", io.EOF, true},
		{"unexpectedEOF", fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), true},
		{"connectionReset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		{"connectionRefused", fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), true},
		{"deadline", os.ErrDeadlineExceeded, true},
		{"netClosed", net.ErrClosed, true},
		{"dns", &net.DNSError{Err: "no such host", Name: "kafka"}, true},
		{"unknownCA", x509.UnknownAuthorityError{}, false},
		{"outOfBrokers", fmt.Errorf("%w: %w", sarama.ErrOutOfBrokers, io.EOF), true},
		{"wrongPassword", errors.Join(sarama.ErrOutOfBrokers, sarama.ErrSASLAuthenticationFailed), false},
		{"wrongMechanism", errors.Join(sarama.ErrOutOfBrokers, sarama.ErrUnsupportedSASLMechanism), false},
		{"notAuthorised", errors.Join(sarama.ErrOutOfBrokers, sarama.ErrClusterAuthorizationFailed), false},
		{"notConnected", sarama.ErrNotConnected, true},
		{"clientClosed", sarama.ErrClosedClient, true},
		{"shuttingDown", sarama.ErrShuttingDown, true},
		{"incompleteResponse", sarama.ErrIncompleteResponse, true},
		{"configuration", sarama.ConfigurationError("too large"), false},
		{"encoding", sarama.PacketEncodingError{Info: "bad"}, false},
		{"invalidPartition", sarama.ErrInvalidPartition, false},
		{"lookup", &transport.LookupError{Err: sarama.ErrLeaderNotAvailable}, true},
		{"lookupNotAuthorised", &transport.LookupError{Err: sarama.ErrTopicAuthorizationFailed}, false},
		{"breakerAlone", &transport.UnavailableError{Breaker: open}, true},
		{"breakerAfterTransient", &transport.UnavailableError{Breaker: open, Last: io.EOF}, true},
		{"breakerAfterPermanent", &transport.UnavailableError{Breaker: open, Last: sarama.ErrInvalidTopic}, false},
		{"anything", errors.New("anything"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			requireClassified(t, c.cause, c.want)
		})
	}
}

// requireClassified checks the three questions of a cause alone, and as the
// cause of a delivery error with either status.
func requireClassified(t *testing.T, cause error, retriable bool) {
	t.Helper()
	require.Equal(t, retriable, IsRetriable(cause))
	require.Equal(t, retriable, SafeToRetry(cause), "nothing was accepted")
	require.False(t, MayHaveBeenWritten(cause), "nothing was accepted")
	for _, status := range []Persistence{PossiblyPersisted, NotPersisted} {
		err := fmt.Errorf("wrapped: %w", &DeliveryError{Status: status, Err: cause})
		require.Equal(t, retriable, IsRetriable(err))
		require.Equal(t, status == PossiblyPersisted, MayHaveBeenWritten(err))
		require.Equal(t, retriable && status == NotPersisted, SafeToRetry(err))
	}
}

func TestIsRetriable_ofEveryCodeOfABroker(t *testing.T) {
	t.Parallel()
	// RetriableException in Kafka's own client, and 45 and 59: what was lost is
	// the sequence, which sarama begins anew.
	transient := map[int]bool{
		2: true, 3: true, 5: true, 6: true, 7: true, 8: true, 9: true, 13: true, 14: true, 15: true, 16: true,
		19: true, 20: true, 41: true, 45: true, 51: true, 56: true, 59: true, 72: true, 74: true, 75: true, 89: true,
	}
	for code := -1; code <= 150; code++ {
		if code != 0 {
			require.Equal(t, transient[code], IsRetriable(sarama.KError(code)), "code %d", code) //nolint:gosec // small
		}
	}
	for code := range transient {
		requireClassified(t, sarama.KError(code), true) //nolint:gosec // small
	}
}

func TestErrors_questionsOfABatchSpeakOfAllItsFailures(t *testing.T) {
	t.Parallel()
	safe := &DeliveryError{Status: NotPersisted, Err: ErrDeliveryTimeout}
	written := &DeliveryError{Err: ErrDeliveryTimeout}
	permanent := &DeliveryError{Status: NotPersisted, Err: sarama.ErrInvalidTopic}
	for _, c := range []struct {
		name                     string
		errs                     []error
		safe, retriable, written bool
	}{
		{"allSafe", []error{nil, safe, ErrBufferFull}, true, true, false},
		{"oneWritten", []error{safe, nil, written}, false, true, true},
		{"onePermanent", []error{safe, permanent}, false, false, false},
		{"permanentAndWritten", []error{written, permanent}, false, false, true},
		{"oneRefused", []error{safe, ErrInvalidMessage}, false, false, false},
		{"none", []error{nil, nil}, false, false, false},
		{"nested", []error{safe, &BatchError{Errs: []error{safe, written}}}, false, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, err := range []error{&BatchError{Errs: c.errs}, fmt.Errorf("wrapped: %w", &BatchError{Errs: c.errs})} {
				require.Equal(t, c.safe, SafeToRetry(err))
				require.Equal(t, c.retriable, IsRetriable(err))
				require.Equal(t, c.written, MayHaveBeenWritten(err))
			}
			require.Equal(t, c.written, MayHaveBeenWritten(errors.Join(c.errs...)), "joined by the caller")
		})
	}
}

func TestErrors_questionsOfNilAreAnsweredWithNo(t *testing.T) {
	t.Parallel()
	require.False(t, SafeToRetry(nil))
	require.False(t, IsRetriable(nil))
	require.False(t, MayHaveBeenWritten(nil))
}
