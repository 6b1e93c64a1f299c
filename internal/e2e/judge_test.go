package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// message is the history of one message: what was sent, and all that was said
// of it.
type message struct {
	id     int // also its place in the order of its sender
	sender int // the goroutine that sent it
	topic  string
	key    []byte
	value  []byte // made by payload

	answered bool  // the send has returned
	returned error // what it said; of an Async nil means accepted
	outcomes []outcome
}

// outcome is what a callback was told.
type outcome struct {
	err       error // nil: delivered
	partition int32
	offset    int64
	order     int // of all outcomes of the history
}

// payload is a value that says what message it belongs to, so that one which
// lands in the wrong place or is altered gives itself away.
func payload(id, sender int, topic string, key []byte) []byte {
	text := fmt.Sprintf("%d %d %s %x", id, sender, topic, key)
	return fmt.Appendf(nil, "%s %d", text, crc32.ChecksumIEEE([]byte(text)))
}

// identify reads the id in a payload.
func identify(value []byte) (id int, ok bool) {
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

// accepted reports whether the producer took the message over.
func (m *message) accepted() bool {
	return m.answered && (m.returned == nil || deliveryError(m.returned) != nil)
}

// deliveryError returns the DeliveryError in err, nil if there is none.
func deliveryError(err error) *producer.DeliveryError {
	found, _ := errors.AsType[*producer.DeliveryError](err)
	return found
}

// rules are what a producer promises with its options.
type rules struct {
	sync       bool // Send returns the outcome
	stored     bool // delivered means stored: with any acks but 0
	idempotent bool // stored once, and in order
}

// Kinds of violation, by the oracle that finds them.
const (
	lost       = "O1 lost"
	misplaced  = "O1 misplaced"
	altered    = "O1 altered"
	duplicated = "O2 duplicated"
	reordered  = "O3 reordered"
	outcomes   = "O4 outcomes"
	contradict = "O4 contradiction"
	untrue     = "O5 untrue status"
	foreign    = "O12 foreign record"
)

// violation is a promise that was broken.
type violation struct {
	kind string
	text string
}

func (v violation) String() string { return v.kind + ": " + v.text }

// judge compares a history with what is stored in all its topics. It returns
// the first violations of each kind.
func judge(history []message, stored []kafkatest.Record, r rules) []violation {
	j := &judgement{rules: r, count: map[string]int{}}
	j.index(history, stored)
	for i := range history {
		j.message(&history[i])
	}
	if r.idempotent {
		j.storedOrder(stored)
	}
	j.reportOrder(history)
	return j.found
}

type place struct {
	partition int32
	offset    int64
}

type judgement struct {
	rules
	found []violation
	count map[string]int

	byID   map[int]*message
	places map[int][]place // where a message is stored
}

// most is how many violations of a kind are told.
const most = 5

func (j *judgement) violated(kind, format string, args ...any) {
	j.count[kind]++
	if j.count[kind] <= most {
		j.found = append(j.found, violation{kind, fmt.Sprintf(format, args...)})
	}
}

// index finds every message in the log, and everything that is no message.
func (j *judgement) index(history []message, stored []kafkatest.Record) {
	j.byID, j.places = map[int]*message{}, map[int][]place{}
	for i := range history {
		j.byID[history[i].id] = &history[i]
	}
	for i := range stored {
		rec := &stored[i]
		id, ok := identify(rec.Value)
		m := j.byID[id]
		switch {
		case !ok:
			j.violated(altered, "%s/%d@%d holds no payload", rec.Topic, rec.Partition, rec.Offset)
		case m == nil:
			j.violated(foreign, "%s/%d@%d holds message %d, which was never sent", rec.Topic, rec.Partition, rec.Offset, id)
		case m.topic != rec.Topic:
			j.violated(misplaced, "message %d for %s is in %s", id, m.topic, rec.Topic)
		case !bytes.Equal(m.value, rec.Value) || !same(m.key, rec.Key):
			j.violated(altered, "message %d has another key or value at %s/%d@%d", id, rec.Topic, rec.Partition, rec.Offset)
		default:
			j.places[id] = append(j.places[id], place{rec.Partition, rec.Offset})
		}
	}
}

// same compares keys: nil is not the same as empty.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func (j *judgement) message(m *message) {
	if !m.answered {
		j.violated(outcomes, "the send of message %d has not returned", m.id)
		return
	}
	places := j.places[m.id]
	if !m.accepted() {
		if len(m.outcomes) != 0 {
			j.violated(outcomes, "message %d was not accepted (%v) and has %d outcomes", m.id, m.returned, len(m.outcomes))
		}
		if len(places) != 0 {
			j.violated(untrue, "message %d was not accepted (%v) and is stored", m.id, m.returned)
		}
		return
	}
	if len(m.outcomes) != 1 {
		j.violated(outcomes, "message %d was accepted and has %d outcomes", m.id, len(m.outcomes))
		return
	}
	if j.idempotent && len(places) > 1 {
		j.violated(duplicated, "message %d is stored %d times: %v", m.id, len(places), places)
	}
	o := m.outcomes[0]
	if j.sync {
		j.said(m, o)
	}
	if o.err == nil {
		j.delivered(m, o, places)
		return
	}
	failure := deliveryError(o.err)
	switch {
	case failure == nil:
		j.violated(outcomes, "message %d failed with %v, which is no DeliveryError", m.id, o.err)
	case failure.Status == producer.NotPersisted && len(places) > 0:
		j.violated(untrue, "message %d is stored at %v but was called not persisted: %v", m.id, places, o.err)
	}
}

// said compares what a sync Send returned with the callback.
func (j *judgement) said(m *message, o outcome) {
	returned := deliveryError(m.returned)
	switch {
	case returned != nil && returned.Pending:
	case (m.returned == nil) != (o.err == nil):
		j.violated(contradict, "message %d: Send said %v, the callback %v", m.id, m.returned, o.err)
	}
}

func (j *judgement) delivered(m *message, o outcome, places []place) {
	if !j.stored {
		return
	}
	if len(places) == 0 {
		j.violated(lost, "message %d was delivered to %d@%d and is not stored", m.id, o.partition, o.offset)
		return
	}
	for _, p := range places {
		if p.partition == o.partition && (p.offset == o.offset || o.offset == -1) {
			return
		}
	}
	j.violated(misplaced, "message %d was delivered to %d@%d but is stored at %v", m.id, o.partition, o.offset, places)
}

// storedOrder checks that the messages of one sender are stored in their order
// in each partition.
func (j *judgement) storedOrder(stored []kafkatest.Record) {
	type line struct {
		topic     string
		partition int32
		sender    int
	}
	last := map[line]int{}
	for i := range stored {
		rec := &stored[i]
		id, ok := identify(rec.Value)
		m := j.byID[id]
		if !ok || m == nil {
			continue
		}
		l := line{rec.Topic, rec.Partition, m.sender}
		if before, ok := last[l]; ok && id < before {
			j.violated(reordered, "%v: message %d is stored behind %d", l, id, before)
		}
		last[l] = max(last[l], id)
	}
}

// reportOrder checks that the callbacks of each partition came in the order of
// the offsets. The history is of a producer with one callback worker.
func (j *judgement) reportOrder(history []message) {
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
		for _, o := range m.outcomes {
			if o.err != nil || o.offset < 0 {
				continue
			}
			l := line{m.topic, o.partition}
			if steps[l] == nil {
				steps[l] = map[int]int64{}
			}
			steps[l][o.order] = o.offset
			highest = max(highest, o.order)
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
				j.violated(reordered, "%v: the callback of offset %d came after that of %d", l, offset, last.offset)
			}
			last = step{order, offset}
		}
	}
}
