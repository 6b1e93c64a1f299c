package chaos

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// mostHeap is 2.5 times what a producer of ours may buffer by default: what
// holds messages holds more than their bytes.
const mostHeap = 5 * 64 << 20 / 2

// heap measures what is alive in this process. Most of that is the history,
// whose share is known when nothing else is left; the rest is the producer's.
type heap struct {
	size    func() int // of the history
	before  int64
	samples []sample
	stop    chan struct{}
	stopped chan struct{}
}

type sample struct {
	live int64
	size int
}

func watchHeap(size func() int) *heap {
	h := &heap{size: size, before: live(), stop: make(chan struct{}), stopped: make(chan struct{})}
	go h.watch()
	return h
}

func (h *heap) watch() {
	defer close(h.stopped)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-ticker.C:
			size := h.size() // before, or what is sent meanwhile would be taken off
			h.samples = append(h.samples, sample{live(), size})
		}
	}
}

// end is called when the producer is closed, and holds nothing. It returns the
// most that was alive beside the history.
func (h *heap) end() (most int64) {
	close(h.stop)
	<-h.stopped
	perMessage := float64(live()-h.before) / float64(max(1, h.size()))
	for _, s := range h.samples {
		most = max(most, s.live-h.before-int64(perMessage*float64(s.size)))
	}
	return most
}

// live is how many bytes are in use, once the garbage is gone.
func live() int64 {
	runtime.GC()
	m := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(m)
	return int64(m[0].Value.Uint64()) //nolint:gosec // bytes of memory
}
