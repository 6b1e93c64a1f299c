package kafkatest

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
)

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Option configures a cluster made by [New] or [Start].
type Option interface {
	apply(cfg *config)
}

type optionFunc func(*config)

func (f optionFunc) apply(cfg *config) { f(cfg) }

type config struct {
	brokers        int
	topics         []topicSpec
	autoCreate     bool
	autoPartitions int
}

type topicSpec struct {
	name       string
	partitions int
	// maxMessageBytes is nil for the default.
	maxMessageBytes *int
}

func defaultConfig() config {
	return config{brokers: 3}
}

// WithBrokers sets the number of brokers, overriding the default of 3. Their
// ids are 0 to n-1. [New] returns an error if n is less than 1.
func WithBrokers(n int) Option {
	return optionFunc(func(cfg *config) { cfg.brokers = n })
}

// WithTopic creates a topic as the cluster starts, as [Cluster.CreateTopic]
// does. It can be given several times, with a different name each time. By
// default there are no topics.
func WithTopic(name string, partitions int, opts ...TopicOption) Option {
	spec := newTopicSpec(name, partitions, opts)
	return optionFunc(func(cfg *config) { cfg.topics = append(cfg.topics, spec) })
}

// WithAutoCreateTopics makes the cluster create a topic with the given number
// of partitions when a client asks for the metadata of a topic that does not
// exist and allows its creation. By default an unknown topic stays unknown and
// clients get UNKNOWN_TOPIC_OR_PARTITION. [New] returns an error if partitions
// is less than 1.
func WithAutoCreateTopics(partitions int) Option {
	return optionFunc(func(cfg *config) {
		cfg.autoCreate = true
		cfg.autoPartitions = partitions
	})
}

// TopicOption configures one topic.
type TopicOption interface {
	applyTopic(spec *topicSpec)
}

type topicOptionFunc func(*topicSpec)

func (f topicOptionFunc) applyTopic(spec *topicSpec) { f(spec) }

// MaxMessageBytes sets max.message.bytes for a topic: the size of the largest
// batch that brokers take, as it is sent, that is after compression. Larger
// ones are answered with MESSAGE_TOO_LARGE. It overrides the default of
// 1048588. A number below 1 is an error.
func MaxMessageBytes(n int) TopicOption {
	return topicOptionFunc(func(spec *topicSpec) { spec.maxMessageBytes = &n })
}

func newTopicSpec(name string, partitions int, opts []TopicOption) topicSpec {
	spec := topicSpec{name: name, partitions: partitions}
	for _, opt := range opts {
		opt.applyTopic(&spec)
	}
	return spec
}

func (spec topicSpec) validate() error {
	// kfake takes any name.
	if !topicName.MatchString(spec.name) || spec.name == "." || spec.name == ".." {
		return fmt.Errorf("kafkatest: topic name %q: use 1 to 249 of the characters a-z, A-Z, 0-9, dot, underscore and hyphen", spec.name)
	}
	if spec.partitions < 1 || spec.partitions > math.MaxInt32 {
		return fmt.Errorf("kafkatest: topic %q has %d partitions: give it at least 1", spec.name, spec.partitions)
	}
	if spec.maxMessageBytes != nil && *spec.maxMessageBytes < 1 {
		return fmt.Errorf("kafkatest: topic %q: MaxMessageBytes(%d): give it at least 1", spec.name, *spec.maxMessageBytes)
	}
	return nil
}

// configs returns Kafka's names and values.
func (spec topicSpec) configs() map[string]string {
	if spec.maxMessageBytes == nil {
		return nil
	}
	return map[string]string{"max.message.bytes": strconv.Itoa(*spec.maxMessageBytes)}
}

func (cfg config) validate() error {
	var errs []error
	if cfg.brokers < 1 || cfg.brokers > math.MaxInt16 {
		errs = append(errs, fmt.Errorf("kafkatest: WithBrokers(%d): a cluster has 1 to %d brokers", cfg.brokers, math.MaxInt16))
	}
	if cfg.autoCreate && (cfg.autoPartitions < 1 || cfg.autoPartitions > math.MaxInt32) {
		errs = append(errs, fmt.Errorf("kafkatest: WithAutoCreateTopics(%d): a topic has at least 1 partition", cfg.autoPartitions))
	}
	seen := make(map[string]bool)
	for _, spec := range cfg.topics {
		if err := spec.validate(); err != nil {
			errs = append(errs, err)
		}
		if seen[spec.name] {
			errs = append(errs, fmt.Errorf("kafkatest: WithTopic(%q) given twice: give each topic once", spec.name))
		}
		seen[spec.name] = true
	}
	return errors.Join(errs...)
}
