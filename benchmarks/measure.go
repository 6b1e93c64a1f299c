package main

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// side is one of those that are compared. run sends what the load says and
// returns when the outcome of every message is known.
type side interface {
	run(l *load) error
	close() error
}

// load is what one run sends.
type load struct {
	goroutines int
	messages   int // all goroutines together
	values     []sarama.Encoder
	// latencies is what each call took, per goroutine; nil where nobody asks.
	latencies [][]time.Duration
}

// distinct is how many values there are: with one alone a batch would compress
// to nothing.
const distinct = 251

// newLoad makes messages of that size, of text that compresses a little.
func newLoad(goroutines, messages, size int) *load {
	const letters = "abcdefghijklmnopqrstuvwxyz012345"
	l := &load{goroutines: goroutines, messages: messages - messages%goroutines}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	for range distinct {
		value := make(sarama.ByteEncoder, size)
		for i := range value {
			value[i] = letters[random.IntN(len(letters))]
		}
		l.values = append(l.values, value)
	}
	return l
}

// message makes the next message, a new one each time: sarama must have it so,
// and so would most code that uses the library.
func (l *load) message(i int) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Value: l.values[i%distinct]}
}

// each runs send for every message, from all goroutines, and returns one of its
// errors.
func (l *load) each(send func(msg *sarama.ProducerMessage) error) error {
	var (
		wg   sync.WaitGroup
		errs = make(chan error, l.goroutines)
	)
	for g := range l.goroutines {
		wg.Go(func() {
			for i := range l.messages / l.goroutines {
				msg := l.message(i)
				var began time.Time
				if l.latencies != nil {
					began = time.Now()
				}
				if err := send(msg); err != nil {
					errs <- err
					return
				}
				if l.latencies != nil {
					l.latencies[g] = append(l.latencies[g], time.Since(began))
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// result is what one run took.
type result struct {
	rate     float64 // messages a second
	cpu      float64 // nanoseconds of all processors per message
	allocs   float64 // per message
	p50, p99 time.Duration
}

// measure runs a load on a side.
func measure(s side, l *load) (result, error) {
	for i := range l.latencies {
		l.latencies[i] = l.latencies[i][:0]
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, began := cpuTime(), time.Now()
	if err := s.run(l); err != nil {
		return result{}, err
	}
	took, cpu := time.Since(began), cpuTime()-cpu
	runtime.ReadMemStats(&after)
	n := float64(l.messages)
	r := result{
		rate:   n / took.Seconds(),
		cpu:    float64(cpu) / n,
		allocs: float64(after.Mallocs-before.Mallocs) / n,
	}
	if l.latencies != nil {
		all := slices.Concat(l.latencies...)
		slices.Sort(all)
		r.p50, r.p99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r, nil
}

// round is a run of each contender, one right after the other.
type round []result

// compare measures rounds, after one that does not count. Who goes first
// changes from round to round.
func compare(sides []side, l *load, rounds int) (results []round, err error) {
	for _, s := range sides {
		if _, err := measure(s, l); err != nil {
			return nil, err
		}
	}
	for i := range rounds {
		r := make(round, len(sides))
		for j := range sides {
			which := (i + j) % len(sides)
			if r[which], err = measure(sides[which], l); err != nil {
				return nil, err
			}
		}
		results = append(results, r)
	}
	return results, nil
}
