// Package producertest tests that a [producer.Producer] keeps its contract.
//
// It is for those who write one: a decorator that counts or traces, a fake for
// the tests of a service, a transport of their own. [Conformance] is the
// contract as a test suite. *Sync and *Async pass it; code that takes a Producer
// may rely on what it checks.
//
// # A decorator
//
// The suite opens a new producer for each of its checks, with the settings that
// the check needs. kafkatest (a module of its own beside this one) gives each a
// cluster in a millisecond:
//
//	func TestMetered_keepsTheContractOfAProducer(t *testing.T) {
//		producertest.Conformance(t, producertest.Harness{Open: openMetered})
//	}
//
//	func openMetered(tb testing.TB, s producertest.Settings) producertest.Subject {
//		cluster := kafkatest.Start(tb, kafkatest.WithTopic("orders", 3))
//		p, err := producer.NewAsync(tb.Context(), cluster.Addrs(), s.Options(),
//			// Find out soon that a broker does not answer.
//			producer.WithSaramaConfig(func(c *sarama.Config) {
//				c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = time.Second, time.Second, time.Second
//			}))
//		if err != nil {
//			tb.Fatal(err)
//		}
//		return producertest.Subject{
//			Producer: &Metered{Producer: p},
//			Topic:    "orders",
//			Break:    func() (heal func()) { return cluster.Freeze().Remove },
//			Stored: func(ctx context.Context) ([]*sarama.ConsumerMessage, error) {
//				… // cluster.Records(ctx, "orders")
//			},
//		}
//	}
//
// Only Producer and Topic are required. What is left out is not checked: without
// Stored nothing is compared with the log, without Break the cluster is always
// well.
//
// # An implementation without sarama
//
// [Settings] are plain data. A producer that is not built from options reads the
// fields, and must do what they say.
//
// # More than the interface
//
// Stats, TrySend, SendFunc and SendAll are checked if the producer has them, with
// the signatures of [producer.Async] and [producer.Sync]. A decorator that embeds
// a producer.Producer hides them.
//
// # What cannot be kept
//
// [Harness.Skip] names checks that an implementation cannot pass, each with the
// reason, which the test output shows. A name that is no check is an error.
// [Harness.AtLeastOnce] is for producers without idempotence.
//
// # How sure it is
//
// A check that fails is meant to show a real breach: bounds are checked with a
// second on top, and with more where the process does not get to run. The reverse
// does not hold. Races show only now and then, so run the suite with the race
// detector, and again with -count.
package producertest
