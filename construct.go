package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/lane"
	"github.com/saramakit/producer/internal/transport"
)

// connectTimeout bounds a constructor whose ctx has no deadline.
const connectTimeout = 10 * time.Second

// NewSync connects to a cluster and returns a producer whose Send returns when
// the message is stored.
//
// brokers are addresses to start from, "host:port"; one that answers is enough.
// All are tried at the same time, again and again until ctx ends, for 10 s if
// it has no deadline; the error then names every address with its cause. A
// wrong password ends it at once. ctx bounds the constructor only; if it fails
// nothing is left behind. Problems of the configuration are reported all at
// once, each wrapping [ErrInvalidConfig].
func NewSync(ctx context.Context, brokers []string, opts ...Option) (*Sync, error) {
	c, err := dial(ctx, brokers, syncDefaults(), opts)
	if err != nil {
		return nil, err
	}
	return &Sync{core: c}, nil
}

// NewAsync connects to a cluster and returns a producer whose Send returns when
// the message is accepted. See [NewSync] for brokers, ctx and errors.
func NewAsync(ctx context.Context, brokers []string, opts ...Option) (*Async, error) {
	c, err := dial(ctx, brokers, asyncDefaults(), opts)
	if err != nil {
		return nil, err
	}
	return &Async{core: c}, nil
}

// NewSyncFromClient is [NewSync] over a client that the caller has. The client
// is borrowed: it is never closed, and must not be closed before the producer
// is. Its network and metadata settings hold; producer settings are ours and
// the options', on a private copy, whatever the client's say (its Interceptors
// are kept). Options that cannot act on a borrowed client are errors. Sarama
// recommends a client of its own for a producer: a request that fails cuts the
// connection for everybody. It takes at most 10 s.
func NewSyncFromClient(client sarama.Client, opts ...Option) (*Sync, error) {
	c, err := borrow(client, syncDefaults(), opts)
	if err != nil {
		return nil, err
	}
	return &Sync{core: c}, nil
}

// NewAsyncFromClient is [NewAsync] over a client that the caller has: see
// [NewSyncFromClient].
func NewAsyncFromClient(client sarama.Client, opts ...Option) (*Async, error) {
	c, err := borrow(client, asyncDefaults(), opts)
	if err != nil {
		return nil, err
	}
	return &Async{core: c}, nil
}

func syncDefaults() *config { return defaults() }

func asyncDefaults() *config {
	cfg := defaults()
	cfg.linger = asyncLinger
	return cfg
}

// dial builds a core over a client of its own.
func dial(ctx context.Context, brokers []string, cfg *config, opts []Option) (*core, error) {
	Options(opts).apply(cfg)
	if ctx == nil {
		cfg.problem("ctx", nil, "is nil; pass context.Background()")
	}
	if len(brokers) == 0 {
		cfg.problem("brokers", nil, `is empty; give at least one address, "host:port"`)
	}
	for _, addr := range brokers {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			cfg.problem("brokers", fmt.Sprintf("%q", addr), `is not an address; use "host:port"`)
		}
	}
	conf, err := cfg.sarama(nil)
	if err != nil {
		return nil, err
	}
	cfg.settings = cfg.describe(conf, brokers)
	return build(ctx, cfg, &transport.Config{Sarama: conf, Addrs: slices.Clone(brokers)})
}

// borrow builds a core over somebody else's client.
func borrow(client sarama.Client, cfg *config, opts []Option) (*core, error) {
	Options(opts).apply(cfg)
	switch {
	case client == nil:
		cfg.problem("client", nil, "is nil; pass an open sarama.Client")
	case client.Closed():
		cfg.problem("client", nil, "is closed; pass an open sarama.Client")
	case client.Config() == nil:
		cfg.problem("client", nil, "has no configuration; pass one made by sarama.NewClient")
		client = nil // and look no further into it
	}
	conf, err := cfg.sarama(client)
	if err != nil {
		return nil, err
	}
	cfg.settings = cfg.describe(conf, nil)
	return build(context.Background(), cfg, &transport.Config{Sarama: conf, Client: client})
}

// build opens the transport and puts a core over it.
func build(ctx context.Context, cfg *config, t *transport.Config) (*core, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, connectTimeout)
		defer cancel()
	}
	if ctx.Err() != nil {
		return nil, endError(ctx)
	}
	c, err := newCore(cfg, func(c *core) (seam, error) {
		t.Backoff, t.DeliveryTimeout, t.UnknownTopic = cfg.backoff, cfg.deliveryTimeout, cfg.unknownTopicTimeout
		t.Home, t.Sink = c.home, c.returned
		t.Live, t.Suspect = c.lanes.Live, c.lanes.Suspect
		opened, err := transport.Open(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("producer: %w", ended(ctx, err))
		}
		if err := checkTopics(ctx, opened, cfg); err != nil {
			opened.Abort()
			// Prompt, but for a user's dialer that cannot be interrupted.
			reached(opened.Close(), time.After(abortGrace))
			return nil, ended(ctx, err)
		}
		return opened, nil
	})
	if err != nil {
		return nil, err
	}
	c.log.state(slog.LevelInfo, "producer: connected",
		slog.String("client_id", t.Sarama.ClientID), slog.Any("brokers", t.Addrs))
	return c, nil
}

// ended adds the error of a ctx that has ended to what came of that: what the
// transport returns wraps the cause only.
func ended(ctx context.Context, err error) error {
	if end := ctx.Err(); end != nil && !errors.Is(err, end) {
		return fmt.Errorf("%w: %w", end, err)
	}
	return err
}

// checkTopics waits until the cluster knows all topics of WithTopics. Asking
// fetches their metadata.
func checkTopics(ctx context.Context, t *transport.Transport, cfg *config) error {
	if len(cfg.topics) == 0 {
		return nil
	}
	errs := make([]error, len(cfg.topics))
	var asks sync.WaitGroup
	for i, topic := range cfg.topics {
		asks.Go(func() { errs[i] = checkTopic(ctx, t, topic, cfg.unknownTopicTimeout) })
	}
	asks.Wait()
	return errors.Join(errs...)
}

func checkTopic(ctx context.Context, t *transport.Transport, topic string, grace time.Duration) error {
	err := lane.Checker{Ask: t.Ask, Unknown: ErrUnknownTopic, Grace: grace}.Wait(ctx, topic, func() bool { return true })
	if err == nil {
		return nil
	}
	return fmt.Errorf("producer: WithTopics(%q): %w", topic, err)
}
