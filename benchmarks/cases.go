package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"time"
)

// benchmark is one comparison with bare sarama.
type benchmark struct {
	name                       string
	ours, bare                 func(addrs []string) (side, error)
	goroutines, messages, size int
	goals                      []goal
}

// benchmarks are all comparisons, with so many times their messages.
func benchmarks(times float64) (all []benchmark) {
	for _, goroutines := range []int{1, 8} {
		for _, size := range []int{100, 1024} {
			for _, callbacks := range []bool{false, true} {
				name, messages := fmt.Sprintf("Async, %d B, goroutines: %d", size, goroutines), 500_000.0
				if size > 100 {
					messages = 200_000
				}
				if callbacks {
					name += ", OnSuccess"
				}
				all = append(all, benchmark{
					name: name, goroutines: goroutines, messages: int(messages * times), size: size,
					ours:  func(addrs []string) (side, error) { return newOurAsync(addrs, callbacks) },
					bare:  newBareAsync,
					goals: asyncGoals(),
				})
			}
		}
	}
	for _, goroutines := range []int{1, 64, 1024} {
		messages := min(5_000*float64(goroutines), 200_000) * times
		all = append(all, benchmark{
			name:       fmt.Sprintf("Sync, 100 B, goroutines: %d", goroutines),
			goroutines: goroutines, messages: max(int(messages), goroutines), size: 100,
			ours: newOurSync, bare: newBareSync,
			goals: syncGoals(),
		})
	}
	return all
}

// run measures pairs of runs.
func (b *benchmark) run(addrs []string, pairs int) (results []pair, err error) {
	ours, err := labelled("ours", addrs, b.ours)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	bare, err := labelled("bare", addrs, b.bare)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bare.close()) }()

	l := newLoad(b.goroutines, b.messages, b.size)
	for _, g := range b.goals {
		if g.of == p99 {
			l.latencies = make([][]time.Duration, b.goroutines)
		}
	}
	return compare(ours, bare, l, pairs)
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
