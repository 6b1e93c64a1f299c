// Package stored gives the judge what Apache Kafka has stored.
package stored

import (
	"github.com/saramakit/producer/integration/kafka"
	"github.com/saramakit/producer/internal/judge"
)

// Records are records as the judge wants them.
func Records(records []kafka.Record) []judge.Record {
	all := make([]judge.Record, len(records))
	for i := range records {
		r := &records[i]
		all[i] = judge.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value}
	}
	return all
}
