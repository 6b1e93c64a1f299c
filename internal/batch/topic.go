package batch

import (
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/partition"
	"github.com/saramakit/producer/internal/record"
)

// topic is where records are given their partition. A partitioner is a user's
// code, which may be slow or wait, and which only one goroutine may call: so Send
// does not call it, and no lock is held meanwhile. Those of the library are
// called by Send, if there is a partition to choose from, and nobody before.
type topic struct {
	b    *Batcher
	name string

	mu    sync.Mutex // held for a few instructions
	inbox []*record.Record
	// placing says that a goroutine sees to the inbox. While it does, what
	// follows is its own.
	placing bool

	chooser    partition.Chooser
	partitions map[int32]*part
	// all and writable are the topic's partitions as of version.
	all, writable []int32
	version       int64
	// lot are the records that are being placed, at is how far that has come.
	lot []*record.Record
	at  int
	// touched are the partitions that have been given records of this lot.
	touched []*part
}

// mostPause is how long records may stay in an inbox, if they linger at all: to
// start or wake a goroutine for each of them would cost more than all the rest.
const mostPause = time.Millisecond

func newTopic(b *Batcher, name string) *topic {
	return &topic{b: b, name: name, version: -1, partitions: make(map[int32]*part)}
}

// submit takes a record over.
func (t *topic) submit(r *record.Record) {
	t.mu.Lock()
	if !t.placing && t.chooser != nil && t.chooser.Prompt() {
		t.look()
		if id, err := t.chooser.Choose(&r.Msg, t.all, t.writable); err == nil {
			r.Msg.Partition, r.Placed = id, true
			bytes := r.Wire()
			// With the lock held, so that nobody overtakes.
			put := t.partition(id).putOne(r, bytes)
			t.mu.Unlock()
			put.care(1, bytes)
			return
		}
		// Somebody has to wait for what is missing, or to report what is wrong.
	}
	t.inbox = append(t.inbox, r)
	idle := !t.placing
	t.placing = true
	t.mu.Unlock()
	if idle {
		t.b.placers.Go(t.place)
	}
}

// look sees to it that all and writable are what is known.
func (t *topic) look() {
	if v := t.b.cfg.Cluster.Version(); v != t.version {
		t.all, t.writable = t.b.cfg.Cluster.Topic(t.name)
		t.version = v
	}
}

// place takes records from the inbox, a lot at a time, until there are none.
func (t *topic) place() {
	over := false
	defer func() {
		if !over {
			t.exited()
		}
	}()
	since, pause := time.Now(), min(t.b.linger/4, mostPause)
	if len(t.lot) > 0 {
		t.sort(since) // what was left when a partitioner ended the goroutine
	}
	for {
		// Behind a prompt partitioner there is nothing to wait for but the end of
		// the inbox: then Send does this itself.
		if pause > 0 && (t.chooser == nil || !t.chooser.Prompt()) {
			_ = t.b.wait(pause) // if it is cut short, so be it
		}
		now := time.Now()
		t.mu.Lock()
		if len(t.inbox) == 0 {
			t.placing = false
			t.inbox, t.lot = modest(t.inbox), modest(t.lot)
			t.mu.Unlock()
			over = true
			return
		}
		t.inbox, t.lot = t.lot, t.inbox
		t.mu.Unlock()
		t.sort(since)
		since = now
	}
}

// exited goes on where a partitioner has ended the goroutine.
func (t *topic) exited() {
	outs := t.b.returning()
	outs.add(Outcome{Record: t.lot[t.at], Err: errExited, NotWritten: true})
	outs.hand()
	t.at++
	t.b.placers.Go(t.place)
}

// sort gives the records of the lot to their partitions.
func (t *topic) sort(since time.Time) {
	outs := t.b.returning()
	defer outs.hand()
	defer t.put(since)
	var p *part
	if t.chooser == nil {
		t.chooser = t.newChooser()
	}
	t.look()
	for began := time.Now(); t.at < len(t.lot); {
		if !t.chooser.Prompt() && time.Since(began) > mostPause {
			// Neither what has a place nor what has its outcome waits for the
			// partitions of the others.
			t.put(since)
			outs.flush()
			began = time.Now()
		}
		r := t.lot[t.at]
		id, err := t.chooser.Choose(&r.Msg, t.all, t.writable)
		if errors.Is(err, partition.ErrNowhere) {
			t.put(since)
			outs.flush()
			if err = t.await(len(t.all) > 0); err != nil {
				for ; t.at < len(t.lot); t.at++ {
					outs.add(Outcome{Record: t.lot[t.at], Err: err, NotWritten: true})
				}
			}
			t.look()
			continue
		}
		t.at++
		if err != nil {
			outs.add(Outcome{Record: r, Err: err, NotWritten: true})
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
	clear(t.lot)
	t.lot, t.at = t.lot[:0], 0
}

// put hands on what was placed.
func (t *topic) put(since time.Time) {
	for _, p := range t.touched {
		p.put(since)
	}
	t.touched = t.touched[:0]
}

func (t *topic) partition(id int32) *part {
	p := t.partitions[id]
	if p == nil {
		p = &part{b: t.b, topic: t.name, id: id, most: t.b.cfg.Sarama.Producer.MaxMessageBytes}
		t.partitions[id] = p
	}
	return p
}

func (t *topic) newChooser() partition.Chooser {
	ctor := t.b.cfg.Sarama.Producer.Partitioner
	chooser, ok := ctor(t.name).(partition.Chooser)
	if !ok {
		chooser, _ = partition.Guard(ctor, nil)(t.name).(partition.Chooser) // it is one
	}
	return chooser
}

// await waits until there are partitions, or such that have a leader. Meanwhile
// those of the lot that were given up leave it, and new ones come.
func (t *topic) await(writable bool) error {
	return t.b.questions.Repeat(t.name, func() error {
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
		t.lot = append(t.lot, t.inbox...)
		clear(t.inbox)
		t.inbox = t.inbox[:0]
		t.mu.Unlock()
		left := t.b.sweep(t.lot[t.at:])
		t.lot = t.lot[:t.at+len(left)]
		return len(left) > 0
	})
}
