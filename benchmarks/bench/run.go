package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
)

// Effort is how long and how often is measured.
type Effort struct {
	Rounds int
	// Seconds is how long a run is to take, about.
	Seconds float64
}

// usualSeconds is how long a run takes if nothing else is asked for.
const usualSeconds = 0.3

// longer is how much longer a run takes of which latencies are wanted: the slowest
// of a hundred messages are those that meet a garbage collection, of which there
// have to be some.
const longer = 3

// round is a run of each producer, one right after the other.
type round []Figures

// contender is a producer in a cell.
type contender struct {
	Producer
	client Client
	load   *load
}

// run compares the producers of a cell.
func (c *Cell) run(addrs []string, e Effort) (rounds []round, err error) {
	s := Settings{Addrs: addrs, Topics: c.names(), Linger: c.linger, Defaults: c.defaults}
	if c.starts {
		return c.runStarts(s, e)
	}
	var all []contender
	defer func() {
		for _, k := range all {
			err = errors.Join(err, k.client.Close())
		}
	}()
	for _, p := range c.producers {
		k := contender{Producer: p}
		if err := p.label(func() (err error) { k.client, err = p.Open(s); return err }); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		all = append(all, k)
	}
	if c.timed {
		e.Seconds *= longer
	}
	if err := c.calibrate(all, e); err != nil {
		return nil, err
	}
	for i := range e.Rounds {
		r := make(round, len(all))
		for j := range all {
			which := (i + j) % len(all) // who goes first changes from round to round
			k := &all[which]
			err := k.label(func() (err error) { r[which], err = k.load.measure(k.client); return err })
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k.Name, err)
			}
		}
		rounds = append(rounds, r)
	}
	return rounds, nil
}

// first is with how many messages it is found out how many a producer can send.
func (e *Effort) first() int { return min(4_000, 100+int(20_000*e.Seconds)) }

// calibrate gives each contender a load that takes it about as long as the
// effort says, and with a rate all the same one. That is the warm-up, too.
func (c *Cell) calibrate(all []contender, e Effort) error {
	reference := 0.0
	for i := range all {
		k := &all[i]
		rate, n := 0.0, e.first()
		// Twice, because a first run finds connections and topics new.
		for range 2 {
			warm := c.load(n)
			warm.timed = false
			f, err := warm.measure(k.client)
			if err != nil {
				return fmt.Errorf("%s: %w", k.Name, err)
			}
			rate = f[Throughput]
			n = max(e.first(), int(max(rate, reference)*e.Seconds/4))
		}
		if i == 0 {
			reference = rate
		}
		// A slow one is given less than its share of the time, but enough not to
		// measure how it ends.
		k.load = c.load(max(int(max(rate, reference/10)*e.Seconds), c.enough(e)))
		if c.share > 0 {
			k.load = c.load(int(e.Seconds * reference * c.share))
			k.load.rate = reference * c.share
		}
	}
	return nil
}

// enough is how many large messages are sent at the least: three times what a
// producer may hold. Fewer would only show how its buffer is filled, before any of
// the memory is used again. A test that takes less time than usual sends fewer.
func (c *Cell) enough(e Effort) int {
	if c.size < 10_000 {
		return 0
	}
	return int(float64(3*BufferBytes/c.size) * min(1, e.Seconds/usualSeconds))
}

// runStarts opens and closes the producers.
func (c *Cell) runStarts(s Settings, e Effort) (rounds []round, err error) {
	for i := range e.Rounds {
		r := make(round, len(c.producers))
		for j := range c.producers {
			which := (i + j) % len(c.producers)
			p := &c.producers[which]
			if r[which], err = start(p, s, c.load(e.first())); err != nil {
				return nil, fmt.Errorf("%s: %w", p.Name, err)
			}
		}
		rounds = append(rounds, r)
	}
	return rounds, nil
}

// label calls f with the producer's name as a label in profiles, which the
// goroutines that it starts keep.
func (p *Producer) label(f func() error) (err error) {
	pprof.Do(context.Background(), pprof.Labels("producer", p.Name), func(context.Context) { err = f() })
	return err
}
