package judge

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
)

// good is a history of six messages by two senders on two partitions, and the
// log that belongs to it.
func good() ([]Message, []Record) {
	var history []Message
	var stored []Record
	for id := range 6 {
		m := Message{ID: id, Sender: id % 2, Topic: "t", Key: []byte{byte(id)}, Answered: true}
		m.Value = Payload(id, m.Sender, m.Topic, m.Key)
		partition, offset := int32(id%2), int64(id/2)
		m.Outcomes = []Outcome{{Partition: partition, Offset: offset, Order: id}}
		history = append(history, m)
		stored = append(stored, Record{
			Topic: "t", Partition: partition, Offset: offset, Key: m.Key, Value: m.Value,
		})
	}
	return history, stored
}

func failed(status producer.Persistence) []Outcome {
	return []Outcome{{Err: &producer.DeliveryError{Status: status, Err: errors.New("cause")}, Partition: -1, Offset: -1}}
}

func TestCompare_findsNothingInAGoodHistory(t *testing.T) {
	t.Parallel()
	history, stored := good()
	require.Empty(t, Compare(history, stored, Rules{Sync: true, Stored: true, Idempotent: true}).First)
}

func TestCompare_ofSeveralGoroutinesDoesNotCompareWhatCameFirst(t *testing.T) {
	t.Parallel()
	history, stored := good()
	history[0].Outcomes[0].Order, history[4].Outcomes[0].Order = 4, 0
	require.NotEmpty(t, Compare(history, stored, Rules{Stored: true, Idempotent: true}).First)
	require.Empty(t, Compare(history, stored, Rules{Stored: true, Idempotent: true, AnyOrder: true}).First)
}

func TestCompare_findsEachKindOfViolation(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(history []Message, stored []Record) ([]Message, []Record)
		want  string
	}{
		"a delivered message is missing": {
			func(h []Message, s []Record) ([]Message, []Record) { return h, s[:5] }, Lost,
		},
		"a message is at another offset": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Outcomes[0].Offset = 7
				return h, s
			}, Misplaced,
		},
		"a message is in another partition": {
			func(h []Message, s []Record) ([]Message, []Record) {
				s[5].Partition = 2
				return h, s
			}, Misplaced,
		},
		"a message is in another topic": {
			func(h []Message, s []Record) ([]Message, []Record) {
				s[0].Topic = "other"
				return h, s
			}, Misplaced,
		},
		"a value was altered": {
			func(h []Message, s []Record) ([]Message, []Record) {
				s[0].Value = append([]byte("x"), s[0].Value...)
				return h, s
			}, Altered,
		},
		"a key was altered": {
			func(h []Message, s []Record) ([]Message, []Record) {
				s[0].Key = nil
				return h, s
			}, Altered,
		},
		"a record was never sent": {
			func(h []Message, s []Record) ([]Message, []Record) {
				return h, append(s, Record{Topic: "t", Value: Payload(99, 0, "t", nil)})
			}, Foreign,
		},
		"a message is stored twice": {
			func(h []Message, s []Record) ([]Message, []Record) {
				again := s[5]
				again.Offset++
				return h, append(s, again)
			}, Duplicated,
		},
		"a sender's messages are stored in another order": {
			func(h []Message, s []Record) ([]Message, []Record) {
				s[0], s[2] = s[2], s[0]
				return h, s
			}, Reordered,
		},
		"a key is in two partitions": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[1].Key, s[1].Key = s[0].Key, s[0].Key
				return h, s
			}, Scattered,
		},
		"callbacks come in another order than the offsets": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Outcomes[0].Order, h[2].Outcomes[0].Order = 2, 0
				return h, s
			}, Reordered,
		},
		"a message has no outcome": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Outcomes = nil
				return h, s
			}, Outcomes,
		},
		"a message has two outcomes": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Outcomes = append(h[0].Outcomes, h[0].Outcomes[0])
				return h, s
			}, Outcomes,
		},
		"a send has not returned": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Answered = false
				return h, s
			}, Outcomes,
		},
		"a message that was refused has an outcome": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Returned = producer.ErrBufferFull
				return h, s[1:]
			}, Outcomes,
		},
		"a message that was refused is stored": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Returned, h[0].Outcomes = producer.ErrBufferFull, nil
				return h, s
			}, Untrue,
		},
		"a failure is no DeliveryError": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Outcomes[0].Err = errors.New("cause")
				return h, s
			}, Outcomes,
		},
		"Send and callback contradict each other": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Outcomes = failed(producer.PossiblyPersisted)
				return h, s
			}, Contradicted,
		},
		"a message that is not persisted is stored": {
			func(h []Message, s []Record) ([]Message, []Record) {
				h[0].Outcomes = failed(producer.NotPersisted)
				h[0].Returned = h[0].Outcomes[0].Err
				return h, s
			}, Untrue,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			history, stored := test.spoil(good())
			found := Compare(history, stored, Rules{Sync: true, Stored: true, Idempotent: true, Keyed: true}).First
			kinds := map[string]bool{}
			for _, v := range found {
				kinds[v.Kind] = true
			}
			require.Contains(t, kinds, test.want, "found %v", found)
		})
	}
}

func TestCompare_doesNotAskForMoreThanWasPromised(t *testing.T) {
	t.Parallel()
	t.Run("a plain producer may duplicate and reorder", func(t *testing.T) {
		t.Parallel()
		history, stored := good()
		again := stored[4]
		again.Offset++
		stored = append(stored, again)
		stored[0], stored[2] = stored[2], stored[0]
		require.Empty(t, Compare(history, stored, Rules{Stored: true}).First)
	})
	t.Run("who chooses partitions may scatter a key", func(t *testing.T) {
		t.Parallel()
		history, stored := good()
		history[1].Key, stored[1].Key = stored[0].Key, stored[0].Key
		require.Empty(t, Compare(history, stored, Rules{Stored: true, Idempotent: true}).First)
	})
	t.Run("without acknowledgements delivered proves nothing", func(t *testing.T) {
		t.Parallel()
		history, _ := good()
		require.Empty(t, Compare(history, nil, Rules{}).First)
	})
	t.Run("what is possibly persisted may be stored or not", func(t *testing.T) {
		t.Parallel()
		history, stored := good()
		history[0].Outcomes = failed(producer.PossiblyPersisted)
		history[1].Outcomes = failed(producer.PossiblyPersisted)
		require.Empty(t, Compare(history, append(stored[:1:1], stored[2:]...), Rules{Stored: true, Idempotent: true}).First)
	})
	t.Run("a sync Send that gave up may differ from the outcome", func(t *testing.T) {
		t.Parallel()
		history, stored := good()
		history[0].Returned = &producer.DeliveryError{Pending: true, Err: errors.New("gone")}
		require.Empty(t, Compare(history, stored, Rules{Sync: true, Stored: true, Idempotent: true}).First)
	})
	t.Run("an unknown offset is right anywhere in the partition", func(t *testing.T) {
		t.Parallel()
		history, stored := good()
		history[0].Outcomes[0].Offset = -1
		require.Empty(t, Compare(history, stored, Rules{Sync: true, Stored: true, Idempotent: true}).First)
	})
}

func TestCompare_tellsAFewOfMany(t *testing.T) {
	t.Parallel()
	var history []Message
	for id := range 100 {
		history = append(history, Message{ID: id, Answered: true})
	}
	require.Len(t, Compare(history, nil, Rules{}).First, Most, fmt.Sprint(len(history)))
}
