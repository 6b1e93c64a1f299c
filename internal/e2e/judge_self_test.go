package e2e

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// good is a history of six messages by two senders on two partitions, and the
// log that belongs to it.
func good() ([]message, []kafkatest.Record) {
	var history []message
	var stored []kafkatest.Record
	for id := range 6 {
		m := message{id: id, sender: id % 2, topic: "t", key: []byte{byte(id)}, answered: true}
		m.value = payload(id, m.sender, m.topic, m.key)
		partition, offset := int32(id%2), int64(id/2)
		m.outcomes = []outcome{{partition: partition, offset: offset, order: id}}
		history = append(history, m)
		stored = append(stored, kafkatest.Record{
			Topic: "t", Partition: partition, Offset: offset, Key: m.key, Value: m.value,
		})
	}
	return history, stored
}

func failed(status producer.Persistence) []outcome {
	return []outcome{{err: &producer.DeliveryError{Status: status, Err: errors.New("cause")}, partition: -1, offset: -1}}
}

func TestJudge_findsNothingInAGoodHistory(t *testing.T) {
	t.Parallel()
	history, stored := good()
	require.Empty(t, judge(history, stored, rules{sync: true, stored: true, idempotent: true}))
}

func TestJudge_findsEachKindOfViolation(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(history []message, stored []kafkatest.Record) ([]message, []kafkatest.Record)
		want  string
	}{
		"a delivered message is missing": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) { return h, s[:5] }, lost,
		},
		"a message is at another offset": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].outcomes[0].offset = 7
				return h, s
			}, misplaced,
		},
		"a message is in another partition": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				s[5].Partition = 2
				return h, s
			}, misplaced,
		},
		"a message is in another topic": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				s[0].Topic = "other"
				return h, s
			}, misplaced,
		},
		"a value was altered": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				s[0].Value = append([]byte("x"), s[0].Value...)
				return h, s
			}, altered,
		},
		"a key was altered": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				s[0].Key = nil
				return h, s
			}, altered,
		},
		"a record was never sent": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				return h, append(s, kafkatest.Record{Topic: "t", Value: payload(99, 0, "t", nil)})
			}, foreign,
		},
		"a message is stored twice": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				again := s[5]
				again.Offset++
				return h, append(s, again)
			}, duplicated,
		},
		"a sender's messages are stored in another order": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				s[0], s[2] = s[2], s[0]
				return h, s
			}, reordered,
		},
		"callbacks come in another order than the offsets": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].outcomes[0].order, h[2].outcomes[0].order = 2, 0
				return h, s
			}, reordered,
		},
		"a message has no outcome": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].outcomes = nil
				return h, s
			}, outcomes,
		},
		"a message has two outcomes": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].outcomes = append(h[0].outcomes, h[0].outcomes[0])
				return h, s
			}, outcomes,
		},
		"a send has not returned": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].answered = false
				return h, s
			}, outcomes,
		},
		"a message that was refused has an outcome": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].returned = producer.ErrBufferFull
				return h, s[1:]
			}, outcomes,
		},
		"a message that was refused is stored": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].returned, h[0].outcomes = producer.ErrBufferFull, nil
				return h, s
			}, untrue,
		},
		"a failure is no DeliveryError": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].outcomes[0].err = errors.New("cause")
				return h, s
			}, outcomes,
		},
		"Send and callback contradict each other": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].outcomes = failed(producer.PossiblyPersisted)
				return h, s
			}, contradict,
		},
		"a message that is not persisted is stored": {
			func(h []message, s []kafkatest.Record) ([]message, []kafkatest.Record) {
				h[0].outcomes = failed(producer.NotPersisted)
				h[0].returned = h[0].outcomes[0].err
				return h, s
			}, untrue,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			history, stored := test.spoil(good())
			found := judge(history, stored, rules{sync: true, stored: true, idempotent: true})
			kinds := map[string]bool{}
			for _, v := range found {
				kinds[v.kind] = true
			}
			require.Contains(t, kinds, test.want, "found %v", found)
		})
	}
}

func TestJudge_doesNotAskForMoreThanWasPromised(t *testing.T) {
	t.Parallel()
	t.Run("a plain producer may duplicate and reorder", func(t *testing.T) {
		t.Parallel()
		history, stored := good()
		again := stored[4]
		again.Offset++
		stored = append(stored, again)
		stored[0], stored[2] = stored[2], stored[0]
		require.Empty(t, judge(history, stored, rules{stored: true}))
	})
	t.Run("without acknowledgements delivered proves nothing", func(t *testing.T) {
		t.Parallel()
		history, _ := good()
		require.Empty(t, judge(history, nil, rules{}))
	})
	t.Run("what is possibly persisted may be stored or not", func(t *testing.T) {
		t.Parallel()
		history, stored := good()
		history[0].outcomes = failed(producer.PossiblyPersisted)
		history[1].outcomes = failed(producer.PossiblyPersisted)
		require.Empty(t, judge(history, append(stored[:1:1], stored[2:]...), rules{stored: true, idempotent: true}))
	})
	t.Run("a sync Send that gave up may differ from the outcome", func(t *testing.T) {
		t.Parallel()
		history, stored := good()
		history[0].returned = &producer.DeliveryError{Pending: true, Err: errors.New("gone")}
		require.Empty(t, judge(history, stored, rules{sync: true, stored: true, idempotent: true}))
	})
	t.Run("an unknown offset is right anywhere in the partition", func(t *testing.T) {
		t.Parallel()
		history, stored := good()
		history[0].outcomes[0].offset = -1
		require.Empty(t, judge(history, stored, rules{sync: true, stored: true, idempotent: true}))
	})
}

func TestJudge_tellsAFewOfMany(t *testing.T) {
	t.Parallel()
	var history []message
	for id := range 100 {
		history = append(history, message{id: id, answered: true})
	}
	require.Len(t, judge(history, nil, rules{}), most, fmt.Sprint(len(history)))
}
