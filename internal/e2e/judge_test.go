package e2e

import (
	"github.com/saramakit/producer/internal/judge"
	"github.com/saramakit/producer/kafkatest"
)

type (
	message   = judge.Message
	outcome   = judge.Outcome
	rules     = judge.Rules
	violation = judge.Violation
)

// judged compares a history with what is stored in all its topics.
func judged(history []message, stored []kafkatest.Record, r rules) []violation {
	records := make([]judge.Record, len(stored))
	for i := range stored {
		s := &stored[i]
		records[i] = judge.Record{Topic: s.Topic, Partition: s.Partition, Offset: s.Offset, Key: s.Key, Value: s.Value}
	}
	return judge.Compare(history, records, r).First
}

// The kinds of violation that the random programs find by themselves.
const (
	lost       = judge.Lost
	outcomes   = judge.Outcomes
	contradict = judge.Contradicted
	untrue     = judge.Untrue
	reordered  = judge.Reordered
	misplaced  = judge.Misplaced
	altered    = judge.Altered
)
