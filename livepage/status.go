package livepage

import (
	"fmt"
	"time"

	"github.com/saramakit/producer"
)

// status is how a producer does, in one word.
type status string

const (
	healthy   status = "healthy"
	attention status = "attention"
	bad       status = "bad"
	closed    status = "closed"
)

const (
	// fullPercent is from where on the buffer counts as nearly full.
	fullPercent = 80
	// oldAge is from when on a message in flight counts as old.
	oldAge = 10 * time.Second
)

// judge says how a producer does, and why. recent is nil if nobody watched before:
// then only what is true at this moment counts.
func judge(now *value, recent *window) (s status, reasons []string) {
	reasons = []string{}
	s = healthy
	because := func(worse status, format string, args ...any) {
		if s != bad {
			s = worse
		}
		reasons = append(reasons, fmt.Sprintf(format, args...))
	}
	if now.Stalled {
		// While a producer has nothing to send, it is no wonder that nothing comes.
		silent := now.OldestInFlight
		if !now.LastOutcome.IsZero() {
			silent = min(silent, now.at.Sub(now.LastOutcome))
		}
		because(bad, "stalled: nothing has come of any message for %.0f s", silent.Seconds())
	}
	if recent != nil {
		judgeRecent(recent, because)
	}
	if now.State == producer.StateClosing {
		because(attention, "closing, with %d in flight", now.InFlight)
	}
	if now.Waiting > 0 {
		because(attention, "%d %s for room in the buffer", now.Waiting, plural(now.Waiting, "send waits", "sends wait"))
	}
	if p := percent(now.Buffered, now.MaxBuffered); p >= fullPercent {
		because(attention, "the buffer is %d %% full of messages", p)
	}
	if p := percent(now.BufferedBytes, now.MaxBufferedBytes); p >= fullPercent {
		because(attention, "the buffer is %d %% full of bytes", p)
	}
	if now.OldestInFlight >= oldAge {
		because(attention, "a message is in flight for %.0f s", now.OldestInFlight.Seconds())
	}
	if now.State == producer.StateClosed && s == healthy {
		return closed, reasons
	}
	return s, reasons
}

// judgeRecent judges what happened in the last ten seconds.
func judgeRecent(w *window, because func(worse status, format string, args ...any)) {
	since, now := w.since, w.now
	in := fmt.Sprintf("in the last %.0f s", w.seconds())
	if failed := now.Failed - since.Failed; failed > 0 {
		worse := attention
		if failed >= now.Delivered-since.Delivered {
			worse = bad
		}
		because(worse, "%d %s %s, mostly %s", failed, plural(failed, "message failed", "messages failed"), in,
			most(since.Failures, now.Failures))
	}
	if rejected := now.Rejected - since.Rejected; rejected > 0 {
		because(attention, "%d %s rejected %s, mostly %s", rejected, plural(rejected, "send was", "sends were"), in,
			most(since.Rejections, now.Rejections))
	}
	if panics := now.CallbackPanics - since.CallbackPanics; panics > 0 {
		because(attention, "%d %s %s", panics, plural(panics, "callback panicked", "callbacks panicked"), in)
	}
	if slow := now.SlowCallbacks - since.SlowCallbacks; slow > 0 {
		because(attention, "%d slow %s %s", slow, plural(slow, "callback", "callbacks"), in)
	}
	if late := now.Late - since.Late; late > 0 {
		because(attention, "%d %s found stored %s after being reported as failed", late, plural(late, "message was", "messages were"), in)
	}
	if !now.Stalled && now.Stalls > since.Stalls {
		because(attention, "was stalled %s", in)
	}
}

// most is the kind of which most were added.
func most(since, now map[string]int64) string {
	kind, added := "other", int64(0)
	for k, n := range now {
		if n -= since[k]; n > added || (n == added && n > 0 && k < kind) {
			kind, added = k, n
		}
	}
	return kind
}

// percent is rounded down, so that 100 is only what is full.
func percent(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return int64(float64(part) * 100 / float64(whole))
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
