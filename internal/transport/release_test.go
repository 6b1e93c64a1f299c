package transport

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/lane"
	"github.com/saramakit/producer/internal/netdial"
)

// piped dials to where nobody is: what is written fails.
type piped struct{}

func (piped) Dial(string, string) (net.Conn, error) {
	near, far := net.Pipe()
	return near, far.Close()
}

// wired is a transport of an owned client that connects through piped, and the
// connection that it begins with.
func wired(t *testing.T) (*Transport, *sarama.Broker) {
	t.Helper()
	tr := bare(&Config{Addrs: []string{"seed:1"}})
	tr.owned = true
	tr.setDialer()
	tr.dialer = netdial.New(netdial.Settings{Inner: piped{}, Timeout: time.Second})
	for _, conf := range []*sarama.Config{tr.connections, tr.questions} {
		conf.ApiVersionsRequest = false // opening asks nothing
		conf.Metadata.RefreshFrequency = 0
		conf.Net.Proxy.Dialer = tr.dialer
	}
	first := sarama.NewBroker("seed:1")
	require.NoError(t, first.Open(tr.connections))
	tr.openCluster(first)
	return tr, first
}

func requireClosed(t *testing.T, b *sarama.Broker) {
	t.Helper()
	open, _ := b.Connected()
	require.False(t, open, "%s", b.Addr())
}

func TestRelease_closesAlsoWhatIsReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	tr, first := wired(t)
	tr.cluster.learn(metadata(led("orders", 0)), []string{"orders"}, 1)
	leader, err := tr.cluster.knownLeader("orders", 0)
	require.NoError(t, err)
	require.NoError(t, tr.cluster.open(leader))
	tr.askers.mu.Lock()
	asker := tr.askers.list[1].broker
	tr.askers.mu.Unlock()
	require.NoError(t, asker.Open(tr.questions))
	for _, b := range []*sarama.Broker{first, leader, asker} {
		open, err := b.Connected()
		require.True(t, open, "%s: %v", b.Addr(), err)
	}

	// An answer is taken in when the end has begun: no question is begun
	// any more, but connections have to be closed all the same.
	tr.mu.Lock()
	tr.over = true
	tr.mu.Unlock()
	tr.cluster.learn(&sarama.MetadataResponse{}, []string{"orders"}, 2)
	tr.release()
	for _, b := range []*sarama.Broker{first, leader, asker} {
		requireClosed(t, b)
	}
}

func TestCluster_aConnectionThatWasReplacedIsNotOpenedAgain(t *testing.T) {
	t.Parallel()
	tr, _ := wired(t)
	tr.cluster.learn(metadata(led("orders", 0)), []string{"orders"}, 1)
	former, err := tr.cluster.knownLeader("orders", 0)
	require.NoError(t, err)
	tr.cluster.learn(&sarama.MetadataResponse{}, []string{"orders"}, 2)
	require.ErrorIs(t, tr.cluster.open(former), sarama.ErrNotConnected)
	requireClosed(t, former)
	tr.release()
}

// forgetful is a client that has no broker of those that it has named. It counts
// the dials.
type forgetful struct {
	sarama.Client
	named []*sarama.Broker
	dials atomic.Int64
}

func (f *forgetful) Brokers() []*sarama.Broker          { return f.named }
func (*forgetful) Broker(int32) (*sarama.Broker, error) { return nil, sarama.ErrBrokerNotFound }

func (f *forgetful) Config() *sarama.Config {
	conf := sarama.NewConfig()
	conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, f
	return conf
}

func (f *forgetful) Dial(network, addr string) (net.Conn, error) {
	f.dials.Add(1)
	return piped{}.Dial(network, addr)
}

func TestAsk_opensNoBrokerThatABorrowedClientHasGivenUp(t *testing.T) {
	t.Parallel()
	tr := bare(&Config{})
	c := &forgetful{named: metadata().Brokers}
	tr.client = c
	require.Equal(t, lane.ErrNoAnswer, tr.Ask(t.Context(), "orders"))
	tr.asks.Wait()
	require.Zero(t, c.dials.Load())
}
