package chaos

import (
	"errors"
	"testing"

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
