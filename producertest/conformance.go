package producertest

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// Harness tells [Conformance] how to get at an implementation.
type Harness struct {
	// Open opens a producer for one check. It is called often, and from several
	// goroutines at the same time. tb ends with the check; what Open starts beside
	// the producer, it ends with tb.Cleanup. The producer is closed by the suite,
	// before that.
	Open func(tb testing.TB, s Settings) Subject
	// Sync: Send returns when the outcome is known, as that of a
	// [producer.Sync], and not when the message is accepted.
	Sync bool
	// AtLeastOnce: what is sent again after an error may be stored twice and out
	// of order, as without [producer.WithIdempotence].
	AtLeastOnce bool
	// Skip are the checks that the implementation cannot pass, by the names of their
	// subtests, and why.
	Skip map[string]string
}

// Subject is a producer on trial, and what belongs to it.
type Subject struct {
	Producer producer.Producer
	// Topic exists. If it can be read it is empty, only this producer writes to it,
	// and records keep the timestamps that the producer gives them. The more
	// partitions it has the more the suite sees. With acks=0 it sees too little.
	Topic string
	// Stored reads all that Topic holds, in any order. A null key or value is
	// nil, an empty one is not. Of the records only Partition, Offset, Key, Value,
	// Headers and Timestamp are looked at. Nil: the log cannot be read.
	Stored func(ctx context.Context) ([]*sarama.ConsumerMessage, error)
	// Break keeps everything from being stored or acknowledged until heal is
	// called, as when all brokers freeze: nothing fails soon. It is called at most
	// once for a Subject, while the producer may be at work. Nil: it cannot be
	// broken.
	Break func() (heal func())
}

// Settings are what a check needs of a producer. The field that is zero leaves
// its setting to the implementation. Each means what the option of that name
// does.
type Settings struct {
	OnSuccess producer.SuccessFunc // never nil
	OnError   producer.ErrorFunc   // never nil

	MaxBuffered     int
	MaxBlock        time.Duration
	MaxMessageBytes int
	DeliveryTimeout time.Duration
	CloseTimeout    time.Duration
}

// Options are the settings as one option, for the constructors of package
// producer. What else a producer needs goes beside it. Nothing is logged, since
// the suite makes callbacks panic; a [producer.WithLogger] after it shows that.
func (s Settings) Options() producer.Option {
	opts := producer.Options{
		producer.WithLogger(slog.New(slog.DiscardHandler)),
		producer.WithOnSuccess(s.OnSuccess),
		producer.WithOnError(s.OnError),
	}
	if s.MaxBuffered != 0 {
		opts = append(opts, producer.WithMaxBuffered(s.MaxBuffered))
	}
	if s.MaxBlock != 0 {
		opts = append(opts, producer.WithMaxBlock(s.MaxBlock))
	}
	if s.MaxMessageBytes != 0 {
		opts = append(opts, producer.WithMaxMessageBytes(s.MaxMessageBytes))
	}
	if s.DeliveryTimeout != 0 {
		opts = append(opts, producer.WithDeliveryTimeout(s.DeliveryTimeout))
	}
	if s.CloseTimeout != 0 {
		opts = append(opts, producer.WithCloseTimeout(s.CloseTimeout))
	}
	return opts
}

// Conformance tests that an implementation keeps the contract of a
// [producer.Producer]. Each check is a subtest; they run in parallel, and have
// ended when Conformance returns.
func Conformance(t *testing.T, h Harness) {
	t.Helper()
	all := checks()
	if problem := h.problem(all); problem != "" {
		t.Fatal("producertest: " + problem)
	}
	// The group makes Conformance wait for the checks.
	t.Run("Producer", func(t *testing.T) {
		for _, c := range all {
			if c.suits != nil && !c.suits(h) {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.try(t, h)
			})
		}
	})
}

// problem says what is wrong with a harness.
func (h Harness) problem(all []check) string {
	if h.Open == nil {
		return "Harness.Open is nil"
	}
	for _, name := range slices.Sorted(maps.Keys(h.Skip)) {
		if !slices.ContainsFunc(all, func(c check) bool { return c.is(name) }) {
			return "Harness.Skip names no check: " + name
		}
	}
	return ""
}

// check is one property of the contract.
type check struct {
	name  string // a sentence
	suits func(h Harness) bool
	run   func(b *bench)
}

// is reports whether a name is the check's, as it is or as package testing writes
// it.
func (c check) is(name string) bool { return strings.ReplaceAll(name, "_", " ") == c.name }

// try runs a check. tb is not a *testing.T where the suite itself is tested.
func (c check) try(tb testing.TB, h Harness) {
	tb.Helper()
	for name, reason := range h.Skip {
		if c.is(name) {
			tb.Skip(reason)
		}
	}
	c.run(&bench{tb: tb, h: h})
}

// checks are the contract.
func checks() []check {
	return slices.Concat(
		sendChecks(), deliveryChecks(), callbackChecks(), roomChecks(),
		flushChecks(), closeChecks(), abortChecks(), extraChecks(), brokenChecks(),
	)
}

func onlySync(h Harness) bool       { return h.Sync }
func onlyAsync(h Harness) bool      { return !h.Sync }
func onlyIdempotent(h Harness) bool { return !h.AtLeastOnce }
