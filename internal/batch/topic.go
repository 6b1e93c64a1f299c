package batch

import (
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/partition"
	"github.com/saramakit/producer/internal/record"
)

// topic is where records wait for their partition to be chosen. The partitioner
// is a user's code, which may be slow or wait, and which only one goroutine may
// call: so Send does not call it, and no lock is held meanwhile.
type topic struct {
	b    *Batcher
	name string

	mu    sync.Mutex // held for a few instructions
	inbox []*record.Record
	// placing says that a goroutine sees to the inbox.
	placing bool

	// What follows belongs to that goroutine.
	spare      []*record.Record // the inbox before
	chooser    partition.Chooser
	partitions map[int32]*part
	// touched are the partitions that have been given records of this lot.
	touched []*part
}

// mostPause is how long records may stay in an inbox, if they linger at all: to
// start or wake a goroutine for each of them would cost more than all the rest.
const mostPause = time.Millisecond

func newTopic(b *Batcher, name string) *topic {
	return &topic{b: b, name: name, partitions: make(map[int32]*part)}
}

// place takes records from the inbox, a lot at a time, until there are none.
func (t *topic) place() {
	since, pause := time.Now(), min(t.b.linger/4, mostPause)
	for {
		if pause > 0 {
			_ = t.b.wait(pause) // if it is cut short, so be it
		}
		now := time.Now()
		t.mu.Lock()
		lot := t.inbox
		if len(lot) == 0 {
			t.placing = false
			t.mu.Unlock()
			return
		}
		t.inbox, t.spare = t.spare, nil
		t.mu.Unlock()
		lot = t.sort(lot)
		for _, p := range t.touched {
			p.put(since)
		}
		t.touched = t.touched[:0]
		clear(lot)
		t.spare = lot[:0]
		since = now
	}
}

// sort gives the records of a lot to their partitions. It returns the lot, which
// may have become longer.
func (t *topic) sort(lot []*record.Record) []*record.Record {
	outs := t.b.returning()
	defer func() { t.b.hand(outs) }()
	var p *part
	all, writable := t.b.cfg.Cluster.Topic(t.name)
	for i := 0; i < len(lot); {
		r := lot[i]
		id, err := t.choose(&r.Msg, all, writable)
		if errors.Is(err, partition.ErrNowhere) {
			if lot, err = t.await(lot, i, len(all) > 0); err != nil {
				for _, r := range lot[i:] {
					*outs = append(*outs, Outcome{Record: r, Err: err, NotWritten: true})
				}
				break
			}
			all, writable = t.b.cfg.Cluster.Topic(t.name)
			continue
		}
		i++
		if err != nil {
			*outs = append(*outs, Outcome{Record: r, Err: err, NotWritten: true})
			continue
		}
		r.Msg.Partition, r.Placed = id, true
		if p == nil || p.id != r.Msg.Partition {
			p = t.partition(r.Msg.Partition)
		}
		if len(p.placed) == 0 {
			t.touched = append(t.touched, p)
		}
		p.placed = append(p.placed, r)
		p.placedBytes += r.Wire()
	}
	return lot
}

func (t *topic) partition(id int32) *part {
	p := t.partitions[id]
	if p == nil {
		p = &part{b: t.b, topic: t.name, id: id, most: t.b.cfg.Sarama.Producer.MaxMessageBytes}
		t.partitions[id] = p
	}
	return p
}

// choose chooses the partition of a message.
func (t *topic) choose(msg *sarama.ProducerMessage, all, writable []int32) (int32, error) {
	if t.chooser == nil {
		ctor := t.b.cfg.Sarama.Producer.Partitioner
		chooser, ok := ctor(t.name).(partition.Chooser)
		if !ok {
			chooser, _ = partition.Guard(ctor, nil)(t.name).(partition.Chooser) // it is one
		}
		t.chooser = chooser
	}
	return t.chooser.Choose(msg, all, writable)
}

// await waits until there are partitions, or such that have a leader. Meanwhile
// those of the lot that were given up leave it, from i on, and new ones come.
func (t *topic) await(lot []*record.Record, i int, writable bool) ([]*record.Record, error) {
	err := t.b.find(t.name, func() error {
		err := t.b.cfg.Cluster.Ask(t.b.ending, t.name)
		all, led := t.b.cfg.Cluster.Topic(t.name)
		switch {
		case len(led) > 0, len(all) > 0 && !writable:
			return nil
		case err == nil:
			return sarama.ErrLeaderNotAvailable
		}
		return err
	}, func() bool {
		t.mu.Lock()
		lot = append(lot, t.inbox...)
		clear(t.inbox)
		t.inbox = t.inbox[:0]
		t.mu.Unlock()
		left := t.b.sweep(lot[i:])
		clear(lot[i+len(left):])
		lot = lot[:i+len(left)]
		return len(left) > 0
	})
	return lot, err
}
