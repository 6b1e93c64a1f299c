package bench

import (
	"fmt"
	"time"
)

// Quantity is what is measured. Times are in nanoseconds.
type Quantity string

// The quantities.
const (
	Throughput Quantity = "messages/s"
	CPU        Quantity = "CPU per message"
	Allocs     Quantity = "allocations per message"
	Bytes      Quantity = "bytes allocated per message"
	Heap       Quantity = "peak heap"
	P50        Quantity = "p50"
	P99        Quantity = "p99"
	P999       Quantity = "p99.9"
	FirstAck   Quantity = "first acknowledgement"
	Close      Quantity = "Close"
)

// Text is a value with its unit.
func (q Quantity) Text(v float64) string {
	switch q {
	case Throughput:
		return fmt.Sprintf("%.0f/s", v)
	case Allocs:
		return fmt.Sprintf("%.2f", v)
	case Bytes:
		return fmt.Sprintf("%.0f B", v)
	case Heap:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case CPU, P50, P99, P999, FirstAck, Close:
	}
	return time.Duration(v).Round(10 * time.Nanosecond).String()
}

// Difference says that a quantity is compared by subtraction: of small numbers a
// ratio would say nothing.
func (q Quantity) Difference() bool { return q == Allocs || q == Bytes || q == Heap }

// compare is how a value and that of the first producer are compared.
func (q Quantity) compare(other, first float64) float64 {
	if q.Difference() {
		return other - first
	}
	return other / first
}

// Goal is what the ratio, or the difference, of one of ours should be.
type Goal struct {
	Quantity Quantity
	AtLeast  bool // else at most
	Bound    float64
}

// met reports whether a median meets the goal, to the digits that are shown.
func (g *Goal) met(median float64) bool {
	shown := float64(int(median*100+0.5)) / 100
	if g.AtLeast {
		return shown >= g.Bound
	}
	return shown <= g.Bound
}

// text is the goal in the head of a table.
func (g *Goal) text() string {
	if g.AtLeast {
		return fmt.Sprintf(" (≥ %g)", g.Bound)
	}
	return fmt.Sprintf(" (≤ %g)", g.Bound)
}
