package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"time"
)

// contender is a producer with the settings that it runs with.
type contender struct {
	name string
	open func(addrs []string) (side, error)
	ours bool // the goals are ours
}

// benchmark is a load that all contenders send in turn. The first of them is
// what the others are compared with.
type benchmark struct {
	name                       string
	contenders                 []contender
	goroutines, messages, size int
	goals                      []goal
}

func asyncContenders() []contender {
	return []contender{
		{name: "sarama", open: newBareAsync},
		{name: "Async", ours: true, open: func(addrs []string) (side, error) { return newOurAsync(addrs, false) }},
		{name: "Async, OnSuccess", ours: true, open: func(addrs []string) (side, error) { return newOurAsync(addrs, true) }},
		{name: "franz-go", open: newFranzAsync},
	}
}

func syncContenders() []contender {
	return []contender{
		{name: "sarama", open: newBareSync},
		{name: "Sync", ours: true, open: newOurSync},
		{name: "franz-go", open: newFranzSync},
	}
}

// defaultContenders have their own defaults, whatever those promise.
func defaultContenders() []contender {
	return []contender{
		{name: "sarama", open: newBareDefaults},
		{name: "Async", ours: true, open: newOurDefaults},
		{name: "franz-go", open: newFranzDefaults},
	}
}

// benchmarks are all comparisons, with so many times their messages.
func benchmarks(times float64) (all []benchmark) {
	for _, goroutines := range []int{1, 8} {
		for _, size := range []int{100, 1024} {
			messages := 500_000.0
			if size > 100 {
				messages = 200_000
			}
			all = append(all, benchmark{
				name: fmt.Sprintf("asynchronous, %d B, goroutines: %d", size, goroutines), contenders: asyncContenders(),
				goroutines: goroutines, messages: int(messages * times), size: size, goals: asyncGoals(),
			})
		}
	}
	all = append(all, benchmark{
		name: "defaults, 100 B, goroutines: 8", contenders: defaultContenders(),
		goroutines: 8, messages: int(500_000 * times), size: 100, goals: defaultGoals(),
	})
	for _, goroutines := range []int{1, 64, 1024} {
		messages := min(5_000*float64(goroutines), 200_000) * times
		all = append(all, benchmark{
			name: fmt.Sprintf("synchronous, 100 B, goroutines: %d", goroutines), contenders: syncContenders(),
			goroutines: goroutines, messages: max(int(messages), goroutines), size: 100, goals: syncGoals(),
		})
	}
	return all
}

// run measures rounds, each with one run of each contender.
func (b *benchmark) run(addrs []string, rounds int) (results []round, err error) {
	var sides []side
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.close())
		}
	}()
	for _, c := range b.contenders {
		s, err := labelled(c.name, addrs, c.open)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		sides = append(sides, s)
	}
	l := newLoad(b.goroutines, b.messages, b.size)
	for _, g := range b.goals {
		if g.of == p99 {
			l.latencies = make([][]time.Duration, b.goroutines)
		}
	}
	return compare(sides, l, rounds)
}

// labelled makes a side whose goroutines have its name as a label in profiles.
func labelled(name string, addrs []string, open func(addrs []string) (side, error)) (s side, err error) {
	pprof.Do(context.Background(), pprof.Labels("side", name), func(context.Context) {
		if s, err = open(addrs); err == nil {
			s = label{side: s, name: name}
		}
	})
	return s, err
}

// label is a side whose senders have its name as a label in profiles.
type label struct {
	side
	name string
}

func (s label) run(l *load) (err error) {
	pprof.Do(context.Background(), pprof.Labels("side", s.name), func(context.Context) { err = s.side.run(l) })
	return err
}
