package bench

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is what a run of the benchmarks has shown.
type Report struct {
	Date    string
	Machine string
	Go      string
	Cluster string
	Rounds  int
	Results []Result
}

// Result is a comparison. The first row is what the others are compared with.
type Result struct {
	Group, Name string
	X           float64 `json:",omitempty"`
	Rows        []Row

	quantities []Quantity
	goals      []Goal
}

// Row is one producer in a comparison.
type Row struct {
	Producer, Version string
	Ours              bool                `json:",omitempty"`
	Figures           map[Quantity]Figure // of the rounds
}

// Figure is a quantity of one producer.
type Figure struct {
	// Own is what was measured. It differs from machine to machine.
	Own Spread
	// Compared is what was measured against the first producer in the same
	// round: the ratio, or the difference.
	Compared Spread
}

// Spread is the middle, the lowest and the highest of all rounds.
type Spread struct{ Median, Min, Max float64 }

func spread(values []float64) Spread {
	slices.Sort(values)
	n := len(values)
	return Spread{Median: (values[(n-1)/2] + values[n/2]) / 2, Min: values[0], Max: values[n-1]}
}

func newReport(cluster string, rounds int) *Report {
	return &Report{
		Date: time.Now().UTC().Format(time.DateOnly), Go: runtime.Version(), Cluster: cluster, Rounds: rounds,
		Machine: fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
	}
}

// result sums up the rounds of a cell.
func (c *Cell) result(rounds []round) Result {
	r := Result{Group: c.Group, Name: c.Name, X: c.X, quantities: c.quantities, goals: c.goals}
	for which, p := range c.producers {
		row := Row{Producer: p.Name, Version: p.Version, Ours: p.Ours, Figures: map[Quantity]Figure{}}
		for _, q := range c.quantities {
			var own, compared []float64
			for _, round := range rounds {
				own = append(own, round[which][q])
				compared = append(compared, q.compare(round[which][q], round[0][q]))
			}
			row.Figures[q] = Figure{spread(own), spread(compared)}
		}
		r.Rows = append(r.Rows, row)
	}
	return r
}

// goal is the goal of a quantity, nil if it has none.
func (r *Result) goal(q Quantity) *Goal {
	for i := range r.goals {
		if r.goals[i].Quantity == q {
			return &r.goals[i]
		}
	}
	return nil
}

// Table is a comparison in Markdown: a row for each producer but the first, what
// meets a goal of ours in bold. Absolute adds what was measured, and the first.
func (r *Result) Table(absolute bool) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	head := []string{r.Group + ", " + r.Name}
	if r.Rows[0].Ours {
		head[0] += ", compared with " + r.Rows[0].Producer
	}
	for _, q := range r.quantities {
		text := string(q)
		if q.Difference() {
			text += ", more"
		}
		if g := r.goal(q); g != nil {
			text += g.text()
		}
		head = append(head, text)
	}
	line(head)
	b.WriteString(strings.Repeat("| --- ", len(head)) + "|\n")
	for i := range r.Rows {
		row := &r.Rows[i]
		if i == 0 && !absolute {
			continue
		}
		cells := []string{row.Producer}
		for _, q := range r.quantities {
			cells = append(cells, row.cell(q, r.goal(q), absolute))
		}
		line(cells)
	}
	b.WriteString("\n")
	return b.String()
}

func (row *Row) cell(q Quantity, g *Goal, absolute bool) string {
	f := row.Figures[q]
	mark := ""
	if row.Ours && g != nil && g.met(f.Compared.Median) {
		mark = "**"
	}
	text := func(v float64) string {
		if q.Difference() {
			return q.Text(v)
		}
		return fmt.Sprintf("%.2f", v)
	}
	cell := fmt.Sprintf("%s%s%s (%s … %s)", mark, text(f.Compared.Median), mark, text(f.Compared.Min), text(f.Compared.Max))
	if absolute {
		cell += " " + q.Text(f.Own.Median)
	}
	return cell
}

// Markdown writes all tables, without absolute figures.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %s, %s. Median of %d rounds (lowest … highest), each compared with sarama in the same round, unless the table says otherwise.\n\n",
		r.Date, r.Machine, r.Go, r.Cluster, r.Rounds)
	fmt.Fprintf(&b, "%s.\n\n", strings.Join(r.versions(), ", "))
	for i := range r.Results {
		b.WriteString(r.Results[i].Table(false))
	}
	_, err := io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}

// versions are the producers that are not ours, with their versions.
func (r *Report) versions() (all []string) {
	for _, result := range r.Results {
		for _, row := range result.Rows {
			text := strings.TrimSpace(row.Producer + " " + row.Version)
			if !row.Ours && !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	return all
}
