// Package producer sends messages to Apache Kafka through IBM/sarama, without
// the traps of sarama's own producers: it never hangs, never loses a result,
// shuts down in time, and says honestly what happened to each message.
//
//	p, err := producer.NewAsync(ctx, []string{"kafka:9092"},
//		producer.WithOnError(func(_ context.Context, msg *sarama.ProducerMessage, err error) {
//			log.Printf("%s: %v", msg.Topic, err)
//		}))
//	if err != nil {
//		return err
//	}
//	defer func() { … p.Close with a fresh ctx … }()
//	err = p.Send(ctx, &sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("hello")})
//
// The vocabulary is sarama's: messages, encoders, acks, codecs and partitioners
// are its types.
//
// # Choosing a producer
//
// [Sync.Send] returns when the message is stored: nil means that it is in the
// log. Use it where the caller must know before it goes on. One goroutine gets
// one message per round trip; call it from many, or use [Sync.SendAll].
//
// [Async.Send] returns when the message is accepted, and callbacks are told the
// outcome: [WithOnSuccess] and [WithOnError] of all messages, [Async.SendFunc]
// of one. Use it where throughput counts.
//
// Code that does not care takes a [Producer], which promises what both keep.
//
// # Delivery and ordering
//
// By default a message counts as delivered when all in-sync replicas have it,
// and is stored at most once by one producer ([WithAcks], [WithIdempotence]).
// Messages that one goroutine sends to one partition are stored in that order,
// also across retries and moves of the leader. A message that fails does not
// keep later ones from being delivered.
//
// Every accepted message has exactly one outcome, within
// [WithDeliveryTimeout]: delivered, or a [*DeliveryError] that says whether it
// can be in the log all the same. [NotPersisted] is a proof: such a message
// never appears.
//
// # Back-pressure
//
// What a producer holds is bounded in messages and in bytes ([WithMaxBuffered],
// [WithMaxBufferedBytes]), whatever the brokers do. When it is full, Send waits
// for room, in the order of arrival, until ctx ends or [WithMaxBlock] has
// passed; [Async.TrySend] does not wait. A message keeps its room until its
// callbacks have returned. A topic without a leader delays no other as long as
// there is room; [WithMaxBufferedPerTopic] limits what one topic can take.
//
// # Shutdown
//
// [Async.Close] and [Sync.Close] wait for everything that was accepted, and
// return at most about a second after their ctx ends, whatever the brokers or
// the callbacks do: then what is left gets [ErrAborted], and a [*CloseError]
// counts it. Give Close a ctx of its own, not the one that a signal ended.
// [Async.Flush] and [Sync.Flush] wait without closing.
//
// # Errors
//
// A send that returns an error which wraps no [*DeliveryError] has accepted
// nothing. The questions to ask of any error are [SafeToRetry],
// [MayHaveBeenWritten] and [IsRetriable]; [errors.Is] and [errors.As] reach the
// cause, a [sarama.KError] for instance, through every type of this package.
//
// # Configuration
//
// Each [Option] says its default. [WithSaramaConfig] gives access to the rest
// of sarama's configuration, TLS and SASL among it, and refuses what would
// break a promise of this package. [NewSyncFromClient] and [NewAsyncFromClient]
// work over a client that the caller has.
//
// # Observability
//
// Stats returns the counts of a producer, Details all figures, Ready and Ping
// answer probes. Hooks ([WithHook]) are told of every message. Package livepage
// shows all of it on a page; the modules github.com/saramakit/producer/prom and
// github.com/saramakit/producer/otel give it to Prometheus and OpenTelemetry.
// What a producer does, and what would otherwise be silent, is logged
// ([WithLogger]). Keys, values and secrets are in none of it, nor in an error.
//
// # Testing
//
// The module github.com/saramakit/producer/kafkatest runs a Kafka cluster inside
// a test and breaks it on request. Package producertest tests that an
// implementation of Producer, such as a decorator, keeps its contract.
package producer
