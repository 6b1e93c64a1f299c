package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// requiredStates are what a whole run must have reached, or it proves nothing.
func requiredStates() []string {
	states := []string{
		// sends
		"nil ctx", "dead ctx", "producer: invalid message", "producer: message too large", "ErrClosed", "ErrClosed while it waited",
		"ErrBufferFull of TrySend", "ErrBufferFull by ctx", "ErrBufferFull after MaxBlock", "ErrBufferFull in a callback",
		"pending", "withdrawn", "BatchError", "re-entrant send",
		// outcomes
		"failed: timeout, not persisted", "failed: timeout, possibly persisted", "failed: unknown topic, not persisted",
		"failed: aborted, not persisted", "failed: aborted, possibly persisted", "failed: ctx, not persisted",
		"failed: code, not persisted", "failed: code, possibly persisted", "stored twice", "an offset that is not known", "stored",
		// Flush and Close
		"FlushError", "Flush waited", "Flush in a callback", "Close under load", "another Close", "Close in a callback", "clean Close",
		"observed", "CloseError", "Close left a callback behind", "Close gave messages up",
		// the buffer
		"Stats: Waiting", "Stats: Held", "Stats: Late", "Stats: full", "Stats: overdrawn", "Stats: SlowCallbacks",
		"healed",
	}
	for _, f := range faultTable() {
		states = append(states, "fault: "+f.name)
	}
	for _, r := range []reaction{
		reSend, reTry, reFunc, reAll, reFlush, reClose, reStats, rePanic, reGoexit, reBlock, reOutlast, reSpawn,
	} {
		states = append(states, "callback: "+string(r))
	}
	return states
}

// missing are the required states that were not reached.
func (c *campaign) missing() (states []string) {
	for _, state := range requiredStates() {
		if c.seen[state] == 0 {
			states = append(states, state)
		}
	}
	return states
}

// String shows what was reached, and how late calls were at most.
func (c *campaign) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d programs, %d messages accepted\n", c.programs, c.accepted)
	for _, state := range slices.Sorted(maps.Keys(c.seen)) {
		fmt.Fprintf(&b, "  %-45s %d\n", state, c.seen[state])
	}
	fmt.Fprintf(&b, "longest stall of the machine %v; latest beyond its bound:", c.stalls.longest().Round(time.Millisecond))
	for _, call := range slices.Sorted(maps.Keys(c.late)) {
		if d := c.late[call]; d > 0 {
			fmt.Fprintf(&b, " %s %v", call, d.Round(time.Millisecond))
		}
	}
	return b.String()
}

// report shows a program that broke a promise: what it is, what happened, what
// is wrong, and how to run it again.
func (r *run) report() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	b.WriteString("\n" + r.String())
	notes := r.notes
	if len(notes) > 120 {
		notes = append(slices.Clone(notes[:60]), notes[len(notes)-60:]...)
	}
	for _, note := range notes {
		b.WriteString("  " + note + "\n")
	}
	for _, v := range r.found {
		b.WriteString("  VIOLATED " + v.String() + "\n")
	}
	fmt.Fprintf(&b, "  Close said %v\n", r.result)
	if !strings.HasPrefix(r.theme, "fuzzed") {
		fmt.Fprintf(&b, "again: %s=%#x", envSeed, r.seed)
		if r.load > 0 {
			fmt.Fprintf(&b, " %s=%d", envLoad, r.load)
		}
		b.WriteString(" go test -race -count=1 -run TestRandom_programsKeepEveryPromise ./internal/e2e\n")
	}
	return b.String()
}
