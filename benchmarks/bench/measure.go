package bench

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"time"
)

// Figures are what one run has shown, by quantity. Those that it does not
// measure are not in it.
type Figures map[Quantity]float64

// measure runs a load on a client.
func (l *load) measure(c Client) (Figures, error) {
	all := l.prepared()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	known := c.Delivered()
	peak := watchHeap()
	cpu, began := cpuTime(), time.Now()
	err := l.run(c, all)
	took, cpu := time.Since(began), cpuTime()-cpu
	heap := peak()
	runtime.ReadMemStats(&after)
	if err != nil {
		return nil, err
	}
	if n := c.Delivered() - known; n != int64(l.messages) {
		return nil, fmt.Errorf("%w: %d of %d were acknowledged", ErrFailed, n, l.messages)
	}
	n := float64(l.messages)
	f := Figures{
		CPU:    float64(cpu) / n,
		Allocs: float64(after.Mallocs-before.Mallocs) / n,
		Bytes:  float64(after.TotalAlloc-before.TotalAlloc) / n,
		Heap:   float64(heap - int64(before.HeapAlloc)), //nolint:gosec // bytes of memory
	}
	if l.rate == 0 {
		f[Throughput] = n / took.Seconds()
	}
	if l.timed {
		times := make([]time.Duration, len(all))
		for i := range all {
			times[i] = all[i].took
		}
		slices.Sort(times)
		at := func(part float64) float64 { return float64(times[int(part*float64(len(times)-1))]) }
		f[P50], f[P99], f[P999] = at(0.5), at(0.99), at(0.999)
	}
	return f, nil
}

// watchHeap samples the heap, garbage included, until the function that it
// returns is called, and gives the most that it has seen.
func watchHeap() (peak func() int64) {
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		highest := int64(0)
		for {
			metrics.Read(sample)
			highest = max(highest, int64(sample[0].Value.Uint64())) //nolint:gosec // bytes of memory
			select {
			case <-ticker.C:
			case <-stop:
				most <- highest
				return
			}
		}
	}()
	return func() int64 {
		close(stop)
		return <-most
	}
}

// start measures how long a producer takes until its first message is
// acknowledged, and to close with messages on their way.
func start(p *Producer, s Settings, l *load) (Figures, error) {
	began := time.Now()
	c, err := p.Open(s)
	if err != nil {
		return nil, err
	}
	all := l.prepared()
	err = c.Send(&all[0])
	if err == nil {
		err = c.Flush()
	}
	first := time.Since(began)
	for i := 0; i < l.messages && err == nil; i++ {
		err = c.Send(&all[i%len(all)])
	}
	began = time.Now()
	if e := c.Close(); err == nil {
		err = e
	}
	if n := c.Delivered(); err == nil && n != int64(l.messages)+1 {
		err = fmt.Errorf("%w: Close left %d of %d without an outcome", ErrFailed, int64(l.messages)+1-n, l.messages+1)
	}
	return Figures{FirstAck: float64(first), Close: float64(time.Since(began))}, err
}
