package livepage

import (
	"encoding/json"
	"maps"
	"time"
)

// report is the JSON of a reading, with what happened since those of the history.
func report(now reading, history []reading) []byte {
	all := allJSON{Time: now.at.UTC(), Producers: make([]producerJSON, 0, len(now.of))}
	for _, s := range now.of {
		all.Producers = append(all.Producers, producerOf(s, now.values[s], history))
	}
	data, err := json.Marshal(all)
	if err != nil {
		panic(err) // a rate of no time would be no number; there is none
	}
	return data
}

func producerOf(s *shown, now *value, history []reading) producerJSON {
	recent := lately(longWindow, now, s, history)
	status, reasons := judge(now, recent)
	p := producerJSON{
		Name: s.name, Status: status, Reasons: reasons, State: now.State, Stalled: now.Stalled, Stalls: now.Stalls,
		Accepted: now.Accepted, Delivered: now.Delivered, Failed: now.Failed, InFlight: now.InFlight,
		Rejected: now.Rejected, Late: now.Late, Held: now.Held,
		Buffered: now.Buffered, MaxBuffered: now.MaxBuffered,
		BufferedBytes: now.BufferedBytes, MaxBufferedBytes: now.MaxBufferedBytes,
		Waiting: now.Waiting, OldestInFlight: now.OldestInFlight.Seconds(),
		CallbackPanics: now.CallbackPanics, SlowCallbacks: now.SlowCallbacks,
		CallbacksRunning: now.CallbacksRunning, SlowCallback: now.SlowCallback,
		Started: now.Started.UTC(), Uptime: now.at.Sub(now.Started).Seconds(),
		Failures: counts(now.Failures), Rejections: counts(now.Rejections),
		Latency: latencyOf(now.Latency), LastSecond: windowOf(lately(shortWindow, now, s, history)), LastSeconds: windowOf(recent),
		Settings: make([]settingJSON, 0, len(now.Settings)),
	}
	if !now.LastOutcome.IsZero() {
		p.LastOutcome = new(now.LastOutcome.UTC())
		p.SinceLastOutcome = new(age(now.at, now.LastOutcome))
	}
	p.Topics, p.MoreTopics, p.OtherTopics = topicsOf(now, recent)
	for _, setting := range now.Settings {
		p.Settings = append(p.Settings, settingJSON(setting))
	}
	return p
}

// age is not negative: what is newer than the reading came while it was made.
func age(now, then time.Time) float64 { return max(0, now.Sub(then).Seconds()) }

// counts makes {} of nil, and a copy of what may be somebody else's.
func counts(of map[string]int64) map[string]int64 {
	c := make(map[string]int64, len(of))
	maps.Copy(c, of)
	return c
}
