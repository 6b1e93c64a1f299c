package producertest

import (
	"fmt"
	"strings"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// judge compares what was sent with what was told and with what is stored. The
// producer is at rest.
func (x *trial) judge() {
	x.tb.Helper()
	stored, readable := x.log()
	stats, counted := x.stats()

	x.mu.Lock()
	defer x.mu.Unlock()
	found := x.problems
	taken, delivered, failed := 0, 0, 0
	for _, n := range x.notes {
		found = append(found, n.problems(x.Topic, x.h.Sync)...)
		d, f := n.count()
		taken, delivered, failed = taken+n.taken(), delivered+d, failed+f
	}
	if readable {
		found = append(found, compare(x.notes, stored, x.h.AtLeastOnce)...)
	}
	if counted && (stats.Accepted != int64(taken) || stats.Delivered != int64(delivered) ||
		stats.Failed != int64(failed) || stats.InFlight != 0) {
		found = append(found, fmt.Sprintf("%d messages were accepted, %d delivered, %d failed; Stats has %d, %d, %d and %d in flight",
			taken, delivered, failed, stats.Accepted, stats.Delivered, stats.Failed, stats.InFlight))
	}
	const enough = 10
	for _, problem := range found[:min(len(found), enough)] {
		x.tb.Error(problem)
	}
	if len(found) > enough {
		x.tb.Errorf("and %d more", len(found)-enough)
	}
}

// log is what the topic holds.
func (x *trial) log() (stored []*sarama.ConsumerMessage, ok bool) {
	x.tb.Helper()
	if x.Stored == nil {
		return nil, false
	}
	ctx := x.ctx()
	err := x.do("Stored", patience+slack, func() (err error) {
		stored, err = x.Stored(ctx)
		return err
	})
	if err != nil {
		x.tb.Fatalf("Stored returned %v", err)
	}
	return stored, true
}

// stats are the producer's figures, if it has any.
func (x *trial) stats() (s producer.Stats, ok bool) {
	counting, ok := x.Producer.(interface{ Stats() producer.Stats })
	if ok {
		s = counting.Stats()
	}
	return s, ok
}

// problems says what is wrong with what was told of one message.
func (n *note) problems(topic string, isSync bool) (found []string) {
	wrong := func(format string, args ...any) {
		found = append(found, fmt.Sprintf("message %d: ", n.number)+fmt.Sprintf(format, args...))
	}
	delivered, failed := n.count()
	switch {
	case delivered+failed != n.taken():
		wrong("accepted %d times, and has %d outcomes", n.taken(), delivered+failed)
	case !isSync && n.failed+n.pending > 0:
		wrong("a Send that does not wait returned a *DeliveryError")
	case isSync && (delivered < n.accepted || failed < n.failed):
		wrong("Send returned nil %d times and failed %d times, callbacks were told of %d successes and %d failures",
			n.accepted, n.failed, delivered, failed)
	}
	for _, o := range n.outcomes {
		if o.msg.Topic != topic || contentOf(o.msg) != n.content || o.msg.Metadata != any(n) {
			wrong("sent as %s to %s, told of as %s to %s", n.content, topic, contentOf(o.msg), o.msg.Topic)
		}
		if o.msg.Timestamp.IsZero() {
			wrong("the Timestamp of the callback's message is zero")
		}
		if o.err == nil {
			if o.msg.Partition < 0 || o.msg.Offset < -1 {
				wrong("delivered to partition %d, offset %d", o.msg.Partition, o.msg.Offset)
			}
			continue
		}
		failure := deliveryError(o.err)
		switch {
		case failure == nil:
			wrong("OnError got %q, which is no *DeliveryError", o.err)
		case failure.Err == nil || failure.Pending || failure.Topic != topic:
			wrong("OnError got %+v", failure)
		case o.msg.Offset != -1:
			wrong("failed, with offset %d", o.msg.Offset)
		case strings.Contains(o.err.Error(), "the value of"):
			wrong("the error holds the value: %q", o.err)
		}
	}
	return found
}

// possibly is how many outcomes leave it open whether the message is stored.
func (n *note) possibly() (open int) {
	for _, o := range n.outcomes {
		if producer.MayHaveBeenWritten(o.err) {
			open++
		}
	}
	return open
}

// place is where a record is.
type place struct {
	partition int32
	offset    int64
}

// compare compares what was told with the log.
func compare(notes []*note, stored []*sarama.ConsumerMessage, atLeastOnce bool) (found []string) {
	records := make(map[place]*sarama.ConsumerMessage)
	copies := make(map[string]int)
	for _, r := range stored {
		records[place{r.Partition, r.Offset}] = r
		copies[content(r.Key, r.Value, r.Headers)]++
	}
	told := make(map[place]*note)
	for _, n := range notes {
		wrong := func(format string, args ...any) {
			found = append(found, fmt.Sprintf("message %d: ", n.number)+fmt.Sprintf(format, args...))
		}
		for _, o := range n.outcomes {
			if o.err != nil || o.msg.Offset < 0 {
				continue
			}
			at := place{o.msg.Partition, o.msg.Offset}
			if other, ok := told[at]; ok {
				wrong("delivered to partition %d, offset %d, as was message %d", at.partition, at.offset, other.number)
			}
			told[at] = n
			r, ok := records[at]
			if !ok {
				wrong("delivered to partition %d, offset %d, where nothing is stored", at.partition, at.offset)
				continue
			}
			if got := content(r.Key, r.Value, r.Headers); got != n.content {
				wrong("sent as %s, stored as %s", n.content, got)
			}
			if !n.mayHave(r) {
				wrong("given the timestamp %v and sent between %v and %v, stored with %v",
					n.timestamp, n.made, n.returned, r.Timestamp)
			}
		}
		delivered, _ := n.count()
		possibly, copies := n.possibly(), copies[n.content]
		switch {
		case copies < delivered:
			wrong("%d times delivered, and %d times in the log", delivered, copies)
		case delivered+possibly == 0 && copies > 0:
			wrong("neither delivered nor possibly persisted, and in the log")
		case copies > delivered+possibly && !atLeastOnce:
			wrong("%d times delivered, and %d times in the log", delivered, copies)
		}
	}
	known := make(map[string]bool)
	for _, n := range notes {
		known[n.content] = true
	}
	for text := range copies {
		if !known[text] {
			found = append(found, "the log holds what was not sent: "+text)
		}
	}
	return found
}

// mayHave reports whether a record has the timestamp of its message, or the
// time of a send. Kafka keeps milliseconds.
func (n *note) mayHave(r *sarama.ConsumerMessage) bool {
	got := r.Timestamp.UnixMilli()
	if !n.timestamp.IsZero() {
		return got == n.timestamp.UnixMilli()
	}
	return n.made.UnixMilli() <= got && got <= n.returned.UnixMilli()
}
