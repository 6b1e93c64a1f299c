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
	extraAllocs // the difference; of the others it is the ratio
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
		return "allocations per message, more"
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

// compare is how a contender and the first one are compared.
func (q quantity) compare(other, first float64) float64 {
	if q == extraAllocs {
		return other - first
	}
	return other / first
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

func defaultGoals() []goal { return []goal{{throughput, true, 1.5}} }

// text is the goal for the head of a table.
func (g *goal) text() string {
	if g.atLeast {
		return fmt.Sprintf("%s (≥ %g)", g.of.name(), g.bound)
	}
	return fmt.Sprintf("%s (≤ %g)", g.of.name(), g.bound)
}

// figure is a quantity of one contender, compared with the first.
type figure struct {
	own              float64 // median
	median, min, max float64 // of the comparisons
}

// summarise compares one contender, by its place, with the first of each round.
func summarise(g *goal, rounds []round, which int) figure {
	var own, compared []float64
	for _, r := range rounds {
		first, other := g.of.of(&r[0]), g.of.of(&r[which])
		own, compared = append(own, other), append(compared, g.of.compare(other, first))
	}
	return figure{own: median(own), median: median(compared), min: slices.Min(compared), max: slices.Max(compared)}
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
func (f *figure) met(g *goal) bool {
	median := float64(int(f.median*100+0.5)) / 100
	if g.atLeast {
		return median >= g.bound
	}
	return median <= g.bound
}

// table is one comparison in markdown: a row for each contender but the first.
// What meets a goal of ours is bold. Absolute figures mean something on one
// machine only: they are in it if asked for.
func table(name string, contenders []contender, goals []goal, rounds []round, absolute bool) string {
	var b strings.Builder
	row := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	head := []string{name}
	for i := range goals {
		head = append(head, goals[i].text())
	}
	row(head)
	b.WriteString(strings.Repeat("| --- ", len(head)) + "|\n")
	for which, c := range contenders {
		if which == 0 && !absolute {
			continue
		}
		cells := []string{c.name}
		for i := range goals {
			g := &goals[i]
			f := summarise(g, rounds, which)
			mark := ""
			if c.ours && f.met(g) {
				mark = "**"
			}
			cell := fmt.Sprintf("%s%.2f%s (%.2f … %.2f)", mark, f.median, mark, f.min, f.max)
			if absolute {
				cell += " " + g.of.text(f.own)
			}
			cells = append(cells, cell)
		}
		row(cells)
	}
	b.WriteString("\n")
	return b.String()
}
