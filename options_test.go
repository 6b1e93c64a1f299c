package producer

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// configured is what options make of the defaults.
func configured(t *testing.T, cfg *config, opts ...Option) (*config, *sarama.Config) {
	t.Helper()
	Options(opts).apply(cfg)
	conf, err := cfg.sarama(nil)
	require.NoError(t, err)
	return cfg, conf
}

// refusal is the error of a constructor that gets options. It needs no network:
// the configuration is checked first.
func refusal(t *testing.T, opts ...Option) error {
	t.Helper()
	s, syncErr := NewSync(t.Context(), []string{"localhost:1"}, opts...)
	require.Nil(t, s)
	a, asyncErr := NewAsync(t.Context(), []string{"localhost:1"}, opts...)
	require.Nil(t, a)
	require.ErrorIs(t, syncErr, ErrInvalidConfig)
	require.EqualError(t, asyncErr, syncErr.Error())
	return syncErr
}

// problemsOf are the parts of a joined error. Each must say that it is about
// the configuration.
func problemsOf(t *testing.T, err error) []error {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	for _, problem := range joined.Unwrap() {
		require.ErrorIs(t, problem, ErrInvalidConfig)
	}
	return joined.Unwrap()
}

// docOf is the doc comment of a function of options.go, on one line.
func docOf(t *testing.T, name string) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "options.go", nil, parser.ParseComments)
	require.NoError(t, err)
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return strings.Join(strings.Fields(f.Doc.Text()), " ")
		}
	}
	require.Fail(t, "no such function", name)
	return ""
}

func TestOptions_defaultsAreThoseOfTheirDocs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		option, says string
		want         any
		got          func(*config, *sarama.Config) any
	}{
		{
			"WithAcks", "default of [sarama.WaitForAll]", sarama.WaitForAll,
			func(_ *config, s *sarama.Config) any { return s.Producer.RequiredAcks },
		},
		{"WithIdempotence", "default of true", true, func(_ *config, s *sarama.Config) any { return s.Producer.Idempotent }},
		{"WithDeliveryTimeout", "default of 2 minutes", 2 * time.Minute, func(c *config, _ *sarama.Config) any { return c.deliveryTimeout }},
		{"WithRetryBackoff", "default of 100 ms growing", 100 * time.Millisecond, func(c *config, _ *sarama.Config) any { return c.backoff.Min }},
		{"WithRetryBackoff", "growing to 1 s", time.Second, func(c *config, _ *sarama.Config) any { return c.backoff.Max }},
		{"WithMaxBuffered", "default of 100,000", 100_000, func(c *config, _ *sarama.Config) any { return c.maxBuffered }},
		{"WithMaxBufferedBytes", "default of 64 MiB", int64(64 << 20), func(c *config, _ *sarama.Config) any { return c.maxBufferedBytes }},
		{"WithMaxBufferedPerTopic", "no such limit by default", 0, func(c *config, _ *sarama.Config) any { return c.maxBufferedPerTopic }},
		{"WithMaxBlock", "default of 1 minute", time.Minute, func(c *config, _ *sarama.Config) any { return c.maxBlock }},
		{"WithMaxMessageBytes", "default of 1,000,000", 1_000_000, func(_ *config, s *sarama.Config) any { return s.Producer.MaxMessageBytes }},
		{
			"WithCompression", "default of [sarama.CompressionSnappy]", sarama.CompressionSnappy,
			func(_ *config, s *sarama.Config) any { return s.Producer.Compression },
		},
		{"WithUnknownTopicTimeout", "default of 5 s", 5 * time.Second, func(c *config, _ *sarama.Config) any { return c.unknownTopicTimeout }},
		{
			"WithAutoTopicCreation", "default of false", false,
			func(_ *config, s *sarama.Config) any { return s.Metadata.AllowAutoTopicCreation },
		},
		{"WithCallbackWorkers", "default of 1.", 1, func(c *config, _ *sarama.Config) any { return c.callbackWorkers }},
		{"WithSlowCallback", "default of 5 s", 5 * time.Second, func(c *config, _ *sarama.Config) any { return c.slowCallback }},
		{
			"WithKafkaVersion", "sarama's default of 2.8", sarama.V2_8_0_0,
			func(_ *config, s *sarama.Config) any { return s.Version },
		},
		{"WithCloseTimeout", "default of 30 s", 30 * time.Second, func(c *config, _ *sarama.Config) any { return c.closeTimeout }},
		{"WithLogger", "default is [slog.Default]", slog.Default(), func(c *config, _ *sarama.Config) any { return c.logger }},
		{
			"WithSaramaConfig", "Net.DialTimeout 5 s", 5 * time.Second,
			func(_ *config, s *sarama.Config) any { return s.Net.DialTimeout },
		},
		{
			"WithSaramaConfig", "Net.ReadTimeout and Net.WriteTimeout 15 s",
			[2]time.Duration{15 * time.Second, 15 * time.Second},
			func(_ *config, s *sarama.Config) any { return [2]time.Duration{s.Net.ReadTimeout, s.Net.WriteTimeout} },
		},
		{
			"WithSaramaConfig", "Producer.Timeout 10 s", 10 * time.Second,
			func(_ *config, s *sarama.Config) any { return s.Producer.Timeout },
		},
		{"WithSaramaConfig", "ChannelBufferSize 8,192", 8192, func(_ *config, s *sarama.Config) any { return s.ChannelBufferSize }},
		{
			"WithSaramaConfig", "10 min; 0: never", 10 * time.Minute,
			func(_ *config, s *sarama.Config) any { return s.Metadata.RefreshFrequency },
		},
	} {
		t.Run(c.option+" "+c.says, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, docOf(t, c.option), c.says)
			for _, defaults := range []*config{syncDefaults(), asyncDefaults()} {
				cfg, conf := configured(t, defaults)
				require.Equal(t, c.want, c.got(cfg, conf))
			}
		})
	}
}

func TestWithLinger_defaultsToNothingForASyncAnd5msForAnAsync(t *testing.T) {
	t.Parallel()
	require.Contains(t, docOf(t, "WithLinger"), "default of 0 for a Sync and 5 ms for an Async")
	_, conf := configured(t, syncDefaults())
	require.Zero(t, conf.Producer.Flush.Frequency)
	_, conf = configured(t, asyncDefaults())
	require.Equal(t, 5*time.Millisecond, conf.Producer.Flush.Frequency)
	for _, defaults := range []*config{syncDefaults(), asyncDefaults()} {
		_, conf = configured(t, defaults, WithLinger(0))
		require.Zero(t, conf.Producer.Flush.Frequency)
		require.Zero(t, conf.Producer.Flush.Messages, "never a threshold without a time")
		require.Zero(t, conf.Producer.Flush.Bytes)
	}
}

func TestWithClientID_defaultsToTheNameOfTheProgram(t *testing.T) {
	t.Parallel()
	_, conf := configured(t, syncDefaults())
	require.Regexp(t, `^producer\.test`, conf.ClientID)
	require.NotEqual(t, sarama.NewConfig().ClientID, conf.ClientID)
}

func TestOptions_setWhatTheySay(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg, conf := configured(
		t, syncDefaults(),
		WithAcks(sarama.WaitForLocal), WithIdempotence(false), WithDeliveryTimeout(7*time.Second),
		WithRetryBackoff(time.Millisecond, 2*time.Millisecond), WithMaxBuffered(3), WithMaxBufferedBytes(4),
		WithMaxBufferedPerTopic(5), WithMaxBlock(6*time.Second), WithLinger(8*time.Millisecond), WithMaxMessageBytes(9),
		WithCompression(sarama.CompressionZSTD), WithUnknownTopicTimeout(10*time.Second), WithTopics("a", "b"),
		WithAutoTopicCreation(true), WithCallbackWorkers(11), WithSlowCallback(12*time.Second), WithClientID("me"),
		WithKafkaVersion(sarama.V3_6_0_0), WithCloseTimeout(13*time.Second), WithLogger(logger),
	)
	require.Equal(t, sarama.WaitForLocal, conf.Producer.RequiredAcks)
	require.False(t, conf.Producer.Idempotent)
	require.Equal(t, 7*time.Second, cfg.deliveryTimeout)
	require.Equal(t, 7*time.Second, conf.Producer.Timeout, "no longer than the delivery timeout")
	require.Equal(t, time.Millisecond, cfg.backoff.Min)
	require.Equal(t, 2*time.Millisecond, cfg.backoff.Max)
	require.Equal(t, 3, cfg.maxBuffered)
	require.EqualValues(t, 4, cfg.maxBufferedBytes)
	require.Equal(t, 5, cfg.maxBufferedPerTopic)
	require.Equal(t, 6*time.Second, cfg.maxBlock)
	require.Equal(t, 8*time.Millisecond, conf.Producer.Flush.Frequency)
	require.Equal(t, 9, conf.Producer.MaxMessageBytes)
	require.Equal(t, sarama.CompressionZSTD, conf.Producer.Compression)
	require.Equal(t, 10*time.Second, cfg.unknownTopicTimeout)
	require.Equal(t, []string{"a", "b"}, cfg.topics)
	require.True(t, conf.Metadata.AllowAutoTopicCreation)
	require.Equal(t, 11, cfg.callbackWorkers)
	require.Equal(t, 12*time.Second, cfg.slowCallback)
	require.Equal(t, "me", conf.ClientID)
	require.Equal(t, sarama.V3_6_0_0, conf.Version)
	require.Equal(t, 13*time.Second, cfg.closeTimeout)
	require.Same(t, logger, cfg.logger)
}

func TestOptions_refuseWhatCannotWork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		option Option
		says   []string // the option, its value, the remedy
	}{
		{"acks", Options{WithAcks(7), WithIdempotence(false)}, []string{"WithAcks(7)", "sarama.WaitForAll"}},
		{"acksBelow", WithAcks(-2), []string{"WithAcks(-2)", "sarama.WaitForAll"}},
		{"idempotenceWithLocalAcks", WithAcks(sarama.WaitForLocal), []string{"WithAcks(1)", "WithIdempotence(false)"}},
		{"idempotenceWithoutAcks", WithAcks(sarama.NoResponse), []string{"WithAcks(0)", "WithIdempotence(false)"}},
		{"deliveryTimeoutZero", WithDeliveryTimeout(0), []string{"WithDeliveryTimeout(0s)", "positive"}},
		{"deliveryTimeout", WithDeliveryTimeout(-time.Second), []string{"WithDeliveryTimeout(-1s)", "positive"}},
		{"backoffZero", WithRetryBackoff(0, time.Second), []string{"WithRetryBackoff([0s 1s])", "positive"}},
		{"backoffReversed", WithRetryBackoff(2*time.Second, time.Second), []string{"WithRetryBackoff([2s 1s])", "not less"}},
		{"maxBufferedZero", WithMaxBuffered(0), []string{"WithMaxBuffered(0)", "positive"}},
		{"maxBuffered", WithMaxBuffered(-1), []string{"WithMaxBuffered(-1)", "positive"}},
		{"maxBufferedBytesZero", WithMaxBufferedBytes(0), []string{"WithMaxBufferedBytes(0)", "positive"}},
		{"maxBufferedBytes", WithMaxBufferedBytes(-5), []string{"WithMaxBufferedBytes(-5)", "positive"}},
		{"perTopicZero", WithMaxBufferedPerTopic(0), []string{"WithMaxBufferedPerTopic(0)", "positive"}},
		{"perTopic", WithMaxBufferedPerTopic(-1), []string{"WithMaxBufferedPerTopic(-1)", "positive"}},
		{"maxBlock", WithMaxBlock(-time.Second), []string{"WithMaxBlock(-1s)", "use 0"}},
		{"linger", WithLinger(-time.Second), []string{"WithLinger(-1s)", "use 0"}},
		{"lingerTooLong", WithLinger(3 * time.Minute), []string{"Frequency(3m0s)", "WithLinger must be less than WithDeliveryTimeout"}},
		{"maxMessageBytesZero", WithMaxMessageBytes(0), []string{"WithMaxMessageBytes(0)", "positive"}},
		{"maxMessageBytes", WithMaxMessageBytes(-1), []string{"WithMaxMessageBytes(-1)", "positive"}},
		{"maxMessageBytesOverRequest", WithMaxMessageBytes(1 << 30), []string{"MaxMessageBytes(1073741824)", "WithMaxMessageBytes"}},
		{"compression", WithCompression(99), []string{"WithCompression(99)", "sarama.CompressionNone"}},
		{"compressionBelow", WithCompression(-1), []string{"WithCompression(-1)", "sarama.CompressionNone"}},
		{"partitioner", WithPartitioner(nil), []string{"WithPartitioner", "nil", "leave it out"}},
		{"unknownTopicTimeout", WithUnknownTopicTimeout(0), []string{"WithUnknownTopicTimeout(0s)", "positive"}},
		{"topics", WithTopics("a", ""), []string{`WithTopics("")`, "empty"}},
		{"onSuccess", WithOnSuccess(nil), []string{"WithOnSuccess", "nil", "leave it out"}},
		{"onError", WithOnError(nil), []string{"WithOnError", "nil", "leave it out"}},
		{"callbackWorkersZero", WithCallbackWorkers(0), []string{"WithCallbackWorkers(0)", "positive"}},
		{"callbackWorkers", WithCallbackWorkers(-1), []string{"WithCallbackWorkers(-1)", "positive"}},
		{"slowCallback", WithSlowCallback(0), []string{"WithSlowCallback(0s)", "positive"}},
		{"clientID", WithClientID(""), []string{`WithClientID("")`, "leave it out"}},
		{"kafkaVersion", WithKafkaVersion(sarama.V0_10_2_0), []string{"Version(0.10.2.0)", "0.11", "WithKafkaVersion"}},
		{"kafkaVersionZero", WithKafkaVersion(sarama.KafkaVersion{}), []string{"Version(0.0.0.0)", "0.11", "WithKafkaVersion"}},
		{"closeTimeout", WithCloseTimeout(0), []string{"WithCloseTimeout(0s)", "positive"}},
		{"logger", WithLogger(nil), []string{"WithLogger", "nil", "slog.DiscardHandler"}},
		{"saramaConfig", WithSaramaConfig(nil), []string{"WithSaramaConfig", "nil", "leave it out"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			problems := problemsOf(t, refusal(t, c.option))
			found := false
			for _, problem := range problems {
				all := true
				for _, part := range c.says {
					all = all && strings.Contains(problem.Error(), part)
				}
				found = found || all
			}
			require.True(t, found, "none of %q says %q", problems, c.says)
		})
	}
}

func TestOptions_acceptWhatZeroHasAMeaningFor(t *testing.T) {
	t.Parallel()
	cfg, conf := configured(t, asyncDefaults(), WithMaxBlock(0), WithLinger(0), WithTopics())
	require.Zero(t, cfg.maxBlock)
	require.Zero(t, conf.Producer.Flush.Frequency)
}

func TestOptions_acceptEveryAcksWithoutIdempotence(t *testing.T) {
	t.Parallel()
	for _, acks := range []sarama.RequiredAcks{sarama.WaitForAll, sarama.WaitForLocal, sarama.NoResponse} {
		_, conf := configured(t, syncDefaults(), WithAcks(acks), WithIdempotence(false))
		require.Equal(t, acks, conf.Producer.RequiredAcks)
	}
}

func TestOptions_reportAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	s, err := NewSync(
		nil, []string{"no port"}, //nolint:staticcheck // a caller's bug must not be a crash
		WithMaxBuffered(0), WithLinger(-1), WithAcks(sarama.NoResponse),
		WithSaramaConfig(func(c *sarama.Config) { c.Producer.Return.Errors = false }),
		WithSaramaConfig(func(*sarama.Config) { panic("no") }),
	)
	require.Nil(t, s)
	require.Len(t, problemsOf(t, err), 7)
	for _, part := range []string{
		"ctx", `"no port"`, "WithMaxBuffered", "WithLinger", "WithIdempotence", "Return.Errors", "panicked",
	} {
		require.ErrorContains(t, err, part)
	}
}

func TestOptions_ignoreNil(t *testing.T) {
	t.Parallel()
	cfg, _ := configured(t, syncDefaults(), nil, Options(nil), Options{nil, WithMaxBuffered(5), nil}, nil)
	require.Equal(t, 5, cfg.maxBuffered)
}

func TestOptions_nest(t *testing.T) {
	t.Parallel()
	bundle := Options{WithMaxBuffered(5), Options{WithMaxBlock(6), Options{WithClientID("deep")}}}
	cfg, conf := configured(t, syncDefaults(), bundle, WithTopics("t"))
	require.Equal(t, 5, cfg.maxBuffered)
	require.EqualValues(t, 6, cfg.maxBlock)
	require.Equal(t, "deep", conf.ClientID)
	require.Equal(t, []string{"t"}, cfg.topics)
}

func TestOptions_theLastOneWins(t *testing.T) {
	t.Parallel()
	defaults := Options{WithMaxBuffered(1), WithTopics("a", "b"), WithClientID("first")}
	cfg, conf := configured(t, syncDefaults(), defaults, WithMaxBuffered(2), WithTopics("c"), Options{WithClientID("last")})
	require.Equal(t, 2, cfg.maxBuffered)
	require.Equal(t, []string{"c"}, cfg.topics)
	require.Equal(t, "last", conf.ClientID)
}

func TestWithTopics_keepsACopy(t *testing.T) {
	t.Parallel()
	names := []string{"a"}
	option := WithTopics(names...)
	cfg, _ := configured(t, syncDefaults(), option)
	names[0] = "changed"
	require.Equal(t, []string{"a"}, cfg.topics)
}

func TestWithPartitioner_isAskedAndItsPanicIsAnError(t *testing.T) {
	t.Parallel()
	_, conf := configured(t, syncDefaults(), WithPartitioner(sarama.NewManualPartitioner))
	choice, err := conf.Producer.Partitioner("t").Partition(&sarama.ProducerMessage{Partition: 4}, 8)
	require.NoError(t, err)
	require.EqualValues(t, 4, choice)

	_, conf = configured(t, syncDefaults(), WithPartitioner(func(string) sarama.Partitioner { panic("no") }))
	_, err = conf.Producer.Partitioner("t").Partition(&sarama.ProducerMessage{}, 8)
	require.Error(t, err)
}

func TestJavaPartitioner_putsKeysWhereTheJavaClientDoes(t *testing.T) {
	t.Parallel()
	_, conf := configured(t, syncDefaults(), WithPartitioner(JavaPartitioner))
	p, want := conf.Producer.Partitioner("t"), sarama.NewMurmur2Partitioner("t")
	for _, key := range []string{"", "a", "order-4711", strings.Repeat("k", 100)} {
		msg := &sarama.ProducerMessage{Topic: "t", Key: sarama.StringEncoder(key)}
		expected, err := want.Partition(msg, 24)
		require.NoError(t, err)
		choice, err := p.Partition(msg, 24)
		require.NoError(t, err)
		require.Equal(t, expected, choice)
	}
}
