package e2e

import (
	"time"

	"github.com/IBM/sarama"
)

// themes are what programs are about; what is not their subject stays random.
// They keep rare states from being left to chance.
func themes() []func(*program, dice) {
	return []func(*program, dice){
		themeMixed, themeFull, themeClose, themeCallbacks, themeContexts, themeTopics, themeExpiry, themeStorm, themeOutlast,
	}
}

func themeMixed(p *program, d dice) {
	p.theme = "mixed"
	for range d.between(2, 4) {
		p.senders = append(p.senders, sends(d, d.between(2, 6), 30, never, never, later, soon, cancelled, dead))
	}
	p.faults = [][]disturbance{disturbances(d, pick(d, 1, 1, 2, 0), 60, 150)}
	p.heals = d.chance(50)
}

// themeFull is a buffer that is too small for what is sent into it.
func themeFull(p *program, d dice) {
	p.theme = "full"
	c := &p.config
	c.maxBuffered, c.perTopic = pick(d, 8, 1, 2, 30), pick(d, 0, 3, 1)
	c.maxBytes = pick(d, int64(64<<20), int64(4000))
	c.maxBlock = pick(d, time.Second, 50*time.Millisecond, 0)
	c.acks = max(c.acks, sarama.WaitForAll)
	if c.acks == sarama.NoResponse {
		c.acks = sarama.WaitForAll
	}
	c.delivery = 2 * time.Second
	for range d.between(4, 8) {
		p.senders = append(p.senders, sends(d, d.between(2, 4), 8, never, never, soon, cancelled))
	}
	p.faults = [][]disturbance{
		{{fault: pick(d, "freeze all", "not enough replicas", "ignore"), at: 0, hold: d.millis(60, 200), seed: uint64(d.roll(1 << 16))}},
		disturbances(d, 1, 30, 100),
	}
}

// themeClose ends the producer in the middle, from several goroutines.
func themeClose(p *program, d dice) {
	p.theme = "close"
	p.config.closing = d.millis(100, 600)
	p.config.network = pick(d, 300*time.Millisecond, 15*time.Second)
	p.config.maxBuffered = pick(d, 10_000, 6)
	for range d.between(2, 5) {
		steps := sends(d, d.between(1, 3), 60, never, never, later, soon)
		if d.chance(60) {
			steps = append(steps, closing(d))
		}
		p.senders = append(p.senders, append(steps, sends(d, d.between(1, 2), 5, never, dead)...))
	}
	p.senders = append(p.senders, []step{{op: opPause, n: 1, within: d.millis(0, 40)}, closing(d)})
	p.faults = [][]disturbance{disturbances(d, 1, 20, 0)}
	if d.chance(50) {
		p.faults = append(p.faults, []disturbance{{fault: pick(d, "freeze all", "ignore", "answers held"), at: d.roll(20)}})
	}
	if d.chance(15) {
		// Nobody but a callback ends it in time.
		c := &p.config
		c.closing, c.network, c.callbacks, c.manual, c.known = 100*time.Millisecond, 15*time.Second, toldAll, true, true
		p.topics = []plannedTopic{{exists, 6}}
		p.senders = [][]step{{{op: opPause, n: 1, within: 20 * time.Millisecond}, {op: opFunc, n: 40}, {op: opAll, n: 40}, {op: opClose, n: 1, ending: later}}}
		p.react = reactions{percent: 50, kinds: []reaction{reClose}}
		p.faults = [][]disturbance{{{fault: "freeze one", wide: true, hold: 2500 * time.Millisecond}}}
		return
	}
	if d.chance(40) {
		p.react = reactions{percent: 10, kinds: []reaction{reClose, reClose, reSend, reFlush}}
	}
}

func closing(d dice) step {
	s := step{op: opClose, n: d.between(1, 2), ending: pick(d, later, never, soon, soon, cancelled, dead, expired, absent)}
	if s.ending == soon || s.ending == cancelled {
		s.within = d.millis(0, 150)
	}
	return s
}

// themeCallbacks has callbacks that do all that they may.
func themeCallbacks(p *program, d dice) {
	p.theme = "callbacks"
	c := &p.config
	if c.sync {
		c.callbacks = toldAll
	}
	c.maxBuffered, c.perTopic = pick(d, 4, 2, 50), pick(d, 0, 0, 3)
	p.react = reactions{percent: 40, kinds: []reaction{
		reSend, reSend, reTry, reFunc, reAll, reFlush, reStats, rePanic, reGoexit, reBlock, reSpawn, reSpawn,
	}}
	if d.chance(40) {
		p.react.kinds = append(p.react.kinds, reClose)
	}
	for range d.between(2, 4) {
		p.senders = append(p.senders, sends(d, d.between(2, 4), 15, never, never, later))
	}
	p.faults = [][]disturbance{disturbances(d, 1, 20, 100)}
}

// themeContexts has contexts that end at any moment of a call.
func themeContexts(p *program, d dice) {
	p.theme = "contexts"
	p.config.sync = d.chance(75)
	p.config.maxBuffered = pick(d, 10_000, 3)
	p.mix.doubtful = 15
	p.topics = append(p.topics, plannedTopic{kind: missing})
	p.config.unknown = 300 * time.Millisecond
	for range d.between(3, 6) {
		p.senders = append(p.senders, sends(d, d.between(3, 6), 6, soon, cancelled, never, dead, expired, absent))
	}
	p.faults = [][]disturbance{disturbances(d, 1, 0, 150)}
}

// themeTopics sends to topics that are not there, not yet, or not any more.
func themeTopics(p *program, d dice) {
	p.theme = "topics"
	p.topics = append(p.topics, plannedTopic{kind: missing}, plannedTopic{late, d.between(1, 3)})
	p.mix.doubtful = 30
	p.config.known = false
	for range d.between(2, 4) {
		p.senders = append(p.senders, sends(d, d.between(2, 5), 20, never, later, soon))
	}
	p.faults = [][]disturbance{{{
		fault: pick(d, "no leader", "hidden topic", "forbidden topic", "hidden topic"), at: 0, hold: d.millis(20, 300), seed: uint64(d.roll(1 << 16)),
	}}, {{fault: lateTopic, at: d.roll(20), hold: time.Millisecond}}}
	p.heals = d.chance(30)
}

// themeExpiry has a delivery timeout that faults outlast.
func themeExpiry(p *program, d dice) {
	p.theme = "expiry"
	p.config.delivery = d.millis(80, 300)
	p.config.acks = sarama.WaitForAll
	p.config.network = pick(d, 300*time.Millisecond, 2*time.Second)
	for range d.between(2, 5) {
		p.senders = append(p.senders, sends(d, d.between(2, 4), 15, never, later))
	}
	p.faults = [][]disturbance{{{
		fault: pick(d, "freeze all", "answer lost", "not enough replicas", "freeze one", "after the append", "ignore"),
		at:    d.roll(30), hold: d.millis(150, 500), seed: uint64(d.roll(1 << 16)),
	}}, disturbances(d, 1, 30, 200)}
	p.heals = d.chance(30)
}

// themeStorm has one fault after the other, and time enough to survive them.
func themeStorm(p *program, d dice) {
	p.theme = "storm"
	p.config.delivery = 20 * time.Second
	p.config.maxBlock = 20 * time.Second
	p.config.maxBuffered = pick(d, 10_000, 300)
	p.react.percent = 0
	for range d.between(2, 4) {
		p.senders = append(p.senders, sends(d, d.between(3, 6), 60, never))
	}
	harmless := harmlessFaults()
	for range d.between(1, 2) {
		line := disturbances(d, d.between(2, 4), 40, 120)
		for i := range line {
			line[i].fault = harmless[d.roll(len(harmless))]
		}
		p.faults = append(p.faults, line)
	}
}

// themeOutlast has a callback that Close cannot wait for.
func themeOutlast(p *program, d dice) {
	p.theme = "outlast"
	p.config.callbacks = toldAll
	p.config.maxBuffered = pick(d, 10_000, 5)
	p.react = reactions{percent: 30, kinds: []reaction{reOutlast, reBlock, reFlush}}
	p.config.closing = 200 * time.Millisecond
	for range 2 {
		p.senders = append(p.senders, sends(d, d.between(1, 3), 10, never, soon))
	}
	p.senders = append(p.senders, []step{
		{op: opPause, n: 1, within: d.millis(5, 40)},
		{op: opFlush, n: 1, ending: soon, within: d.millis(0, 20)},
		{op: opClose, n: 1, ending: soon, within: d.millis(0, 60)},
	})
	p.faults = [][]disturbance{disturbances(d, 1, 5, 50)}
}

// themeLoad has many messages, and harmless faults all the time.
func themeLoad(p *program, d dice, messages int) {
	p.theme = "load"
	c := &p.config
	c.sync, c.callbacks = d.chance(25), toldAll
	c.delivery, c.maxBlock = 20*time.Second, 20*time.Second
	c.maxBuffered, c.perTopic, c.maxBytes = pick(d, 100_000, 20_000, 2000), 0, 64<<20
	c.linger = pick(d, 5*time.Millisecond, time.Millisecond)
	if c.acks == sarama.NoResponse {
		c.acks = sarama.WaitForLocal // what is not known to be stored proves little
	}
	p.mix = mix{invalid: 1, unkeyed: 30, headers: 5}
	p.react = reactions{percent: 1, kinds: []reaction{reSend, reTry, reFunc, reStats, rePanic, reGoexit}}
	senders := 4
	for range senders {
		var steps []step
		for sent := 0; sent < messages/senders; {
			s := step{op: pick(d, opSend, opFunc, opTry), n: min(d.between(500, 3000), messages/senders-sent), ending: never}
			if c.sync {
				s.op = opAll
			}
			sent += s.n
			steps = append(steps, s)
			if d.chance(10) {
				steps = append(steps, step{op: opFlush, n: 1, ending: pick(d, never, soon), within: d.millis(0, 20)})
			}
		}
		p.senders = append(p.senders, steps)
	}
	harmless := harmlessFaults()
	line := disturbances(d, d.between(6, 10), messages/10, 60)
	for i := range line {
		line[i].at, line[i].fault = (i+1)*messages/12, harmless[d.roll(len(harmless))]
	}
	p.faults = [][]disturbance{line}
}
