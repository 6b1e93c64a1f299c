// Package judge compares what a producer said of each message with what is in
// the log. It holds the oracles of every test that sends through a real
// protocol, and has tests of its own with histories that are known to be bad.
package judge

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/saramakit/producer"
)

// Message is the history of one message: what was sent, and all that was said
// of it.
type Message struct {
	ID     int // also its place in the order of its sender
	Sender int // the goroutine that sent it
	Topic  string
	Key    []byte
	Value  []byte // made by Payload

	Answered bool  // the send has returned
	Returned error // what it said; of an Async nil means accepted
	Outcomes []Outcome
}

// Outcome is what a callback was told.
type Outcome struct {
	Err       error // nil: delivered
	Partition int32
	Offset    int64
	Order     int // of all outcomes of the history
}

// Payload is a value that says what message it belongs to, so that one which
// lands in the wrong place or is altered gives itself away. A filling makes it
// longer.
func Payload(id, sender int, topic string, key []byte, filling ...byte) []byte {
	text := fmt.Sprintf("%d %d %s %x%s", id, sender, topic, key, filling)
	return fmt.Appendf(nil, "%s %d", text, crc32.ChecksumIEEE([]byte(text)))
}

// Identify reads the id in a payload.
func Identify(value []byte) (id int, ok bool) {
	text, sum, found := cutLast(string(value))
	if !found || sum != strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(text))), 10) {
		return 0, false
	}
	number, _, _ := strings.Cut(text, " ")
	id, err := strconv.Atoi(number)
	return id, err == nil
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndex(s, " ")
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// Accepted reports whether the producer took the message over.
func (m *Message) Accepted() bool {
	return m.Answered && (m.Returned == nil || DeliveryError(m.Returned) != nil)
}

// DeliveryError returns the DeliveryError in err, nil if there is none.
func DeliveryError(err error) *producer.DeliveryError {
	found, _ := errors.AsType[*producer.DeliveryError](err)
	return found
}

// Rules are what a producer promises with its options.
type Rules struct {
	Sync       bool // Send returns the outcome
	Stored     bool // delivered means stored: with any acks but 0
	Idempotent bool // stored once, and in order
	Keyed      bool // all messages of a key are in one partition
	AnyOrder   bool // outcomes are told by several goroutines
}

// The kinds of violation, by the oracle that finds them.
const (
	Lost         = "O1 lost"
	Misplaced    = "O1 misplaced"
	Altered      = "O1 altered"
	Duplicated   = "O2 duplicated"
	Reordered    = "O3 reordered"
	Scattered    = "O3 scattered"
	Outcomes     = "O4 outcomes"
	Contradicted = "O4 contradiction"
	Untrue       = "O5 untrue status"
	Foreign      = "O12 foreign record"
)

// Violation is a promise that was broken.
type Violation struct {
	Kind string
	Text string
}

func (v Violation) String() string { return v.Kind + ": " + v.Text }

// Record is what is stored.
type Record struct {
	Topic      string
	Partition  int32
	Offset     int64
	Key, Value []byte
}

// Verdict is what was found.
type Verdict struct {
	First []Violation    // of each kind, Most at most
	Count map[string]int // of each kind, all
}

// Compare compares a history with what is stored in all its topics.
func Compare(history []Message, stored []Record, r Rules) Verdict {
	j := &judgement{Rules: r, count: map[string]int{}}
	j.index(history, stored)
	for i := range history {
		j.message(&history[i])
	}
	if r.Idempotent {
		j.storedOrder(stored)
	}
	if r.Keyed {
		j.storedByKey(stored)
	}
	if !r.AnyOrder {
		j.reportOrder(history)
	}
	return Verdict{First: j.found, Count: j.count}
}

type place struct {
	partition int32
	offset    int64
}

type judgement struct {
	Rules
	found []Violation
	count map[string]int

	byID   map[int]*Message
	places map[int][]place // where a message is stored
}

// Most is how many violations of a kind are told one by one.
const Most = 5

func (j *judgement) violated(kind, format string, args ...any) {
	j.count[kind]++
	if j.count[kind] <= Most {
		j.found = append(j.found, Violation{kind, fmt.Sprintf(format, args...)})
	}
}

// index finds every message in the log, and everything that is no message.
func (j *judgement) index(history []Message, stored []Record) {
	j.byID, j.places = map[int]*Message{}, map[int][]place{}
	for i := range history {
		j.byID[history[i].ID] = &history[i]
	}
	for i := range stored {
		rec := &stored[i]
		id, ok := Identify(rec.Value)
		m := j.byID[id]
		switch {
		case !ok:
			j.violated(Altered, "%s/%d@%d holds no payload", rec.Topic, rec.Partition, rec.Offset)
		case m == nil:
			j.violated(Foreign, "%s/%d@%d holds message %d, which was never sent", rec.Topic, rec.Partition, rec.Offset, id)
		case m.Topic != rec.Topic:
			j.violated(Misplaced, "message %d for %s is in %s", id, m.Topic, rec.Topic)
		case !bytes.Equal(m.Value, rec.Value) || !Same(m.Key, rec.Key):
			j.violated(Altered, "message %d has another key or value at %s/%d@%d", id, rec.Topic, rec.Partition, rec.Offset)
		default:
			j.places[id] = append(j.places[id], place{rec.Partition, rec.Offset})
		}
	}
}

// Same compares keys: nil is not the same as empty.
func Same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func (j *judgement) message(m *Message) {
	if !m.Answered {
		j.violated(Outcomes, "the send of message %d has not returned", m.ID)
		return
	}
	places := j.places[m.ID]
	if !m.Accepted() {
		if len(m.Outcomes) != 0 {
			j.violated(Outcomes, "message %d was not accepted (%v) and has %d outcomes", m.ID, m.Returned, len(m.Outcomes))
		}
		if len(places) != 0 {
			j.violated(Untrue, "message %d was not accepted (%v) and is stored", m.ID, m.Returned)
		}
		return
	}
	if len(m.Outcomes) != 1 {
		j.violated(Outcomes, "message %d was accepted and has %d outcomes", m.ID, len(m.Outcomes))
		return
	}
	if j.Idempotent && len(places) > 1 {
		j.violated(Duplicated, "message %d is stored %d times: %v", m.ID, len(places), places)
	}
	o := m.Outcomes[0]
	if j.Sync {
		j.said(m, o)
	}
	if o.Err == nil {
		j.delivered(m, o, places)
		return
	}
	failure := DeliveryError(o.Err)
	switch {
	case failure == nil:
		j.violated(Outcomes, "message %d failed with %v, which is no DeliveryError", m.ID, o.Err)
	case failure.Status == producer.NotPersisted && len(places) > 0:
		j.violated(Untrue, "message %d is stored at %v but was called not persisted: %v", m.ID, places, o.Err)
	}
}

// said compares what a sync Send returned with the callback.
func (j *judgement) said(m *Message, o Outcome) {
	returned := DeliveryError(m.Returned)
	switch {
	case returned != nil && returned.Pending:
	case (m.Returned == nil) != (o.Err == nil):
		j.violated(Contradicted, "message %d: Send said %v, the callback %v", m.ID, m.Returned, o.Err)
	}
}

func (j *judgement) delivered(m *Message, o Outcome, places []place) {
	if !j.Stored {
		return
	}
	if len(places) == 0 {
		j.violated(Lost, "message %d was delivered to %d@%d and is not stored", m.ID, o.Partition, o.Offset)
		return
	}
	for _, p := range places {
		if p.partition == o.Partition && (p.offset == o.Offset || o.Offset == -1) {
			return
		}
	}
	j.violated(Misplaced, "message %d was delivered to %d@%d but is stored at %v", m.ID, o.Partition, o.Offset, places)
}

// storedOrder checks that the messages of one sender are stored in their order
// in each partition.
func (j *judgement) storedOrder(stored []Record) {
	type line struct {
		topic     string
		partition int32
		sender    int
	}
	last := map[line]int{}
	for i := range stored {
		rec := &stored[i]
		id, ok := Identify(rec.Value)
		m := j.byID[id]
		if !ok || m == nil {
			continue
		}
		l := line{rec.Topic, rec.Partition, m.Sender}
		if before, ok := last[l]; ok && id < before {
			j.violated(Reordered, "%v: message %d is stored behind %d", l, id, before)
		}
		last[l] = max(last[l], id)
	}
}

// storedByKey checks that the messages of each key are in one partition.
func (j *judgement) storedByKey(stored []Record) {
	type line struct{ topic, key string }
	home := map[line]int32{}
	for i := range stored {
		rec := &stored[i]
		if rec.Key == nil {
			continue
		}
		l := line{rec.Topic, string(rec.Key)}
		if first, ok := home[l]; !ok {
			home[l] = rec.Partition
		} else if first != rec.Partition {
			j.violated(Scattered, "%s@%d has the key %q, which was in partition %d before, now in %d",
				rec.Topic, rec.Offset, rec.Key, first, rec.Partition)
		}
	}
}

// reportOrder checks that the callbacks of each partition came in the order of
// the offsets. The history is of a producer with one callback worker.
func (j *judgement) reportOrder(history []Message) {
	type line struct {
		topic     string
		partition int32
	}
	type step struct {
		order  int
		offset int64
	}
	steps := map[line]map[int]int64{}
	highest := 0
	for i := range history {
		m := &history[i]
		for _, o := range m.Outcomes {
			if o.Err != nil || o.Offset < 0 {
				continue
			}
			l := line{m.Topic, o.Partition}
			if steps[l] == nil {
				steps[l] = map[int]int64{}
			}
			steps[l][o.Order] = o.Offset
			highest = max(highest, o.Order)
		}
	}
	for l, offsets := range steps {
		last := step{-1, -1}
		for order := range highest + 1 {
			offset, ok := offsets[order]
			if !ok {
				continue
			}
			if offset <= last.offset {
				j.violated(Reordered, "%v: the callback of offset %d came after that of %d", l, offset, last.offset)
			}
			last = step{order, offset}
		}
	}
}
