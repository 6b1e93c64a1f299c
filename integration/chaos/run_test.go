package chaos

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/judge"
)

func TestResult_anErrorOfOursThatIsNoDeliveryErrorIsABrokenPromise(t *testing.T) {
	t.Parallel()
	ours := Subjects()[0]
	var r Result
	r.judge([]judge.Message{{Answered: true, Outcomes: []judge.Outcome{{Err: errors.New("whatever")}}}}, nil, ours)
	require.Equal(t, 1, r.Verdict.Count[judge.Outcomes])
	require.NotEmpty(t, r.broken(ours, Scenario{CloseAmid: true}))
}

func TestResult_whatIsLateForWantOfAProcessorBreaksNoPromise(t *testing.T) {
	t.Parallel()
	r := kept()
	r.Slowest, r.CloseTook = deliveryTimeout+2*time.Second, closing+2*time.Second
	require.Len(t, r.broken(Subjects()[0], Scenario{}), 2)
	r.Without.Slowest, r.Without.Close = time.Second, time.Second
	require.Empty(t, r.broken(Subjects()[0], Scenario{}))
}

// kept is a result with which nothing is wrong.
func kept() *Result {
	return &Result{Accepted: leastLoad, After: leastAfter, Recovered: true, LongestGap: time.Minute, LongestSend: time.Second}
}

func TestResult_ofOursBreaksAPromiseThatTimesContradict(t *testing.T) {
	t.Parallel()
	ours := Subjects()[0]
	require.Empty(t, kept().broken(ours, Scenario{}))
	for name, spoil := range map[string]func(*Result){
		"an outcome after the delivery timeout":  func(r *Result) { r.Slowest = deliveryTimeout + 2*time.Second },
		"offsets that nobody is told":            func(r *Result) { r.Delivered, r.Unplaced = 1_000, 11 },
		"a Send that was refused":                func(r *Result) { r.Refused = 1 },
		"a failure before it":                    func(r *Result) { r.Early = 1 },
		"a partition that has not recovered":     func(r *Result) { r.Recovered = false },
		"a partition that has recovered late":    func(r *Result) { r.Recovery = mostRecovery + 1 },
		"a Send that waited without a need":      func(r *Result) { r.LongestSend = mostSend + 1 },
		"a Close that took longer than it may":   func(r *Result) { r.CloseTook = closing + 2*time.Second },
		"more memory than the budget allows for": func(r *Result) { r.Heap = mostHeap + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := kept()
			spoil(r)
			require.Len(t, r.broken(ours, Scenario{}), 1)
			require.Empty(t, r.broken(Subjects()[2], Scenario{}), "a peer does not promise it")
		})
	}
}

func TestResult_isVoidIfTheFaultDidNotHurt(t *testing.T) {
	t.Parallel()
	ours, peer := Subjects()[0], Subjects()[2]
	require.NoError(t, kept().void(ours, Scenario{}))
	for name, test := range map[string]struct {
		spoil    func(*Result)
		scenario Scenario
		whose    []Subject
	}{
		"few after the fault":     {func(r *Result) { r.After-- }, Scenario{}, []Subject{ours, peer}},
		"few messages":            {func(r *Result) { r.Accepted-- }, Scenario{}, []Subject{ours, peer}},
		"no gap":                  {func(r *Result) { r.LongestGap = time.Second }, Scenario{Hurts: 2 * time.Second}, []Subject{ours, peer}},
		"a Close without a fault": {func(r *Result) { r.CloseTook = time.Second }, Scenario{CloseAmid: true, Hurts: 2 * time.Second}, []Subject{ours}},
		"no failure":              {func(*Result) {}, Scenario{Fails: true}, []Subject{ours}},
		"a buffer with room":      {func(r *Result) { r.LongestSend = 0 }, Scenario{Large: true}, []Subject{ours}},
		"fewer amid, but still":   {func(r *Result) { r.Accepted = leastAmid - 1 }, Scenario{CloseAmid: true}, []Subject{ours, peer}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := kept()
			test.spoil(r)
			for _, subject := range test.whose {
				require.Error(t, r.void(subject, test.scenario))
			}
		})
	}
}

func TestResult_asksForLessWhereTheScenarioDoes(t *testing.T) {
	t.Parallel()
	async, sync := Subjects()[0], Subjects()[1]
	slow := func() *Result {
		r := kept()
		r.Recovery, r.LongestSend = mostRecovery+time.Second, mostSend+time.Second
		return r
	}
	require.Len(t, slow().broken(async, Scenario{}), 2)
	require.Len(t, slow().broken(sync, Scenario{}), 1, "its Send waits for the outcome")
	require.Len(t, slow().broken(async, Scenario{Large: true}), 1, "there is no room")
	require.Len(t, slow().broken(async, Scenario{Recovery: time.Minute}), 1)
	require.Empty(t, slow().broken(async, Scenario{CloseAmid: true}))
	full := slow()
	full.MostOpen = roomy
	require.Len(t, full.broken(async, Scenario{}), 1)
	late := kept()
	late.Slowest = 10 * time.Second
	require.Empty(t, late.broken(async, Scenario{}))
	require.Len(t, late.broken(async, Scenario{DeliveryTimeout: 5 * time.Second}), 1)
}

func TestClosedAmid_asksForNoHarm(t *testing.T) {
	t.Parallel()
	s := closedAmid(Scenario{Name: "any", Hurts: time.Second, Fails: true})
	require.True(t, s.CloseAmid)
	require.NoError(t, kept().void(Subjects()[0], s))
}

func TestScenario_suitsWhoCanTakePart(t *testing.T) {
	t.Parallel()
	async, sync := Subjects()[0], Subjects()[1]
	require.True(t, (&Scenario{Large: true}).Suits(async))
	require.False(t, (&Scenario{Large: true}).Suits(sync))
	require.True(t, (&Scenario{Network: true}).Suits(async))
	require.False(t, (&Scenario{Network: true}).Suits(Subject{NoDialer: true}))
}
