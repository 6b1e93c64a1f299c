package e2e

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// starved is a dialer of a process that has no file descriptors left, for a
// while.
type starved struct {
	net.Dialer
	now     atomic.Bool
	refused atomic.Int64
}

func (s *starved) option() producer.Option { return dialingThrough(s) }

func (s *starved) Dial(network, addr string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, addr)
}

func (s *starved) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if s.now.Load() {
		s.refused.Add(1)
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}
	return s.Dialer.DialContext(ctx, network, addr)
}

func TestDial_withoutFileDescriptorsTheConstructorWaitsForOne(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		var s starved
		s.now.Store(true)
		free := time.AfterFunc(300*time.Millisecond, func() { s.now.Store(false) })
		defer free.Stop()
		r := newRig(t, m, cluster, s.option())
		require.Positive(t, s.refused.Load(), "void")
		r.run(bounded(t), load{senders: 2, each: 20})
		r.finishWithoutFailures()
	})
}

func TestDial_withoutFileDescriptorsForEverTheConstructorSaysSo(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		var s starved
		s.now.Store(true)
		limit := 200 * time.Millisecond
		var err error
		elapsed := took(func() { _, err = construct(within(t, limit), m, startCluster(t).Addrs(), s.option()) })
		require.Less(t, elapsed, limit+slack)
		require.ErrorIs(t, err, syscall.EMFILE)
	})
}

// The connections that there were are gone, and no new ones can be made.
func TestDial_withoutFileDescriptorsMessagesWaitForThem(t *testing.T) {
	t.Parallel()
	inModes(t, modes, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		var s starved
		r := newRig(t, m, cluster, s.option())
		r.warm(20)
		s.now.Store(true)
		dropped := cluster.DropProduce(kafkatest.Times(3))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			r.run(bounded(t), load{senders: 4, each: 100})
		}()
		require.NoError(t, dropped.Wait(bounded(t), 1))
		require.Eventually(t, func() bool { return s.refused.Load() > 5 }, 10*time.Second, time.Millisecond)
		s.now.Store(false)
		<-sent
		r.finishWithoutFailures(dropped)
		require.Equal(t, 420, r.delivered())
	})
}

// deaf is a dialer that does not know contexts and waits until the test ends, as
// one in front of a network that swallows everything.
type deaf struct{ end <-chan struct{} }

var errGaveUp = errors.New("gave up")

func (d deaf) Dial(string, string) (net.Conn, error) {
	<-d.end
	return nil, errGaveUp
}

func TestDial_aDialerThatCannotBeInterruptedDoesNotHoldUpTheConstructor(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		end := make(chan struct{})
		defer close(end)
		limit := 100 * time.Millisecond
		var err error
		elapsed := took(func() {
			_, err = construct(within(t, limit), m, []string{"broker-1:9092", "broker-2:9092"},
				dialingThrough(deaf{end}))
		})
		require.Less(t, elapsed, limit+2*slack)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "broker-1:9092: no answer")
		require.ErrorContains(t, err, "broker-2:9092: no answer")
	})
}
