package bench

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/saramakit/producer/internal/dispatch"
	"github.com/saramakit/producer/internal/record"
)

// dispatcher is the library's callback dispatcher alone, with one worker and a
// callback that counts: it must be no bottleneck for anything that sarama can do.
type dispatcher struct {
	d      *dispatch.Dispatcher
	sent   atomic.Int64
	counts *counter
	record *record.Record
}

func openDispatcher(s Settings) (Client, error) {
	c, err := record.New(context.Background(), saramaMessage(&Message{Topic: s.Topics[0]}), &record.Home{})
	if err != nil {
		return nil, err
	}
	counts := &counter{}
	return &dispatcher{d: dispatch.New(1, 5*time.Second, counts), counts: counts, record: c.Record}, nil
}

// Send hands over one record again and again: nothing of it is used.
func (c *dispatcher) Send(*Message) error {
	c.sent.Add(1)
	c.d.Enqueue(c.record)
	return nil
}

func (c *dispatcher) Flush() error { return c.counts.Await(c.sent.Load()) }

func (c *dispatcher) Delivered() int64 { return c.counts.Delivered() }

func (c *dispatcher) Close() error {
	<-c.d.Stop()
	return nil
}

// counter is a dispatch.Handler with a callback that counts.
type counter struct{ Outcomes }

func (c *counter) Call(*record.Record, int) (more bool) {
	c.delivered.Add(1)
	return false
}

func (*counter) Done(*record.Record) {}

func (*counter) Failed(*record.Record, int, dispatch.Failure) {}

func (*counter) Slow(*record.Record, int, time.Duration) {}
