package transport

import (
	"errors"
	"io"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

func TestNeverAppended_onlyForCodesThatAreGivenBeforeTheAppend(t *testing.T) {
	t.Parallel()
	proofs := map[sarama.KError]bool{
		10: true, 17: true, 18: true, 19: true, 21: true, 29: true, 31: true, 32: true, 43: true, 76: true, 87: true, 89: true,
	}
	for code := sarama.KError(-1); code < 140; code++ {
		require.Equal(t, proofs[code], neverAppended(code), "code %d", code)
	}
	for _, err := range []error{io.EOF, errors.New(breakerText), sarama.ErrOutOfBrokers, sarama.ErrShuttingDown} {
		require.False(t, neverAppended(err), "%v", err)
	}
}

func TestCauses_anOpenBreakerCarriesTheLastFailureOfItsTopic(t *testing.T) {
	t.Parallel()
	c := causes{}
	open := errors.New(breakerText)

	var unavailable *UnavailableError
	require.ErrorAs(t, c.explain("orders", open), &unavailable)
	require.NoError(t, unavailable.Last)
	require.EqualError(t, unavailable, breakerText)
	require.ErrorIs(t, unavailable, open)

	for _, err := range []error{io.EOF, sarama.ErrMessageSizeTooLarge, record.ErrRefused} {
		require.Equal(t, err, c.explain("orders", err), "any other failure stays as it is")
	}
	require.EqualError(t, c.explain("orders", open), breakerText, "and opens no breaker")

	lookup := &LookupError{Err: sarama.ErrOutOfBrokers}
	require.Equal(t, error(lookup), c.explain("orders", lookup))
	require.Equal(t, error(sarama.ErrNotEnoughReplicas), c.explain("payments", sarama.ErrNotEnoughReplicas))
	err := c.explain("orders", open)
	require.ErrorIs(t, err, sarama.ErrOutOfBrokers)
	require.ErrorIs(t, err, open)
	require.EqualError(t, err, breakerText+" after: "+lookup.Error())
	require.EqualError(t, c.explain("payments", open), breakerText, "that was another topic's")
}
