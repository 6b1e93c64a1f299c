package chaos

import (
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// meet is a network with a connection through it, and the node's end of that.
func meet(t *testing.T) (n *network, client, node net.Conn) {
	t.Helper()
	n, err := newNetwork(rand.New(rand.NewPCG(1, 1))) //nolint:gosec // not a secret
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	client, err = n.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	node, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = client.Close(), node.Close() })
	return n, client, node
}

// carry sends a byte and returns how long it took.
func carry(t *testing.T, to, from net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	_, err := from.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(to, make([]byte, 1))
	require.NoError(t, err)
	return time.Since(began)
}

func TestNetwork_countsTheConnectionsThatANodeEnds(t *testing.T) {
	t.Parallel()
	n, client, node := meet(t)
	carry(t, node, client)
	carry(t, client, node)
	require.NoError(t, node.Close())
	_, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	_, ended := n.done()
	require.Equal(t, 1, ended)
}

func TestNetwork_doesNotCountTheConnectionsThatAClientEnds(t *testing.T) {
	t.Parallel()
	n, client, node := meet(t)
	require.NoError(t, client.Close())
	_, err := node.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, node.Close())
	n.pumps.Wait()
	_, ended := n.done()
	require.Zero(t, ended)
}

func TestNetwork_countsAConnectionThatIsCutOnce(t *testing.T) {
	t.Parallel()
	n, _, _ := meet(t)
	n.mu.Lock()
	links := slices.Collect(maps.Keys(n.links))
	n.mu.Unlock()
	for _, l := range links {
		n.cut(l, l.near)
		n.cut(l, l.far)
	}
	cuts, _ := n.done()
	require.Equal(t, 1, cuts)
}

func TestNetwork_thatStopsHoldsBytesAndNewConnections(t *testing.T) {
	t.Parallel()
	n, client, node := meet(t)
	goOn := n.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := n.DialContext(ctx, "tcp", node.LocalAddr().String())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	began := time.Now()
	time.AfterFunc(50*time.Millisecond, goOn)
	carry(t, node, client)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
}

func TestNetwork_thatIsSlowIsSoEitherWay(t *testing.T) {
	t.Parallel()
	n, client, node := meet(t)
	n.delay(50 * time.Millisecond)
	require.GreaterOrEqual(t, carry(t, node, client), 50*time.Millisecond)
	require.GreaterOrEqual(t, carry(t, client, node), 50*time.Millisecond)
}

func TestNetwork_thatHasForgottenAConnectionTellsNobody(t *testing.T) {
	t.Parallel()
	n, client, node := meet(t)
	require.Equal(t, 1, n.forget())
	_, err := client.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, node.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = node.Read(make([]byte, 1))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	other, err := n.Dial("tcp", node.LocalAddr().String())
	require.NoError(t, err, "new ones are served")
	require.NoError(t, other.Close())
}
