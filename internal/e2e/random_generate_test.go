package e2e

import (
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// indexMask is the part of a seed that chooses theme and first fault, so that
// seeds which are counted up go through all of them.
const indexMask = 0xffff

// generate makes the program of a seed.
func generate(seed uint64) *program {
	index := int(seed & indexMask)
	return compose(seed, index, seeded(seed, 0))
}

// compose makes a program. The index chooses theme and first fault.
func compose(seed uint64, index int, d dice) *program {
	p := &program{seed: seed}
	common(p, d)
	all := themes()
	all[index%len(all)](p, d)
	finish(p, d, faultOf(index))
	return p
}

// composeLoad makes a program of many messages.
func composeLoad(seed uint64, messages int) *program {
	d := seeded(seed, 0)
	index := int(seed & indexMask)
	p := &program{seed: seed, load: messages}
	common(p, d)
	themeLoad(p, d, messages)
	finish(p, d, faultOf(index))
	return p
}

// faultOf is the first fault of the programs with an index.
func faultOf(index int) string {
	table := faultTable()
	return table[index%len(table)].name
}

// common is what most programs are like.
func common(p *program, d dice) {
	p.config = settings{
		mode:        mode{sync: d.chance(40), idempotent: !d.chance(40)},
		acks:        sarama.WaitForAll,
		maxBuffered: pick(d, 10_000, 1000, 100),
		maxBytes:    pick(d, int64(64<<20), int64(200<<10)),
		perTopic:    pick(d, 0, 0, 40),
		maxMessage:  20_000,
		workers:     pick(d, 1, 1, 4),
		callbacks:   toldAll,
		manual:      d.chance(20),
		known:       d.chance(20),
		borrowed:    d.chance(10),
		linger:      pick(d, 0, time.Millisecond, 5*time.Millisecond),
		maxBlock:    pick(d, 2*time.Second, 200*time.Millisecond),
		delivery:    3 * time.Second,
		unknown:     d.millis(60, 200),
		closing:     1500 * time.Millisecond,
		network:     300 * time.Millisecond,
	}
	c := &p.config
	if !c.idempotent {
		c.acks = pick(d, sarama.WaitForAll, sarama.WaitForLocal, sarama.WaitForAll, sarama.NoResponse)
	}
	c.callbacks = pick(d, toldAll, toldAll, toldAll, toldAll, toldFuncs)
	for range d.between(1, 3) {
		p.topics = append(p.topics, plannedTopic{exists, d.between(1, 4)})
	}
	p.mix = mix{invalid: pick(d, 0, 3), large: pick(d, 0, 5), unkeyed: 40, headers: 20}
	p.react = reactions{percent: pick(d, 0, 2), kinds: []reaction{reSend, reTry, reFunc, reStats, rePanic, reGoexit, reBlock}}
}

// finish adds what depends on the theme's choices.
func finish(p *program, d dice, firstFault string) {
	for _, line := range p.faults {
		for j := range line {
			f := &line[j]
			switch table := faultTable(); {
			case f.fault != "":
			case firstFault != "":
				// The one that must not be left to chance.
				f.fault, f.at, firstFault = firstFault, min(f.at, 5), ""
				f.wide = true
			default:
				f.fault = table[d.roll(len(table))].name
			}
		}
	}
	c := &p.config
	// A client of somebody else's looks up as it likes, and nobody can cut its
	// connections: short timeouts are what ends it.
	c.borrowed = c.borrowed && c.network <= time.Second
	p.lossless = c.delivery >= 10*time.Second && c.acks != sarama.NoResponse && !c.borrowed
	for _, line := range p.faults {
		for _, f := range line {
			p.lossless = p.lossless && !faultNamed(f.fault).costly
		}
	}
	if p.config.sync && p.config.callbacks == toldFuncs {
		p.config.callbacks = toldNone
	}
	if p.config.callbacks == toldNone {
		p.react = reactions{}
	}
	for i, steps := range p.senders {
		p.senders[i] = slices.DeleteFunc(steps, func(s step) bool { return !p.config.can(s.op) })
	}
}

// can reports whether a producer of these settings has that call.
func (c *settings) can(o op) bool {
	switch o {
	case opAll:
		return c.sync
	case opTry:
		return !c.sync && c.callbacks == toldAll
	case opFunc:
		return !c.sync
	case opSend:
		return c.callbacks != toldFuncs
	default:
		return true
	}
}

// sends are steps of a goroutine that sends.
func sends(d dice, steps, most int, endings ...ending) (list []step) {
	for range steps {
		o := pick(d, opSend, opSend, opTry, opFunc, opAll, opFlush, opStats, opPause)
		s := step{op: o, n: d.between(1, most), ending: pick(d, endings...)}
		switch o {
		case opFlush, opStats:
			s.n = d.between(1, 3)
		case opPause:
			s.n, s.ending, s.within = 1, never, d.millis(1, 30)
		default:
		}
		if s.ending == soon || s.ending == cancelled {
			s.within = d.millis(0, 40)
		}
		list = append(list, s)
	}
	return list
}

// disturbances are a line of faults, chosen later, that begin within the first
// messages; most is how long one lasts in milliseconds, 0 for to the end.
func disturbances(d dice, n, within, most int) (line []disturbance) {
	for range n {
		f := disturbance{at: d.roll(within + 1), seed: uint64(d.roll(1 << 16))}
		if most > 0 {
			f.hold = d.millis(10, most)
		}
		line = append(line, f)
	}
	return line
}
