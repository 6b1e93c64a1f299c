package producertest

import (
	"sync"
	"time"
)

// alarm rings when a time has passed, as far as the process got to run: it waits
// in many short steps, and where others take the processor away, each step is
// longer. So the bounds that the suite checks are sharp on an idle machine, and
// hold on one that is busy.
type alarm struct {
	rung, off chan struct{}
	stopOnce  sync.Once
}

func newAlarm(d time.Duration) *alarm {
	steps := min(50, max(1, d/time.Millisecond))
	a := &alarm{rung: make(chan struct{}), off: make(chan struct{})}
	go func() {
		pace := time.NewTimer(d / steps)
		defer pace.Stop()
		for range steps {
			select {
			case <-pace.C:
				pace.Reset(d / steps)
			case <-a.off:
				return
			}
		}
		close(a.rung)
	}()
	return a
}

// stop ends the alarm.
func (a *alarm) stop() { a.stopOnce.Do(func() { close(a.off) }) }

// rang reports whether the time has passed.
func (a *alarm) rang() bool {
	select {
	case <-a.rung:
		return true
	default:
		return false
	}
}

// pause lets time pass.
func pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
