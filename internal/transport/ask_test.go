package transport

import (
	"errors"
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/lane"
)

func addrs(list []*asker) (addrs []string) {
	for _, a := range list {
		addrs = append(addrs, a.Addr())
	}
	return addrs
}

func TestAskers_theOneThatAnsweredIsAskedFirstAndThoseThatOweAnAnswerLast(t *testing.T) {
	t.Parallel()
	var a askers
	require.Empty(t, a.adopt(nil, []string{"a:1", "b:1", "c:1"}))
	require.Equal(t, []string{"a:1", "b:1", "c:1"}, addrs(a.all()))
	b := a.all()[1]
	require.Empty(t, a.adopt(b, []string{"a:1", "b:1", "c:1"}))
	require.Equal(t, []string{"b:1", "a:1", "c:1"}, addrs(a.all()))
	require.Same(t, b, a.all()[0], "its connection is kept")
	b.open.Add(2)
	require.Equal(t, []string{"a:1", "c:1", "b:1"}, addrs(a.all()))
	b.open.Add(-2)
	require.Equal(t, []string{"b:1", "a:1", "c:1"}, addrs(a.all()))
}

func TestAskers_anAddressThatIsGoneIsDropped(t *testing.T) {
	t.Parallel()
	var a askers
	a.adopt(nil, []string{"seed:1", "old:1"})
	dropped := a.adopt(a.all()[0], []string{"seed:1", "new:1"})
	require.Equal(t, []string{"old:1"}, addrs(dropped))
	require.Equal(t, []string{"seed:1", "new:1"}, addrs(a.all()))
}

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

func TestComplete_anAnswerNamesBrokersAndEveryTopic(t *testing.T) {
	t.Parallel()
	require.True(t, complete(metadata(led("orders"), led("payments")), []string{"payments", "orders"}))
	require.False(t, complete(metadata(led("orders")), []string{"payments", "orders"}))
	starting := &sarama.MetadataResponse{Topics: []*sarama.TopicMetadata{led("orders")}}
	require.False(t, complete(starting, []string{"orders"}))
}

func TestSetDialer_azureEventHubsAreSpokenToAsSaramaDoes(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]sarama.KafkaVersion{
		"ns.servicebus.windows.net:9093": sarama.V1_0_0_0, "kafka:9092": sarama.V2_8_0_0,
	} {
		tr := bare(&Config{Addrs: []string{addr}})
		tr.cfg.Sarama.Version = sarama.V2_8_0_0
		tr.setDialer()
		require.Equal(t, want, tr.cfg.Sarama.Version, addr)
		require.Equal(t, want, tr.connections.Version, addr)
	}
}

func TestCanonical_anAddressWithoutAPortIsAnError(t *testing.T) {
	t.Parallel()
	_, err := canonical(t.Context(), []string{"no port"})
	require.Error(t, err)
}
