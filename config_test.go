package producer

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// borrowed is a client that somebody else has. What is not overridden here
// panics when it is called.
type borrowed struct {
	sarama.Client
	conf   *sarama.Config
	closed bool
	closes int
	broker func() *sarama.Broker // whom sarama asks for a producer id
}

func newBorrowed(change func(*sarama.Config)) *borrowed {
	conf := sarama.NewConfig()
	if change != nil {
		change(conf)
	}
	return &borrowed{conf: conf}
}

func (b *borrowed) Config() *sarama.Config            { return b.conf }
func (b *borrowed) Closed() bool                      { return b.closed }
func (b *borrowed) Close() error                      { b.closes++; return nil }
func (b *borrowed) LeastLoadedBroker() *sarama.Broker { return b.broker() }

// over is what options make of the defaults for a borrowed client.
func over(t *testing.T, client sarama.Client, opts ...Option) (*config, *sarama.Config) {
	t.Helper()
	cfg := syncDefaults()
	Options(opts).apply(cfg)
	conf, err := cfg.sarama(client)
	require.NoError(t, err)
	return cfg, conf
}

func TestWithSaramaConfig_refusesWhatWouldBreakAPromise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*sarama.Config)
		says   []string
	}{
		{"successes", func(c *sarama.Config) { c.Producer.Return.Successes = false }, []string{"Return.Successes(false)", "leave it on"}},
		{"errors", func(c *sarama.Config) { c.Producer.Return.Errors = false }, []string{"Return.Errors(false)", "leave it on"}},
		{"backoff", func(c *sarama.Config) { c.Producer.Retry.Backoff = time.Second }, []string{"Producer.Retry.Backoff(1s)", "WithRetryBackoff"}},
		{"retries", func(c *sarama.Config) { c.Producer.Retry.Max = 1001 }, []string{"Producer.Retry.Max(1001)", "WithDeliveryTimeout"}},
		{"retryBuffer", func(c *sarama.Config) { c.Producer.Retry.MaxBufferLength = 9 }, []string{"MaxBufferLength(9)", "WithMaxBuffered"}},
		{"retryBytes", func(c *sarama.Config) { c.Producer.Retry.MaxBufferBytes = 9 }, []string{"MaxBufferBytes(9)", "WithMaxBufferedBytes"}},
		{"metadataBackoff", func(c *sarama.Config) { c.Metadata.Retry.Backoff = time.Second }, []string{"Metadata.Retry.Backoff(1s)", "BackoffFunc"}},
		{"metadataRetries", func(c *sarama.Config) { c.Metadata.Retry.Max = 3 }, []string{"Metadata.Retry.Max(3)", "WithDeliveryTimeout"}},
		{"metadataTimeout", func(c *sarama.Config) { c.Metadata.Timeout = time.Second }, []string{"Metadata.Timeout(1s)", "WithDeliveryTimeout"}},
		{"metadataFull", func(c *sarama.Config) { c.Metadata.Full = true }, []string{"Metadata.Full(true)", "leave it out"}},
		{"metadataFlight", func(c *sarama.Config) { c.Metadata.SingleFlight = true }, []string{"Metadata.SingleFlight(true)", "leave it out"}},
		{"flushMessages", func(c *sarama.Config) { c.Producer.Flush.Messages = 10 }, []string{"Flush.Messages", "(10)", "WithLinger"}},
		{"flushBytes", func(c *sarama.Config) { c.Producer.Flush.Bytes = 10 }, []string{"Flush.Bytes", "(10)", "WithLinger"}},
		{"frequency", func(c *sarama.Config) { c.Producer.Flush.Frequency = time.Hour }, []string{"Flush.Frequency(1h0m0s)", "WithDeliveryTimeout"}},
		{"transaction", func(c *sarama.Config) { c.Producer.Transaction.ID = "tx" }, []string{"Transaction.ID(tx)", "not supported"}},
		{"messageBytes", func(c *sarama.Config) { c.Producer.MaxMessageBytes = 1 << 30 }, []string{"MaxMessageBytes(1073741824)", "MaxRequestSize"}},
		{"channels", func(c *sarama.Config) { c.ChannelBufferSize = 0 }, []string{"ChannelBufferSize(0)", "at least 1"}},
		{"version", func(c *sarama.Config) { c.Version = sarama.V0_9_0_0 }, []string{"Version(0.9.0.0)", "WithKafkaVersion"}},
		{"proxy", func(c *sarama.Config) { c.Net.Proxy.Enable = true }, []string{"Net.Proxy", "Dialer"}},
		{"tls", func(c *sarama.Config) { c.Net.TLS.Config = &tls.Config{MinVersion: tls.VersionTLS13} }, []string{"Net.TLS.Config", "Net.TLS.Enable"}},
		{"sasl", func(c *sarama.Config) { c.Net.SASL.User = "me" }, []string{"Net.SASL", "Net.SASL.Enable"}},
		{"saslPassword", func(c *sarama.Config) { c.Net.SASL.Password = canary }, []string{"Net.SASL", "Net.SASL.Enable"}},
		{"whole", func(c *sarama.Config) { *c = *sarama.NewConfig() }, []string{"Return.Successes", "leave it on"}},
		// What sarama itself refuses.
		{"dialTimeout", func(c *sarama.Config) { c.Net.DialTimeout = 0 }, []string{"Net.DialTimeout must be > 0"}},
		{"requests", func(c *sarama.Config) { c.Net.MaxOpenRequests = 5 }, []string{"MaxOpenRequests to be 1"}},
		{"acks", func(c *sarama.Config) { c.Producer.RequiredAcks = sarama.NoResponse }, []string{"RequiredAcks to be WaitForAll"}},
		{"partitioner", func(c *sarama.Config) { c.Producer.Partitioner = nil }, []string{"Partitioner must not be nil"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := refusal(t, WithLinger(0), WithSaramaConfig(c.change))
			for _, part := range c.says {
				require.ErrorContains(t, err, part)
			}
			requireSecret(t, err)
		})
	}
}

func TestWithSaramaConfig_hasTheLastWord(t *testing.T) {
	t.Parallel()
	cfg, conf := configured(
		t, syncDefaults(),
		WithSaramaConfig(func(c *sarama.Config) {
			require.Equal(t, "option", c.ClientID, "options are applied before, wherever they stand")
			c.ClientID, c.Producer.Retry.Max = "first", 7
		}),
		WithClientID("option"),
		WithSaramaConfig(func(c *sarama.Config) {
			require.Equal(t, "first", c.ClientID, "in the order of the options")
			c.ClientID = "second"
			c.Producer.Flush.Frequency, c.Producer.Flush.Messages = time.Millisecond, 10
			c.ChannelBufferSize = 80
		}),
	)
	require.Equal(t, "second", conf.ClientID)
	require.Equal(t, 7, conf.Producer.Retry.Max)
	require.Equal(t, 10, conf.Producer.Flush.Messages, "a threshold with a time is fine")
	require.Less(t, cfg.laneLimit, 80, "sarama's own markers need places too")
	require.Positive(t, cfg.laneLimit)
	require.Equal(t, leastChannelBuffer, conf.ChannelBufferSize, "and have them however few of ours go in")
}

func TestWithSaramaConfig_seesWhatIsSetByDefault(t *testing.T) {
	t.Parallel()
	_, _ = configured(t, syncDefaults(), WithSaramaConfig(func(c *sarama.Config) {
		require.True(t, c.Producer.Return.Successes)
		require.True(t, c.Producer.Return.Errors)
		require.Equal(t, sarama.WaitForAll, c.Producer.RequiredAcks)
		require.Equal(t, 1, c.Net.MaxOpenRequests)
		require.NotNil(t, c.MetricRegistry)
	}))
}

func TestWithSaramaConfig_thatPanicsIsAnError(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"text": canary, "error": errors.New(canary)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := refusal(t, WithSaramaConfig(func(*sarama.Config) { panic(value) }))
			require.ErrorContains(t, err, "WithSaramaConfig")
			require.ErrorContains(t, err, "panicked")
			requireSecret(t, err)
		})
	}
}

func TestWithSaramaConfig_worksOnAPrivateCopy(t *testing.T) {
	t.Parallel()
	var kept []*sarama.Config
	option := WithSaramaConfig(func(c *sarama.Config) { kept = append(kept, c) })
	_, first := configured(t, syncDefaults(), option)
	_, second := configured(t, syncDefaults(), option)
	require.NotSame(t, first, second, "one for each producer")
	for _, c := range kept {
		c.Producer.Return.Successes, c.Producer.RequiredAcks = false, sarama.NoResponse
	}
	for _, conf := range []*sarama.Config{first, second} {
		require.True(t, conf.Producer.Return.Successes, "a pointer that was kept is good for nothing")
		require.Equal(t, sarama.WaitForAll, conf.Producer.RequiredAcks)
	}
}

func TestWithSaramaConfig_takesInterceptorsOverFromSarama(t *testing.T) {
	t.Parallel()
	cfg, conf := configured(t, syncDefaults(), withInterceptors(interceptor(nil), interceptor(nil)))
	require.Len(t, cfg.interceptors, 2)
	require.Empty(t, conf.Producer.Interceptors, "sarama would run them again for every retry")
}

func TestWithSaramaConfig_keepsWhatIsComposed(t *testing.T) {
	t.Parallel()
	asked := 0
	_, conf := configured(t, syncDefaults(), WithSaramaConfig(func(c *sarama.Config) {
		c.Producer.Retry.BackoffFunc = func(int, int) time.Duration { asked++; return 7 }
		c.Metadata.Retry.Backoff = time.Second // not used beside a function
		c.Metadata.Retry.BackoffFunc = func(int, int) time.Duration { asked++; return 8 }
		c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, &net.Dialer{}
		c.Producer.Partitioner = sarama.NewManualPartitioner
		c.MetricRegistry = nil
	}))
	require.EqualValues(t, 7, conf.Producer.Retry.BackoffFunc(1, 1))
	require.EqualValues(t, 8, conf.Metadata.Retry.BackoffFunc(1, 1))
	require.Equal(t, 2, asked)
	require.NotNil(t, conf.Net.Proxy.Dialer)
	require.NotNil(t, conf.MetricRegistry)
	choice, err := conf.Producer.Partitioner("t").Partition(&sarama.ProducerMessage{Partition: 2}, 3)
	require.NoError(t, err)
	require.EqualValues(t, 2, choice)
}

func TestOptions_givesEachProducerItsOwnMetricRegistry(t *testing.T) {
	t.Parallel()
	client := newBorrowed(nil)
	_, a := over(t, client)
	_, b := over(t, client)
	require.NotSame(t, a.MetricRegistry, b.MetricRegistry)
	require.NotSame(t, client.conf.MetricRegistry, a.MetricRegistry, "two on one delete each other's metrics")
}

func TestFromClient_makesAPrivateCopyOfTheClientsConfig(t *testing.T) {
	t.Parallel()
	client := newBorrowed(func(c *sarama.Config) {
		c.ClientID, c.Version = "theirs", sarama.V3_0_0_0
		c.Net.ReadTimeout, c.Metadata.RefreshFrequency = 77*time.Second, 78*time.Second
		c.Net.MaxOpenRequests = 4
		c.Producer.Interceptors = []sarama.ProducerInterceptor{interceptor(nil)}
		// Producer settings that would break ours.
		c.Producer.Return.Successes, c.Producer.Return.Errors = false, false
		c.Producer.RequiredAcks, c.Producer.Idempotent = sarama.NoResponse, false
		c.Producer.Flush.Messages, c.Producer.Retry.Max, c.Producer.Retry.MaxBufferLength = 100, 0, 5
		c.Producer.Transaction.ID, c.Producer.MaxMessageBytes = "theirs", 5
		c.ChannelBufferSize = 0
	})
	before := *client.conf
	cfg, conf := over(t, client, WithMaxMessageBytes(50), WithSaramaConfig(func(c *sarama.Config) {
		c.Producer.Retry.Max, c.ChannelBufferSize = 9, 300 // a producer's own
	}))
	require.Empty(t, changedSettings(&before, client.conf), "the client's own is not changed")
	require.False(t, client.conf.Producer.Return.Successes)
	require.Equal(t, 5, client.conf.Producer.MaxMessageBytes)
	require.NotSame(t, client.conf, conf)

	require.True(t, conf.Producer.Return.Successes)
	require.True(t, conf.Producer.Return.Errors)
	require.True(t, conf.Producer.Idempotent)
	require.Equal(t, sarama.WaitForAll, conf.Producer.RequiredAcks)
	require.Zero(t, conf.Producer.Flush.Messages)
	require.Equal(t, 9, conf.Producer.Retry.Max)
	require.Zero(t, conf.Producer.Retry.MaxBufferLength)
	require.Empty(t, conf.Producer.Transaction.ID)
	require.Equal(t, 50, conf.Producer.MaxMessageBytes)
	require.Equal(t, 300, conf.ChannelBufferSize)

	require.Equal(t, "theirs", conf.ClientID, "network and metadata settings are the client's")
	require.Equal(t, sarama.V3_0_0_0, conf.Version)
	require.Equal(t, 77*time.Second, conf.Net.ReadTimeout)
	require.Equal(t, 78*time.Second, conf.Metadata.RefreshFrequency)
	require.Len(t, cfg.interceptors, 1, "nobody would expect them to be dropped")
	require.False(t, conf.Metadata.AllowAutoTopicCreation, "asking whether a topic exists must not create it")
}

func TestFromClient_refusesOptionsThatCannotAct(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]Option{
		"WithClientID": WithClientID("me"), "WithKafkaVersion": WithKafkaVersion(sarama.V3_0_0_0),
		"WithAutoTopicCreation": WithAutoTopicCreation(true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := NewSyncFromClient(newBorrowed(nil), option)
			require.Nil(t, p)
			require.Len(t, problemsOf(t, err), 1)
			require.ErrorContains(t, err, name)
			require.ErrorContains(t, err, "borrowed client")
			require.ErrorContains(t, err, "set it in the client's configuration")
		})
	}
}

func TestFromClient_refusesChangesThatCannotAct(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		setting string
		change  func(*sarama.Config)
	}{
		{"ClientID", func(c *sarama.Config) { c.ClientID = "me" }},
		{"Version", func(c *sarama.Config) { c.Version = sarama.V3_0_0_0 }},
		{"Net.ReadTimeout", func(c *sarama.Config) { c.Net.ReadTimeout++ }},
		{"Net.SASL.Enable", func(c *sarama.Config) {
			c.Net.SASL.Enable, c.Net.SASL.User, c.Net.SASL.Password = true, "me", canary
		}},
		{"Net.TLS.Config", func(c *sarama.Config) {
			c.Net.TLS.Enable, c.Net.TLS.Config = true, &tls.Config{MinVersion: tls.VersionTLS13}
		}},
		{"Net.Proxy.Dialer", func(c *sarama.Config) { c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, &net.Dialer{} }},
		{"Metadata.Full", func(c *sarama.Config) { c.Metadata.Full = false }},
		{"Metadata.Retry.BackoffFunc", func(c *sarama.Config) { c.Metadata.Retry.BackoffFunc = func(int, int) time.Duration { return 0 } }},
		{"RackID", func(c *sarama.Config) { c.RackID = "r" }},
		{"ApiVersionsRequest", func(c *sarama.Config) { c.ApiVersionsRequest = false }},
	} {
		t.Run(c.setting, func(t *testing.T) {
			t.Parallel()
			p, err := NewAsyncFromClient(newBorrowed(nil), WithSaramaConfig(c.change))
			require.Nil(t, p)
			require.ErrorIs(t, err, ErrInvalidConfig)
			require.ErrorContains(t, err, "changed "+c.setting+", which cannot act on a borrowed client")
			requireSecret(t, err)
		})
	}
}

func TestFromClient_withAnOldVersionSaysWhereToSetIt(t *testing.T) {
	t.Parallel()
	_, err := NewSyncFromClient(newBorrowed(func(c *sarama.Config) { c.Version = sarama.V0_9_0_0 }))
	require.ErrorContains(t, err, "Version(0.9.0.0)")
	require.ErrorContains(t, err, "client's configuration")
	require.NotContains(t, err.Error(), "WithKafkaVersion", "which would be refused")
}
