package producer

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/record"
)

// Option changes a setting of a new producer. Options are applied in order; of
// two that set the same the last one wins. A nil Option is ignored.
//
// Constructors report everything that is wrong at once, each problem wrapping
// [ErrInvalidConfig]. Zero and negative values are refused unless an option
// says what zero means, and so are nil functions.
type Option interface{ apply(c *config) }

// Options is a bundle of options, and an Option itself.
type Options []Option

func (o Options) apply(c *config) {
	for _, option := range o {
		if option != nil {
			option.apply(c)
		}
	}
}

// option is an Option made of a function. The name says whether it was set.
type option struct {
	name string
	set  func(c *config)
}

func (o option) apply(c *config) {
	c.given[o.name] = true
	o.set(c)
}

// MessageOverhead is what each message takes of [WithMaxBufferedBytes] beside
// the bytes of its key, value and headers (a header takes 96 more): the memory
// that this library and sarama need to keep track of it.
const MessageOverhead = record.Overhead

// WithAcks sets which replicas must have a message before it counts as
// delivered, overriding the default of [sarama.WaitForAll]. With
// [sarama.NoResponse] "delivered" means "written to the socket", and Offset is
// -1: what a broker then drops, such as messages for a partition that it has
// only just become the leader of, is lost in silence. Anything but WaitForAll
// needs WithIdempotence(false).
func WithAcks(acks sarama.RequiredAcks) Option {
	return option{"WithAcks", func(c *config) {
		if acks < sarama.WaitForAll || acks > sarama.WaitForLocal {
			c.problem("WithAcks", acks, "use sarama.WaitForAll, sarama.WaitForLocal or sarama.NoResponse")
		}
		c.acks = acks
	}}
}

// WithIdempotence sets whether brokers recognise re-sends, overriding the
// default of true. With it a message is stored at most once by one producer,
// and messages to one partition stay in order across retries. It needs acks=all.
func WithIdempotence(on bool) Option {
	return option{"WithIdempotence", func(c *config) { c.idempotent = on }}
}

// WithDeliveryTimeout sets how long a message may be on its way, from its
// acceptance to its outcome, overriding the default of 2 minutes. Then it fails
// with [ErrDeliveryTimeout]; what has not been put into a batch never will be.
// Retries and the patience with the cluster's metadata are derived from it.
func WithDeliveryTimeout(d time.Duration) Option {
	return option{"WithDeliveryTimeout", func(c *config) {
		c.deliveryTimeout = positive(c, "WithDeliveryTimeout", d, c.deliveryTimeout)
	}}
}

// WithRetryBackoff sets the waits before a re-send, overriding the default of
// 100 ms growing to 1 s. They double from shortest to longest, less up to a
// fifth at random, until the delivery timeout. Over a client that is passed in
// sarama can retry 1,000 times: where that would end before the delivery timeout,
// the waits after the first few are longer than longest.
func WithRetryBackoff(shortest, longest time.Duration) Option {
	return option{"WithRetryBackoff", func(c *config) {
		if shortest <= 0 || longest < shortest {
			c.problem("WithRetryBackoff", []time.Duration{shortest, longest},
				"the first must be positive, the second not less than the first")
			return
		}
		c.backoff.Min, c.backoff.Max = shortest, longest
	}}
}

// WithMaxBuffered sets how many messages the producer holds, overriding the
// default of 100,000: those whose callbacks have not returned, and those that
// sarama has not let go of. When there are as many, Send waits.
//
// It is large because the messages of a broker that does not answer keep their
// places: at 5,000 messages a second 100,000 places bridge a freeze of 15 s
// without a Send that waits. The real bound is [WithMaxBufferedBytes].
func WithMaxBuffered(messages int) Option {
	return option{"WithMaxBuffered", func(c *config) {
		c.maxBuffered = positive(c, "WithMaxBuffered", messages, c.maxBuffered)
	}}
}

// WithMaxBufferedBytes sets how many bytes the producer holds, overriding the
// default of 64 MiB: keys, values, headers and [MessageOverhead] for each
// message. When there are as many, Send waits; a message that is larger than
// all of it gets [ErrMessageTooLarge].
func WithMaxBufferedBytes(bytes int64) Option {
	return option{"WithMaxBufferedBytes", func(c *config) {
		c.maxBufferedBytes = positive(c, "WithMaxBufferedBytes", bytes, c.maxBufferedBytes)
	}}
}

// WithMaxBufferedPerTopic limits how many messages of one topic the producer
// holds, so that a topic without a leader cannot take all the room. There is no
// such limit by default. Room in the topic's part is waited for first.
func WithMaxBufferedPerTopic(messages int) Option {
	return option{"WithMaxBufferedPerTopic", func(c *config) {
		c.maxBufferedPerTopic = positive(c, "WithMaxBufferedPerTopic", messages, c.maxBufferedPerTopic)
	}}
}

// WithMaxBlock sets how long a Send waits for room at most, whatever its ctx,
// overriding the default of 1 minute. Then it returns [ErrBufferFull]. Zero:
// not at all.
func WithMaxBlock(d time.Duration) Option {
	return option{"WithMaxBlock", func(c *config) {
		if d < 0 {
			c.problem("WithMaxBlock", d, "use 0 to fail at once, or a positive duration")
			return
		}
		c.maxBlock = d
	}}
}

// WithLinger sets how long sarama gathers messages before it sends a batch,
// overriding the default of 0 for a Sync and 5 ms for an Async. Zero: it sends
// as soon as the partition has no batch on its way, which gathers by itself
// under load. Every message waits for it, and so do Flush and Close.
func WithLinger(d time.Duration) Option {
	return option{"WithLinger", func(c *config) {
		if d < 0 {
			c.problem("WithLinger", d, "use 0 for no wait, or a positive duration")
			return
		}
		c.linger = d
	}}
}

// WithMaxMessageBytes sets how large a message may be, overriding the default
// of 1,000,000: the bytes of key, value and headers, 36 for the record and 10
// for each header, before compression. A larger one gets [ErrMessageTooLarge]
// from Send. Brokers have a limit of their own (message.max.bytes, by default
// 1,048,588 for a whole batch). It also bounds a batch.
func WithMaxMessageBytes(bytes int) Option {
	return option{"WithMaxMessageBytes", func(c *config) {
		c.maxMessageBytes = positive(c, "WithMaxMessageBytes", bytes, c.maxMessageBytes)
	}}
}

// WithCompression sets how batches are compressed, overriding the default of
// [sarama.CompressionSnappy].
func WithCompression(codec sarama.CompressionCodec) Option {
	return option{"WithCompression", func(c *config) {
		if codec < sarama.CompressionNone || codec > sarama.CompressionZSTD {
			c.problem("WithCompression", int8(codec), "use one of sarama.CompressionNone, GZIP, Snappy, LZ4, ZSTD")
		}
		c.compression = codec
	}}
}

// WithPartitioner sets how partitions are chosen. By default a message with a
// key goes where sarama's NewHashPartitioner puts it, so that a service which
// comes from bare sarama keeps its placement, and messages without a key stay
// on one partition for 16 KiB or 10 ms, which fills batches. See also
// [JavaPartitioner].
//
// A partitioner that panics fails its message. It sees the bytes that are sent,
// and must not keep them; sarama.NewManualPartitioner works.
func WithPartitioner(constructor sarama.PartitionerConstructor) Option {
	return option{"WithPartitioner", func(c *config) {
		if constructor == nil {
			c.problem("WithPartitioner", nil, "is nil; leave it out for the default")
			return
		}
		c.partitioner = constructor
	}}
}

// WithUnknownTopicTimeout sets for how long a topic may be unknown to the
// cluster before its messages fail with [ErrUnknownTopic], overriding the
// default of 5 s: it may just have been created. Until then they are parked. It
// is also how long a known topic may seem deleted. A cluster that does not
// answer proves nothing: then the delivery timeout rules.
func WithUnknownTopicTimeout(d time.Duration) Option {
	return option{"WithUnknownTopicTimeout", func(c *config) {
		c.unknownTopicTimeout = positive(c, "WithUnknownTopicTimeout", d, c.unknownTopicTimeout)
	}}
}

// WithTopics names topics that must exist: the constructor checks them, and
// fetches what the first message to each would wait for. A missing one is an
// error that wraps [ErrUnknownTopic]. Other topics can be sent to as well.
func WithTopics(names ...string) Option {
	return option{"WithTopics", func(c *config) {
		for _, name := range names {
			switch err := record.CheckTopic(name); {
			case name == "":
				c.problem("WithTopics", `""`, "a topic's name is empty")
				return
			case err != nil:
				c.problem("WithTopics", fmt.Sprintf("%.260q", name), err.Error())
				return
			}
		}
		c.topics = slices.Clone(names)
	}}
}

// WithAutoTopicCreation sets whether asking for a topic may create it, where
// the brokers allow that (auto.create.topics.enable), overriding the default of
// false. It cannot act on a borrowed client.
func WithAutoTopicCreation(on bool) Option {
	return option{"WithAutoTopicCreation", func(c *config) { c.autoCreate = on }}
}

// WithOnSuccess sets the function that is told of every delivered message. By
// default there is none. See [Async] for what it may do.
func WithOnSuccess(f SuccessFunc) Option {
	return option{"WithOnSuccess", func(c *config) {
		if f == nil {
			c.problem("WithOnSuccess", nil, "is nil; leave it out to be told of nothing")
		}
		c.onSuccess = f
	}}
}

// WithOnError sets the function that is told of every failed message. By
// default a failure that no SendFunc and no Send of a Sync is told of is
// logged, at most once a second. See [Async] for what it may do.
func WithOnError(f ErrorFunc) Option {
	return option{"WithOnError", func(c *config) {
		if f == nil {
			c.problem("WithOnError", nil, "is nil; leave it out to have failures logged")
		}
		c.onError = f
	}}
}

// WithCallbackWorkers sets how many goroutines run callbacks, overriding the
// default of 1. With 1 callbacks run one after the other, with more they keep
// the order of each partition only.
func WithCallbackWorkers(workers int) Option {
	return option{"WithCallbackWorkers", func(c *config) {
		c.callbackWorkers = positive(c, "WithCallbackWorkers", workers, c.callbackWorkers)
	}}
}

// WithSlowCallback sets for how long a callback may run before a log line names
// it and Stats counts it, overriding the default of 5 s. It is not stopped.
func WithSlowCallback(d time.Duration) Option {
	return option{"WithSlowCallback", func(c *config) {
		c.slowCallback = positive(c, "WithSlowCallback", d, c.slowCallback)
	}}
}

// WithClientID sets the name that brokers see in logs and quotas, overriding
// the default of the program's name and the host's. It cannot act on a borrowed
// client.
func WithClientID(id string) Option {
	return option{"WithClientID", func(c *config) {
		if id == "" {
			c.problem("WithClientID", `""`, "is empty; leave it out for the program's name")
			return
		}
		c.clientID = id
	}}
}

// WithKafkaVersion sets the version of the protocol to speak at most,
// overriding sarama's default of 2.8. It must be 0.11 or later; not later than
// the oldest broker is always right. It cannot act on a borrowed client.
func WithKafkaVersion(v sarama.KafkaVersion) Option {
	return option{"WithKafkaVersion", func(c *config) { c.version = v }}
}

// WithCloseTimeout sets how long Close waits if its ctx has no deadline,
// overriding the default of 30 s.
func WithCloseTimeout(d time.Duration) Option {
	return option{"WithCloseTimeout", func(c *config) {
		c.closeTimeout = positive(c, "WithCloseTimeout", d, c.closeTimeout)
	}}
}

// WithStallTimeout sets from when a producer counts as stalled, overriding the
// default of 30 s: messages are in flight, and for so long nothing has come of
// any. One line is logged and Stats counts it, another line says when it is
// over, and until then Ready returns [ErrStalled]. More than half of
// [WithDeliveryTimeout] has no effect: then messages would be given up before it
// is noticed. Nothing is given up for it.
func WithStallTimeout(d time.Duration) Option {
	return option{"WithStallTimeout", func(c *config) {
		c.stallTimeout = positive(c, "WithStallTimeout", d, c.stallTimeout)
	}}
}

// WithLogger sets where the producer logs: that it has connected, is closing,
// was aborted, has stalled or recovered; that messages of a topic begin to fail,
// which is repeated at most once a minute; failures that nobody is told of, at
// most once a second; callbacks that panic or are slow. docs/observability.md
// lists the lines. The default is [slog.Default]. Keys, values and the texts of
// panics are never logged. A handler that blocks keeps no message waiting, unless
// what it logs is about callbacks.
func WithLogger(l *slog.Logger) Option {
	return option{"WithLogger", func(c *config) {
		if l == nil {
			c.problem("WithLogger", nil, "is nil; use slog.New(slog.DiscardHandler) for silence")
			return
		}
		c.logger = l
	}}
}

// WithSaramaConfig gives f the last word on sarama's configuration, a private
// copy, with this library's settings in it. It is the way to TLS, SASL and
// network settings. May be given several times.
//
// Set by default beside what the options say: Net.DialTimeout 5 s,
// Net.ReadTimeout and Net.WriteTimeout 15 s, Producer.Timeout 10 s,
// Net.MaxOpenRequests 1,000 (an idempotent producer shows the 1 that sarama
// demands; there is one batch of a partition on its way in any case),
// ChannelBufferSize 8,192 (for sarama's producer over a borrowed client; without
// one it has no effect unless it is changed: then no more messages of a topic are
// in batches at a time), and a MetricRegistry of its own. Metadata is looked up by
// this library: of Metadata only AllowAutoTopicCreation, RefreshFrequency
// (10 min; 0: never) and Retry.BackoffFunc act.
//
// Interceptors are run by Send, once for each message and on a copy; one that
// panics makes its message invalid. A proxy, and the backoff
// functions of Producer.Retry and Metadata.Retry, are kept and wrapped, so that
// Close can end their waits. What would break a promise of this package is an
// error: Return.* false, Producer.Retry.Backoff, Producer.Retry.Max over 1,000,
// Producer.Retry.MaxBuffer*, other settings of Metadata, Flush.Messages or
// Flush.Bytes without Flush.Frequency, a Transaction.ID, ChannelBufferSize 0,
// and TLS or SASL settings that are not enabled. On a borrowed client changes
// outside of Producer cannot act, and are errors.
func WithSaramaConfig(f func(*sarama.Config)) Option {
	return option{"WithSaramaConfig", func(c *config) {
		if f == nil {
			c.problem("WithSaramaConfig", nil, "is nil; leave it out")
			return
		}
		c.custom = append(c.custom, f)
	}}
}
