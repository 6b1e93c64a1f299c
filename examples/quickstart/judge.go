package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/saramakit/producer/examples/internal/demo"
)

// verdict is what the log shows about a flow.
type verdict struct{ stored, missing, duplicated, outOfOrder int }

// examine looks for the orders of a flow in the log. The orders of a customer
// are in one partition, so the order of records is theirs.
func examine(records []demo.Record, f *flow) (verdict, error) {
	var v verdict
	seen := make(map[order]bool)
	last := make(map[int]int) // by customer
	for _, r := range records {
		var o order
		if err := json.Unmarshal(r.Value, &o); err != nil {
			return v, fmt.Errorf("record %d of partition %d: %w", r.Offset, r.Partition, err)
		}
		if o.Via != f.name {
			continue
		}
		v.stored++
		switch {
		case seen[o]:
			v.duplicated++
		case o.Number < last[o.Customer]:
			v.outOfOrder++
		default:
			last[o.Customer] = o.Number
		}
		seen[o] = true
	}
	for o := range f.acknowledged {
		if !seen[o] {
			v.missing++
		}
	}
	return v, nil
}

// judge compares what the producers said with what the log shows. It returns an
// error unless all promises were kept.
func judge(screen *demo.Screen, records []demo.Record, flows ...*flow) error {
	var rows, table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 3, ' ', tabwriter.AlignRight)
	rows.WriteString("\taccepted\t= delivered\t+ failed\tstored\tmissing\tduplicated\tout of order\tduration\t\n")
	kept, total := true, 0
	var cause error
	for _, f := range flows {
		v, err := examine(records, f)
		if err != nil {
			return err
		}
		rows.WriteString(f.name + "\t")
		for _, n := range []int{f.accepted, f.delivered, f.failed, v.stored, v.missing, v.duplicated, v.outOfOrder} {
			rows.WriteString(demo.Count(n) + "\t")
		}
		fmt.Fprintf(&rows, "%.1f s\t\n", f.took.Seconds())
		kept = kept && f.accepted == f.delivered+f.failed && v.missing+v.duplicated+v.outOfOrder == 0
		total += f.accepted
		cause = errors.Join(cause, f.cause)
	}
	_, err := io.WriteString(w, rows.String())
	if err := errors.Join(err, w.Flush()); err != nil {
		return err
	}
	screen.Print("\n" + table.String() + "\n")
	if cause != nil {
		screen.Print(fmt.Sprintf("First failures: %v\n", cause))
	}
	if !kept {
		return errors.New("a promise was broken: see the table")
	}
	screen.Print(fmt.Sprintf("All promises held for %s messages in %.1f s: each has one outcome, what was acknowledged is stored,\n"+
		"nothing twice, and the orders of each customer in their order.\n", demo.Count(total), screen.Elapsed().Seconds()))
	return nil
}
