package e2e

import "time"

// disturb runs one line of faults.
func (r *run) disturb(line []disturbance) {
	for _, planned := range line {
		r.awaitSends(planned.at)
		r.inject(planned)
	}
}

// awaitSends waits until so many messages were sent, the senders have ended, or
// nothing has happened for a while: they may wait for what is to come.
func (r *run) awaitSends(n int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	last, idle := int64(-1), 0
	for {
		begun := r.begun.Load()
		if begun >= int64(n) || idle > 50 {
			return
		}
		if idle++; begun != last {
			last, idle = begun, 0
		}
		select {
		case <-tick.C:
		case <-r.over:
			return
		}
	}
}

func (r *run) inject(planned disturbance) {
	f := faultNamed(planned.fault)
	if f.alone {
		r.stage.shape.Lock()
		defer r.stage.shape.Unlock()
	}
	start := time.Since(r.began)
	end, hits, err := f.begin(spot{r.scene, seeded(planned.seed, 0), planned.wide})
	if err != nil {
		r.violated("setup", "%s: %v", f.name, err)
		return
	}
	if planned.hold > 0 {
		pause(planned.hold)
	} else {
		<-r.over
	}
	if err := end(); err != nil {
		r.violated("setup", "%s: %v", f.name, err)
	}
	r.note("fault %s from %v, %d hits", f.name, start.Round(time.Millisecond), hits())
	r.see("fault: "+f.name, hits())
}
