package main

import (
	"context"
	"fmt"
	"time"

	"github.com/saramakit/producer/internal/dispatch"
	"github.com/saramakit/producer/internal/record"
)

// dispatcherGoals: callbacks must be no bottleneck for anything sarama can do.
func dispatcherGoals() []goal { return []goal{{throughput, true, 10}} }

// dispatcher measures the library's callback dispatcher alone: how many records
// go through it in a second, with one worker and a callback that counts.
func dispatcher(messages int) (result, error) {
	h := &counter{until: messages, done: make(chan struct{})}
	d := dispatch.New(1, 5*time.Second, h)
	c, err := record.New(context.Background(), newLoad(1, 1, 100).message(0), &record.Home{})
	if err != nil {
		return result{}, err
	}
	// One record again and again: nothing of it is used.
	began := time.Now()
	for range messages {
		d.Enqueue(c.Record)
	}
	<-h.done
	took := time.Since(began)
	<-d.Stop()
	if h.calls != messages {
		return result{}, fmt.Errorf("%d callbacks for %d records", h.calls, messages)
	}
	return result{rate: float64(messages) / took.Seconds()}, nil
}

// counter is a dispatch.Handler with a callback that counts.
type counter struct {
	calls, ended, until int
	done                chan struct{}
}

func (c *counter) Call(*record.Record, int) (more bool) {
	c.calls++
	return false
}

func (c *counter) Done(*record.Record) {
	if c.ended++; c.ended == c.until {
		close(c.done)
	}
}

func (*counter) Failed(*record.Record, int, dispatch.Failure) {}

func (*counter) Slow(*record.Record, int, time.Duration) {}

// runDispatcher measures rounds of bare sarama and the dispatcher alone.
func runDispatcher(addrs []string, rounds, messages int) (results []round, err error) {
	bare, err := newBareAsync(addrs)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := bare.close(); err == nil {
			err = e
		}
	}()
	l := newLoad(8, messages, 100)
	if _, err := measure(bare, l); err != nil {
		return nil, err
	}
	for range rounds {
		alone, err := dispatcher(4 * messages)
		if err != nil {
			return nil, err
		}
		first, err := measure(bare, l)
		if err != nil {
			return nil, err
		}
		results = append(results, round{first, alone})
	}
	return results, nil
}
