package chaos

import "time"

// pulse measures when this process gets no processor. What was late because of
// that is not the producer's fault, and machines under test are busy: three
// nodes that start leave little to others.
type pulse struct {
	start   time.Time
	lost    []span // in order
	stop    chan struct{}
	stopped chan struct{}
}

// span is a time since the start of a load.
type span struct{ from, to time.Duration }

func (s span) length() time.Duration { return max(0, s.to-s.from) }

// longer is the longer one, of equals the first.
func longer(a, b span) span {
	if b.length() > a.length() {
		return b
	}
	return a
}

// within is the part of a span that is in another one.
func (s span) within(o span) span { return span{max(s.from, o.from), min(s.to, o.to)} }

func feelPulse(start time.Time) *pulse {
	p := &pulse{start: start, stop: make(chan struct{}), stopped: make(chan struct{})}
	go p.feel()
	return p
}

// beat is how often it is looked whether there is a processor.
const beat = 2 * time.Millisecond

func (p *pulse) feel() {
	defer close(p.stopped)
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	due := time.Since(p.start) + beat
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		now := time.Since(p.start)
		if now > due+beat {
			p.lost = append(p.lost, span{due, now})
		}
		due = now + beat
	}
}

// end stops it.
func (p *pulse) end() {
	close(p.stop)
	<-p.stopped
}

// without is for how long there was no processor in a span. To be called after
// end.
func (p *pulse) without(s span) (sum time.Duration) {
	for _, lost := range p.lost {
		sum += lost.within(s).length()
	}
	return sum
}
