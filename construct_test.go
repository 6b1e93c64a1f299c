package producer

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// dialers runs a property of the constructors that connect.
func dialers(t *testing.T, property func(t *testing.T, open func(context.Context, []string, ...Option) (Producer, error))) {
	t.Helper()
	t.Run("NewSync", func(t *testing.T) {
		t.Parallel()
		property(t, func(ctx context.Context, brokers []string, opts ...Option) (Producer, error) {
			p, err := NewSync(ctx, brokers, opts...)
			require.Equal(t, err == nil, p != nil)
			return p, err
		})
	})
	t.Run("NewAsync", func(t *testing.T) {
		t.Parallel()
		property(t, func(ctx context.Context, brokers []string, opts ...Option) (Producer, error) {
			p, err := NewAsync(ctx, brokers, opts...)
			require.Equal(t, err == nil, p != nil)
			return p, err
		})
	})
}

// borrowers is the same for those that take a client.
func borrowers(t *testing.T, property func(t *testing.T, open func(sarama.Client, ...Option) (Producer, error))) {
	t.Helper()
	t.Run("NewSyncFromClient", func(t *testing.T) {
		t.Parallel()
		property(t, func(client sarama.Client, opts ...Option) (Producer, error) {
			p, err := NewSyncFromClient(client, opts...)
			require.Equal(t, err == nil, p != nil)
			return p, err
		})
	})
	t.Run("NewAsyncFromClient", func(t *testing.T) {
		t.Parallel()
		property(t, func(client sarama.Client, opts ...Option) (Producer, error) {
			p, err := NewAsyncFromClient(client, opts...)
			require.Equal(t, err == nil, p != nil)
			return p, err
		})
	})
}

func TestNew_withoutACtxIsRefused(t *testing.T) {
	t.Parallel()
	dialers(t, func(t *testing.T, open func(context.Context, []string, ...Option) (Producer, error)) {
		_, err := open(nil, []string{"kafka:9092"})
		require.ErrorIs(t, err, ErrInvalidConfig)
		require.ErrorContains(t, err, "context.Background()")
	})
}

func TestNew_refusesBrokersThatAreNoAddresses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		brokers []string
		says    []string
	}{
		"nil":      {nil, []string{"brokers: is empty", "host:port"}},
		"none":     {[]string{}, []string{"brokers: is empty", "host:port"}},
		"empty":    {[]string{""}, []string{`""`, "host:port"}},
		"noPort":   {[]string{"kafka"}, []string{`"kafka"`, "host:port"}},
		"noHost":   {[]string{":9092"}, []string{`":9092"`, "host:port"}},
		"openPort": {[]string{"kafka:"}, []string{`"kafka:"`, "host:port"}},
		"url":      {[]string{"kafka://kafka:9092"}, []string{`"kafka://kafka:9092"`, "host:port"}},
		"list":     {[]string{"a:9092,b:9092"}, []string{`"a:9092,b:9092"`, "host:port"}},
		"ipv6":     {[]string{"::1:9092"}, []string{`"::1:9092"`, "host:port"}},
		"two":      {[]string{"a", "kafka:9092", "b"}, []string{`"a"`, `"b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dialers(t, func(t *testing.T, open func(context.Context, []string, ...Option) (Producer, error)) {
				_, err := open(t.Context(), c.brokers)
				require.ErrorIs(t, err, ErrInvalidConfig)
				for _, part := range c.says {
					require.ErrorContains(t, err, part)
				}
				require.NotContains(t, err.Error(), `"kafka:9092"`, "which is right")
			})
		})
	}
}

func TestNew_withAnEndedCtxReturnsItsErrorAndCause(t *testing.T) {
	t.Parallel()
	dialers(t, func(t *testing.T, open func(context.Context, []string, ...Option) (Producer, error)) {
		cause := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		var d refusing
		_, err := open(ctx, []string{"a:1"}, through(&d))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		require.Empty(t, d.dials)
	})
}

// refusing is a dialer that connects to nothing.
type refusing struct {
	mu    sync.Mutex
	dials map[string]int
	errs  map[string]error
}

func (d *refusing) Dial(_, addr string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dials == nil {
		d.dials = map[string]int{}
	}
	d.dials[addr]++
	return nil, d.errs[addr]
}

func through(d *refusing) Option {
	return WithSaramaConfig(func(c *sarama.Config) { c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, d })
}

func TestNew_withNobodyListeningTriesUntilCtxEndsAndNamesEveryAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deadline, want time.Duration
	}{"deadline": {3 * time.Second, 3 * time.Second}, "none": {0, 10 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dialers(t, func(t *testing.T, open func(context.Context, []string, ...Option) (Producer, error)) {
				synctest.Test(t, func(t *testing.T) {
					refused, unreachable := errors.New("refused"), errors.New("unreachable")
					d := &refusing{errs: map[string]error{"a:1": refused, "b:2": unreachable}}
					ctx := context.Background()
					if c.deadline > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, c.deadline)
						defer cancel()
					}
					began := time.Now()
					_, err := open(ctx, []string{"a:1", "b:2"}, through(d))
					require.Equal(t, c.want, time.Since(began))
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.ErrorIs(t, err, refused)
					require.ErrorIs(t, err, unreachable)
					require.ErrorContains(t, err, "a:1: refused")
					require.ErrorContains(t, err, "b:2: unreachable")
					require.Greater(t, d.dials["a:1"], 2)
					require.Greater(t, d.dials["b:2"], 2)
				})
			})
		})
	}
}

func TestNew_whoseCtxIsCancelledReturnsAtOnce(t *testing.T) {
	t.Parallel()
	dialers(t, func(t *testing.T, open func(context.Context, []string, ...Option) (Producer, error)) {
		synctest.Test(t, func(t *testing.T) {
			cause := errors.New("shutting down")
			d := &refusing{errs: map[string]error{"a:1": errors.New("refused")}}
			ctx, cancel := context.WithCancelCause(t.Context())
			opening := begin(t, func() error {
				_, err := open(ctx, []string{"a:1"}, through(d))
				return err
			})
			advance(2 * time.Second)
			opening.requireWaits()
			cancel(cause)
			err := opening.result()
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, cause)
			require.ErrorContains(t, err, "a:1: refused")
		})
	})
}

func TestFromClient_withoutAnOpenClientIsRefused(t *testing.T) {
	t.Parallel()
	borrowers(t, func(t *testing.T, open func(sarama.Client, ...Option) (Producer, error)) {
		closed := newBorrowed(nil)
		closed.closed = true
		for says, client := range map[string]sarama.Client{"client: is nil": nil, "client: is closed": closed} {
			_, err := open(client, WithMaxBuffered(0), WithAcks(sarama.NoResponse))
			require.Len(t, problemsOf(t, err), 3, "with all other problems")
			require.ErrorContains(t, err, says)
			require.ErrorContains(t, err, "pass an open sarama.Client")
			require.ErrorContains(t, err, "WithIdempotence(false)")
		}
		require.Zero(t, closed.closes)
	})
}

func TestFromClient_neverClosesTheClient(t *testing.T) {
	t.Parallel()
	borrowers(t, func(t *testing.T, open func(sarama.Client, ...Option) (Producer, error)) {
		synctest.Test(t, func(t *testing.T) {
			client := newBorrowed(nil)
			p, err := open(client, WithIdempotence(false), WithAcks(sarama.WaitForLocal))
			require.NoError(t, err)
			require.NoError(t, p.Flush(t.Context()))
			require.NoError(t, p.Close(t.Context()))
			require.ErrorIs(t, p.Send(t.Context(), text("t", "v")), ErrClosed)
			require.Zero(t, client.closes)
		})
	})
}

// An idempotent producer needs an id from the cluster, and a borrowed client
// cannot be cut.
func TestFromClient_thatGetsNoProducerIDEndsAfter10s(t *testing.T) {
	t.Parallel()
	borrowers(t, func(t *testing.T, open func(sarama.Client, ...Option) (Producer, error)) {
		synctest.Test(t, func(t *testing.T) {
			answer := make(chan struct{})
			for name, broker := range map[string]func() *sarama.Broker{
				"none":   func() *sarama.Broker { return nil },
				"silent": func() *sarama.Broker { <-answer; return nil },
			} {
				client := newBorrowed(nil)
				client.broker = broker
				began := time.Now()
				_, err := open(client)
				require.Equal(t, 10*time.Second, time.Since(began), name)
				require.ErrorIs(t, err, context.DeadlineExceeded, name)
				require.Zero(t, client.closes)
			}
			close(answer) // what comes too late is ended: the bubble would see it
		})
	})
}
