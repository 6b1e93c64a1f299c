package livepage

import (
	"time"

	"github.com/saramakit/producer"
)

// reading is what was read of all producers at one moment.
type reading struct {
	at     time.Time
	of     []*shown // sorted by name
	values map[*shown]*value
}

// value is what was read of one producer.
type value struct {
	at time.Time
	producer.Details
}

func read(all []*shown) reading {
	r := reading{at: time.Now(), of: all, values: make(map[*shown]*value, len(all))}
	for _, s := range all {
		r.values[s] = &value{at: time.Now(), Details: s.source.Details()}
	}
	return r
}

const (
	shortWindow = time.Second
	longWindow  = 10 * time.Second
	// slack is how much a reading may be too young for a window: readings are not
	// exactly a second apart.
	slack = interval / 2
)

// remember adds a reading to the history, of which it drops what no window needs
// any more. It returns a copy: those who read the history hold no lock.
func remember(history []reading, now reading) []reading {
	for len(history) > 1 && now.at.Sub(history[1].at) > longWindow+slack {
		history = history[1:]
	}
	return append(append(make([]reading, 0, len(history)+1), history...), now)
}

// window is what happened to a producer between two readings.
type window struct {
	since *value
	now   *value
}

// lately returns what happened to a producer in the last d, or in the time for which
// it is in the history, if that is less; nil if there was none.
func lately(d time.Duration, now *value, s *shown, history []reading) *window {
	var w *window
	for _, r := range history { // the oldest first
		before, ok := r.values[s]
		if !ok {
			continue
		}
		age := now.at.Sub(before.at)
		if age < slack || (w != nil && age < d-slack) {
			break
		}
		w = &window{since: before, now: now}
	}
	return w
}

func (w *window) seconds() float64 { return w.now.at.Sub(w.since.at).Seconds() }

// rate is a count per second.
func (w *window) rate(since, now int64) float64 { return float64(now-since) / w.seconds() }
