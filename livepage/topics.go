package livepage

import (
	"cmp"
	"slices"

	"github.com/saramakit/producer"
)

// maxTopics is how many topics of a producer are listed.
const maxTopics = 200

// topicsOf lists the topics with most in flight, then those with most delivered,
// and sums up the rest.
func topicsOf(now *value, recent *window) (listed []topicJSON, more *moreJSON, other figuresJSON) {
	before := make(map[string]int64) // delivered, by topic
	if recent != nil {
		for i := range recent.since.Topics {
			before[recent.since.Topics[i].Topic] = recent.since.Topics[i].Delivered
		}
	}
	figures := func(t *producer.TopicStats, before int64) figuresJSON {
		f := figuresJSON{
			Accepted: t.Accepted, Delivered: t.Delivered, Failed: t.Failed, InFlight: t.InFlight,
			Failures: counts(t.Failures),
		}
		if recent != nil {
			// A topic that was deleted, or known for the first time, moves its figures
			// between its own line and that of the others.
			f.DeliveredRate = new(max(0, recent.rate(before, t.Delivered)))
		}
		return f
	}
	otherBefore := int64(0)
	if recent != nil {
		otherBefore = recent.since.OtherTopics.Delivered
	}
	other = figures(&now.OtherTopics, otherBefore)

	sorted := slices.Clone(now.Topics)
	slices.SortFunc(sorted, func(a, b producer.TopicStats) int {
		return cmp.Or(
			cmp.Compare(b.InFlight, a.InFlight),
			cmp.Compare(b.Delivered, a.Delivered),
			cmp.Compare(a.Topic, b.Topic))
	})
	listed = make([]topicJSON, 0, min(len(sorted), maxTopics))
	for i := range sorted[:cap(listed)] {
		t := &sorted[i]
		listed = append(listed, topicJSON{Topic: t.Topic, figuresJSON: figures(t, before[t.Topic])})
	}
	if rest := sorted[len(listed):]; len(rest) > 0 {
		more = &moreJSON{Count: len(rest), figuresJSON: figuresJSON{Failures: map[string]int64{}}}
		for i := range rest {
			more.add(figures(&rest[i], before[rest[i].Topic]))
		}
	}
	return listed, more, other
}

func (f *figuresJSON) add(g figuresJSON) {
	f.Accepted += g.Accepted
	f.Delivered += g.Delivered
	f.Failed += g.Failed
	f.InFlight += g.InFlight
	for kind, n := range g.Failures {
		f.Failures[kind] += n
	}
	if g.DeliveredRate != nil {
		if f.DeliveredRate == nil {
			f.DeliveredRate = new(float64)
		}
		*f.DeliveredRate += *g.DeliveredRate
	}
}
