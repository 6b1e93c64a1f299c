package producer

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/partition"
	"github.com/saramakit/producer/internal/record"
	"github.com/saramakit/producer/internal/transport"
)

// config is what the options say, with the defaults for what they do not.
type config struct {
	acks                sarama.RequiredAcks
	idempotent          bool
	deliveryTimeout     time.Duration
	backoff             transport.Backoff
	maxBuffered         int
	maxBufferedBytes    int64
	maxBufferedPerTopic int // 0: no limit
	maxBlock            time.Duration
	linger              time.Duration
	maxMessageBytes     int
	compression         sarama.CompressionCodec
	partitioner         sarama.PartitionerConstructor
	unknownTopicTimeout time.Duration
	topics              []string
	autoCreate          bool
	onSuccess           SuccessFunc
	onError             ErrorFunc
	callbackWorkers     int
	slowCallback        time.Duration
	clientID            string
	version             sarama.KafkaVersion
	closeTimeout        time.Duration
	logger              *slog.Logger
	custom              []func(*sarama.Config)
	hooks               hooks
	stallTimeout        time.Duration

	// given are the names of the options that were used.
	given    map[string]bool
	problems []error

	// Derived by sarama().
	interceptors []sarama.ProducerInterceptor // run by Send
	laneLimit    int                          // records of one topic inside sarama
	settings     []Setting
}

// asyncLinger is the default of an Async: long enough to fill batches from a
// single goroutine, short against any network.
const asyncLinger = 5 * time.Millisecond

// defaults is the one place where they are.
func defaults() *config {
	return &config{
		acks:                sarama.WaitForAll,
		idempotent:          true,
		deliveryTimeout:     2 * time.Minute,
		backoff:             transport.Backoff{Min: 100 * time.Millisecond, Max: time.Second},
		maxBuffered:         100_000,
		maxBufferedBytes:    64 << 20,
		maxBlock:            time.Minute,
		maxMessageBytes:     1_000_000,
		compression:         sarama.CompressionSnappy,
		partitioner:         partition.New,
		unknownTopicTimeout: 5 * time.Second,
		callbackWorkers:     1,
		slowCallback:        5 * time.Second,
		clientID:            defaultClientID(),
		version:             sarama.DefaultVersion,
		closeTimeout:        30 * time.Second,
		stallTimeout:        30 * time.Second,
		logger:              slog.Default(),
		given:               map[string]bool{},
	}
}

// JavaPartitioner is a [sarama.PartitionerConstructor] that puts messages with
// a key where Kafka's Java client puts them (murmur2), and keeps messages
// without one together as the default does. For [WithPartitioner].
func JavaPartitioner(topic string) sarama.Partitioner { return partition.Java(topic) }

// defaultClientID is the program's name and the host's.
func defaultClientID() string {
	name := "producer"
	if len(os.Args) > 0 && os.Args[0] != "" {
		name = filepath.Base(os.Args[0])
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		name += "-" + host
	}
	return name
}

// problem notes what is wrong with an option.
func (c *config) problem(option string, value any, remedy string) {
	c.problems = append(c.problems, invalid(option, value, remedy))
}

// positive returns n if it is positive, else notes a problem and returns old.
func positive[N int | int64 | time.Duration](c *config, option string, n, old N) N {
	if n <= 0 {
		c.problem(option, n, "must be positive; leave it out for the default")
		return old
	}
	return n
}

// sarama makes the configuration for sarama, or returns every problem there is.
// borrowed is the client that was given, nil if there is none.
func (c *config) sarama(borrowed sarama.Client) (*sarama.Config, error) {
	var conf *sarama.Config
	if borrowed != nil {
		conf = c.borrow(borrowed.Config())
	} else {
		conf = c.own()
	}
	p := &conf.Producer
	p.RequiredAcks, p.Idempotent = c.acks, c.idempotent
	p.MaxMessageBytes, p.Compression = c.maxMessageBytes, c.compression
	p.Partitioner = c.partitioner
	p.Flush.Frequency = c.linger
	p.Timeout = min(p.Timeout, max(c.deliveryTimeout, time.Millisecond))
	p.Retry.Max, p.Retry.Backoff = c.backoff.Retries(c.deliveryTimeout), 0
	p.Return.Successes, p.Return.Errors = true, true
	if c.idempotent {
		// Sarama insists. It is not what the connections use, see
		// transport.MaxOpenRequests.
		conf.Net.MaxOpenRequests = 1
	}
	conf.ChannelBufferSize = channelBufferSize

	if c.idempotent && c.acks != sarama.WaitForAll {
		c.problem("WithAcks", c.acks, "an idempotent producer needs sarama.WaitForAll; add WithIdempotence(false)")
	}
	c.customise(conf, borrowed != nil)
	// A function may have kept its pointer.
	private := *conf
	conf = &private
	c.check(conf, borrowed != nil)
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	c.adopt(conf, borrowed != nil)
	return conf, nil
}

// channelBufferSize is how many messages sarama's channels hold, per topic and
// per partition at 8 bytes each. Smaller ones would let a partition without a
// leader stop its topic sooner, and needlessly.
const channelBufferSize = 8192

// leastChannelBuffer is what sarama's channels hold however small a user wants
// them: fewer of our records go in, but sarama's markers need their places.
const leastChannelBuffer = 256

// own returns the configuration of a client of our own.
func (c *config) own() *sarama.Config {
	conf := sarama.NewConfig()
	conf.ClientID, conf.Version = c.clientID, c.version
	conf.Net.MaxOpenRequests = transport.MaxOpenRequests
	conf.Net.DialTimeout = 5 * time.Second
	conf.Net.ReadTimeout = 15 * time.Second
	conf.Net.WriteTimeout = 15 * time.Second
	conf.Metadata.AllowAutoTopicCreation = c.autoCreate
	// The transport asks for metadata itself. None of these acts on it, so
	// that one who sets them is told: see check.
	conf.Metadata.Full, conf.Metadata.SingleFlight, conf.Metadata.Timeout = false, false, 0
	conf.Metadata.Retry.Max, conf.Metadata.Retry.Backoff = 0, 0
	return conf
}

// borrow returns a private copy of a client's configuration, with producer
// settings of our own. Interceptors are kept: nobody would expect them to be
// dropped.
func (c *config) borrow(of *sarama.Config) *sarama.Config {
	for _, option := range []string{"WithClientID", "WithKafkaVersion", "WithAutoTopicCreation"} {
		if c.given[option] {
			c.problem(option, nil, "cannot act on a borrowed client; set it in the client's configuration")
		}
	}
	conf := *of
	fresh := sarama.NewConfig()
	fresh.Producer.Interceptors = of.Producer.Interceptors
	conf.Producer = fresh.Producer
	conf.MetricRegistry = fresh.MetricRegistry // two on one delete each other's metrics
	conf.Metadata.AllowAutoTopicCreation = false
	return &conf
}

// customise gives the user's functions the last word.
func (c *config) customise(conf *sarama.Config, borrowed bool) {
	before := *conf
	for _, f := range c.custom {
		if err := runCustom(f, conf); err != nil {
			c.problems = append(c.problems, err)
		}
	}
	if borrowed {
		for _, changed := range changedSettings(&before, conf) {
			c.problem("WithSaramaConfig", nil, "changed "+changed+", which cannot act on a borrowed client; set it there")
		}
	}
}

func runCustom(f func(*sarama.Config), conf *sarama.Config) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: WithSaramaConfig: the function panicked with a %T", ErrInvalidConfig, p)
		}
	}()
	f(conf)
	return nil
}

// check refuses what would break a promise, and what sarama would only log.
func (c *config) check(conf *sarama.Config, borrowed bool) {
	p := &conf.Producer
	versionRemedy := "must be at least 0.11; use WithKafkaVersion"
	if borrowed {
		versionRemedy = "must be at least 0.11; set it in the client's configuration"
	}
	for _, rule := range []struct {
		broken bool
		name   string
		value  any // nil: there is none, or it is a secret
		remedy string
	}{
		{!p.Return.Successes, "Producer.Return.Successes", false, "results are how Send knows; leave it on"},
		{!p.Return.Errors, "Producer.Return.Errors", false, "results are how Send knows; leave it on"},
		{
			p.Retry.Backoff != 0, "Producer.Retry.Backoff", p.Retry.Backoff,
			"Close could not end that wait; use WithRetryBackoff",
		},
		{
			p.Retry.Max > transport.MaxRetries, "Producer.Retry.Max", p.Retry.Max,
			"at most 1000, sarama allocates for each; use WithDeliveryTimeout",
		},
		{
			p.Retry.MaxBufferLength > 0, "Producer.Retry.MaxBufferLength", p.Retry.MaxBufferLength,
			"it drops messages; use WithMaxBuffered",
		},
		{
			p.Retry.MaxBufferBytes > 0, "Producer.Retry.MaxBufferBytes", p.Retry.MaxBufferBytes,
			"it drops messages; use WithMaxBufferedBytes",
		},
		{
			!borrowed && conf.Metadata.Retry.BackoffFunc == nil && conf.Metadata.Retry.Backoff != 0,
			"Metadata.Retry.Backoff", conf.Metadata.Retry.Backoff,
			"has no effect; use WithRetryBackoff, or set Metadata.Retry.BackoffFunc",
		},
		{
			!borrowed && conf.Metadata.Retry.Max != 0, "Metadata.Retry.Max", conf.Metadata.Retry.Max,
			"has no effect, look-ups are repeated as long as a message waits; use WithDeliveryTimeout",
		},
		{
			!borrowed && conf.Metadata.Timeout != 0, "Metadata.Timeout", conf.Metadata.Timeout,
			"has no effect, look-ups are repeated as long as a message waits; use WithDeliveryTimeout",
		},
		{
			!borrowed && conf.Metadata.Full, "Metadata.Full", true,
			"has no effect, only topics that are sent to are looked up; leave it out",
		},
		{
			!borrowed && conf.Metadata.SingleFlight, "Metadata.SingleFlight", true,
			"has no effect, look-ups are joined in any case; leave it out",
		},
		{
			(p.Flush.Messages > 0 || p.Flush.Bytes > 0) && p.Flush.Frequency <= 0,
			"Producer.Flush.Messages or Flush.Bytes", max(p.Flush.Messages, p.Flush.Bytes),
			"without a Frequency messages wait for ever; use WithLinger",
		},
		{
			p.Flush.Frequency >= c.deliveryTimeout, "Producer.Flush.Frequency", p.Flush.Frequency,
			"messages would time out before they are sent; WithLinger must be less than WithDeliveryTimeout",
		},
		{
			p.Transaction.ID != "", "Producer.Transaction.ID", p.Transaction.ID,
			"transactions are not supported; leave it out",
		},
		{
			p.MaxMessageBytes > int(sarama.MaxRequestSize)-transport.RequestMargin, "Producer.MaxMessageBytes", p.MaxMessageBytes,
			"must be at least 10 KiB less than sarama.MaxRequestSize; use WithMaxMessageBytes",
		},
		{conf.ChannelBufferSize < 1, "ChannelBufferSize", conf.ChannelBufferSize, "must be at least 1"},
		{!conf.Version.IsAtLeast(sarama.V0_11_0_0), "Version", conf.Version, versionRemedy},
		{
			conf.Net.Proxy.Enable && conf.Net.Proxy.Dialer == nil, "Net.Proxy", nil,
			"is enabled without a Dialer; set Net.Proxy.Dialer",
		},
		{
			!conf.Net.TLS.Enable && conf.Net.TLS.Config != nil, "Net.TLS.Config", nil,
			"is set but would not be used; set Net.TLS.Enable",
		},
		{
			!conf.Net.SASL.Enable && (conf.Net.SASL.User != "" || conf.Net.SASL.Password != ""),
			"Net.SASL", nil, "credentials are set but would not be used; set Net.SASL.Enable",
		},
	} {
		if rule.broken {
			c.problem("sarama.Config "+rule.name, rule.value, rule.remedy)
		}
	}
	if len(c.problems) > 0 {
		return // sarama would say the same in other words
	}
	if err := conf.Validate(); err != nil {
		c.problems = append(c.problems, fmt.Errorf("%w: %w", ErrInvalidConfig, err))
	}
}

// adopt takes over what a custom function may have changed, and puts our own
// functions around the user's.
func (c *config) adopt(conf *sarama.Config, borrowed bool) {
	p := &conf.Producer
	c.maxMessageBytes = p.MaxMessageBytes
	c.interceptors, p.Interceptors = p.Interceptors, nil
	p.Partitioner = partition.Guard(p.Partitioner, record.Around{})
	// Some places are for sarama's own markers, of which there is one for each
	// partition that retries.
	c.laneLimit = max(1, conf.ChannelBufferSize-conf.ChannelBufferSize/8)
	if !borrowed && conf.ChannelBufferSize == channelBufferSize {
		c.laneLimit = math.MaxInt // the batcher has no channels that could be full
	}
	conf.ChannelBufferSize = max(conf.ChannelBufferSize, leastChannelBuffer)
	if conf.MetricRegistry == nil {
		conf.MetricRegistry = sarama.NewConfig().MetricRegistry
	}
	if conf.Net.SASL.Mechanism == sarama.SASLTypeOAuth && conf.Net.SASL.Version == sarama.SASLHandshakeV0 {
		// Sarama would write this while several connections are opened.
		conf.Net.SASL.Version = sarama.SASLHandshakeV1
	}
}
