package producertest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"
)

// leftBySarama are goroutines that sarama leaves behind and nobody can stop.
func leftBySarama() []string {
	return []string{
		// The metrics library has one ticker for the whole process, and never ends
		// it.
		"go-metrics.(*meterArbiter).tick",
		// A circuit breaker, once open, sleeps for ten seconds.
		"breaker.(*Breaker).timer",
	}
}

// watch makes the check fail if a goroutine that it starts from here on, itself
// or through others, outlives it. To be called before the producer is opened: what
// Open has started beside it, and ends with the check, is then not counted.
//
// Labels are inherited by the goroutines that a goroutine starts. That tells
// those of one check from those of others that run at the same time.
func (b *bench) watch() {
	const label = "producertest"
	mark := fmt.Sprintf("%p", b)
	pprof.SetGoroutineLabels(pprof.WithLabels(b.tb.Context(), pprof.Labels(label, mark)))
	b.tb.Cleanup(func() {
		pprof.SetGoroutineLabels(context.Background())
		mark := fmt.Sprintf("%q:%q", label, mark)
		end := newAlarm(patience / 3)
		defer end.stop()
		// A profile stops the whole process for an instant: fewer and fewer of them.
		for wait := time.Millisecond; ; wait *= 2 {
			left := marked(mark)
			if len(left) == 0 {
				return
			}
			if end.rang() {
				b.tb.Errorf("goroutines are left behind:\n%s", strings.Join(left, "\n\n"))
				return
			}
			pause(wait)
		}
	})
}

// marked are the stacks of the goroutines with a label.
func marked(mark string) (stacks []string) {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return []string{err.Error()}
	}
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, mark) && !containsAny(stack, leftBySarama()) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
