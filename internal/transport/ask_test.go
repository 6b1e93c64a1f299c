package transport

import (
	"errors"
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/lane"
)

func TestExistence_isDecidedByTheCodeOfTheTopicOnly(t *testing.T) {
	t.Parallel()
	for _, exists := range []error{nil, sarama.ErrNoError, sarama.ErrLeaderNotAvailable, sarama.ErrReplicaNotAvailable} {
		require.NoError(t, existence(exists))
	}
	require.Equal(t, lane.ErrUnknown, existence(sarama.ErrUnknownTopicOrPartition))
	for _, refused := range []error{sarama.ErrInvalidTopic, sarama.ErrTopicAuthorizationFailed} {
		require.Equal(t, refused, existence(refused))
	}
	for _, silence := range []error{
		errors.New("EOF"), sarama.ErrUnknown, sarama.ErrOutOfBrokers,
		fmt.Errorf("a broker: %w", sarama.ErrUnknownTopicOrPartition),
	} {
		require.Equal(t, lane.ErrNoAnswer, existence(silence), "%v", silence)
	}
}

func TestSetDialer_azureEventHubsAreSpokenToAsSaramaDoes(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]sarama.KafkaVersion{
		"ns.servicebus.windows.net:9093": sarama.V1_0_0_0, "kafka:9092": sarama.V2_8_0_0,
	} {
		tr := bare(&Config{Addrs: []string{addr}})
		tr.cfg.Sarama.Version = sarama.V2_8_0_0
		tr.setDialer()
		require.NotSame(t, tr.connections.MetricRegistry, tr.questions.MetricRegistry)
		require.Equal(t, want, tr.cfg.Sarama.Version, addr)
		require.Equal(t, want, tr.connections.Version, addr)
	}
}

func TestCanonical_anAddressWithoutAPortIsAnError(t *testing.T) {
	t.Parallel()
	_, err := canonical(t.Context(), []string{"no port"})
	require.Error(t, err)
}
