// Package integration tests the library against Apache Kafka itself. Each claim
// is read back from the log by a client that is not sarama. README.md says how
// to run it.
package integration
