package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/saramakit/producer/internal/judge"
)

// How long a partition may be without an acknowledgement once the cluster is
// whole, and how long a Send may take if there is room. Machines under test are
// busy: both are limits, the figures are in the report.
const (
	mostRecovery = 10 * time.Second
	mostSend     = 2 * time.Second
)

// broken are the promises that a run has broken, in words. Messages may fail
// only where the scenario says so. The last ones are asked of ours only, the others
// of all, whether they promise it or not.
func (r *Result) broken(subject Subject, scenario Scenario) (broken []string) {
	say := func(is bool, format string, args ...any) {
		if is {
			broken = append(broken, fmt.Sprintf(format, args...))
		}
	}
	for _, v := range r.Verdict.First {
		broken = append(broken, v.String())
	}
	say(r.Silent > 0, "%d messages have no outcome", r.Silent)
	if r.Void != nil {
		return broken // the rest says what happens if the scenario does
	}
	say(r.Rejected > 0 && !scenario.MayFail(), "%d messages were not accepted", r.Rejected)
	say(r.Failed() > 0 && !scenario.MayFail(), "%d messages failed", r.Failed())
	if subject.Ours {
		say(r.Refused > 0, "%d messages were refused though the producer was not closed", r.Refused)
		say(r.CloseTook-r.Without.Close > closing+time.Second, "Close took %s of %s", r.CloseTook, closing)
		say(r.CloseErr != nil && !scenario.MayFail(), "Close said: %v", r.CloseErr)
		say(r.Heap > mostHeap, "the heap was %d MiB", r.Heap>>20)
		say(r.Unplaced > r.Delivered/100, "of %d delivered messages %d were not told their offset", r.Delivered, r.Unplaced)
		say(r.Early > 0, "%d messages failed before their time was over", r.Early)
		timeout := scenario.timeout()
		say(r.Slowest-r.Without.Slowest > timeout+time.Second, "an outcome came after %s, the delivery timeout is %s", r.Slowest, timeout)
		if !scenario.CloseAmid {
			most := scenario.recovery()
			say(!r.Recovered, "a partition has not recovered")
			say(r.Recovery-r.Without.Recovery > most, "a partition has recovered after %s, that is more than %s", r.Recovery, most)
			say(r.LongestSend-r.Without.Send > mostSend && r.MostOpen < roomy && !subject.Sync && !scenario.Large, "a Send took %s though there was room", r.LongestSend)
		}
	}
	return broken
}

// Head is the head of a table of results.
const Head = "| scenario | producer | accepted | failed | lost | duplicated | out of order | silent | untrue status | longest gap | longest Send | recovery | Close | heap |\n" +
	"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"

// Row is a result as a line of a table.
func (r *Result) Row() string {
	count := func(kinds ...string) string {
		n := 0
		for _, kind := range kinds {
			n += r.Verdict.Count[kind]
		}
		return thousands(n)
	}
	recovery := "-"
	if r.Recovered {
		recovery = seconds(r.Recovery)
	}
	end := seconds(r.CloseTook)
	if r.CloseErr != nil {
		end += " (cut)"
	}
	return "| " + strings.Join([]string{
		r.Scenario, r.Subject, thousands(r.Accepted), thousands(r.Failed()),
		count(judge.Lost, judge.Misplaced, judge.Altered), count(judge.Duplicated), count(judge.Reordered, judge.Scattered),
		thousands(r.Silent), count(judge.Untrue), seconds(r.LongestGap), seconds(r.LongestSend), recovery, end,
		fmt.Sprintf("%d MiB", r.Heap>>20),
	}, " | ") + " |\n"
}

// Sum adds up results of the same scenario and subject: counts are added, of
// times the longest is kept.
func Sum(results []*Result) *Result {
	sum := &Result{
		Subject: results[0].Subject, Scenario: results[0].Scenario,
		Verdict: judge.Verdict{Count: map[string]int{}}, Recovered: true,
	}
	for _, r := range results {
		sum.Accepted += r.Accepted
		sum.Delivered += r.Delivered
		sum.Stored += r.Stored
		sum.Rejected += r.Rejected
		sum.Silent += r.Silent
		sum.NotPersisted += r.NotPersisted
		sum.MaybePersisted += r.MaybePersisted
		for kind, n := range r.Verdict.Count {
			sum.Verdict.Count[kind] += n
		}
		sum.LongestSend = max(sum.LongestSend, r.LongestSend)
		sum.LongestGap = max(sum.LongestGap, r.LongestGap)
		sum.Recovery = max(sum.Recovery, r.Recovery)
		sum.Recovered = sum.Recovered && r.Recovered
		sum.Heap = max(sum.Heap, r.Heap)
		sum.CloseTook = max(sum.CloseTook, r.CloseTook)
		if r.CloseErr != nil {
			sum.CloseErr = r.CloseErr
		}
	}
	return sum
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// thousands writes 12345 as 12,345.
func thousands(n int) string {
	digits := fmt.Sprint(n)
	var groups []string
	for len(digits) > 3 {
		groups = append(groups, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	groups = append(groups, digits)
	slices.Reverse(groups)
	return strings.Join(groups, ",")
}
