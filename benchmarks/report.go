package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// quantity is what is compared.
type quantity int

const (
	throughput quantity = iota
	cpuPerMessage
	extraAllocs // ours minus bare; the others are ours divided by bare
	p50
	p99
)

// name is what the quantity is called in the table.
func (q quantity) name() string {
	switch q {
	case throughput:
		return "messages/s"
	case cpuPerMessage:
		return "CPU per message"
	case extraAllocs:
		return "allocations per message, ours - bare"
	case p50:
		return "p50 of Send"
	default:
		return "p99 of Send"
	}
}

// of is the quantity of one run.
func (q quantity) of(r *result) float64 {
	switch q {
	case throughput:
		return r.rate
	case cpuPerMessage:
		return r.cpu
	case extraAllocs:
		return r.allocs
	case p50:
		return float64(r.p50)
	default:
		return float64(r.p99)
	}
}

// text is a value with its unit.
func (q quantity) text(v float64) string {
	switch q {
	case throughput:
		return fmt.Sprintf("%.0f/s", v)
	case extraAllocs:
		return fmt.Sprintf("%.2f", v)
	default:
		return time.Duration(v).Round(time.Nanosecond).String()
	}
}

// compare is how ours and bare are compared.
func (q quantity) compare(ours, bare float64) float64 {
	if q == extraAllocs {
		return ours - bare
	}
	return ours / bare
}

// goal is what the ratio, or difference, of a quantity should be.
type goal struct {
	of      quantity
	atLeast bool // else at most
	bound   float64
}

func asyncGoals() []goal {
	return []goal{{throughput, true, 0.95}, {cpuPerMessage, false, 1.10}, {extraAllocs, false, 2}}
}

func syncGoals() []goal { return []goal{{throughput, true, 1}, {p50, false, 1}, {p99, false, 1}} }

// row is one line of the report.
type row struct {
	benchmark        string
	goal             goal
	ours, bare       float64 // medians
	median, min, max float64 // of the pairs
}

// summarise makes the row of a goal.
func summarise(b string, g goal, pairs []pair) row {
	var ours, bare, ratios []float64
	for i := range pairs {
		o, s := g.of.of(&pairs[i].ours), g.of.of(&pairs[i].bare)
		ours, bare = append(ours, o), append(bare, s)
		ratios = append(ratios, g.of.compare(o, s))
	}
	return row{
		benchmark: b, goal: g, ours: median(ours), bare: median(bare),
		median: median(ratios), min: slices.Min(ratios), max: slices.Max(ratios),
	}
}

// median returns the middle one, of two the mean.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// met reports whether the median meets the goal, to the digits that are shown.
func (r *row) met() bool {
	median := float64(int(r.median*100+0.5)) / 100
	if r.goal.atLeast {
		return median >= r.goal.bound
	}
	return median <= r.goal.bound
}

// cells are what the row shows. Absolute figures mean something on one machine
// only, so markdown leaves them out.
func (r *row) cells(markdown bool) []string {
	sign, met := "≤", "yes"
	if r.goal.atLeast {
		sign = "≥"
	}
	if !r.met() {
		met = "no"
	}
	cells := []string{
		r.benchmark, r.goal.of.name(),
		fmt.Sprintf("%.2f", r.median), fmt.Sprintf("%.2f … %.2f", r.min, r.max),
		fmt.Sprintf("%s %.2f", sign, r.goal.bound), met,
	}
	if markdown {
		return cells
	}
	return append(cells, r.goal.of.text(r.ours), r.goal.of.text(r.bare))
}

// line joins cells to a line of a table.
func line(cells []string, markdown bool) string {
	if markdown {
		return "| " + strings.Join(cells, " | ") + " |\n"
	}
	widths := []int{40, 38, 18, 16, 8, 4, 11, 0}
	var b strings.Builder
	for i, cell := range cells {
		fmt.Fprintf(&b, "%-*s", widths[i], cell)
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// title is the head of the table.
func title(markdown bool) string {
	header := []string{"comparison", "quantity", "ours/bare, median", "min … max", "goal", "met", "ours", "bare"}
	if !markdown {
		return line(header, false)
	}
	columns := header[:len(header)-2]
	return line(columns, true) + "|" + strings.Repeat(" --- |", len(columns)) + "\n"
}
