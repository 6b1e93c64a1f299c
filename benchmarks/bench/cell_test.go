package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCells_haveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range Cells(Producers()) {
		name := c.Group + ", " + c.Name
		require.False(t, seen[name], name)
		seen[name] = true
		if c.Group == groupSettings || c.Group == groupObserving {
			require.Equal(t, "defaults, OnSuccess", c.producers[0].Name, name)
		} else {
			require.Equal(t, "sarama", c.producers[0].Name, name)
		}
		for _, topic := range c.names() {
			require.EqualValues(t, c.partitions, partitionsOf(topic))
		}
	}
}

func TestCharts_areOfGroupsThatThereAre(t *testing.T) {
	t.Parallel()
	groups := map[string][]Quantity{}
	for _, c := range Cells(Producers()) {
		groups[c.Group] = c.quantities
	}
	for _, c := range charts() {
		require.Contains(t, groups[c.group], c.quantity, c.file)
	}
}

func TestPayload_isOfTheSizeThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, p := range []Payload{JSON, Random} {
		for _, size := range []int{1, 100, 10_240} {
			values := p.values(size)
			require.Len(t, values, distinct(size))
			for _, v := range values {
				require.Len(t, v, size)
			}
		}
	}
}

func TestResult_comparesRunsOfTheSameRound(t *testing.T) {
	t.Parallel()
	c := Cell{
		producers:  []Producer{{Name: "sarama"}, {Name: "Async", Ours: true}},
		quantities: []Quantity{Throughput, Allocs}, goals: []Goal{{Throughput, true, 0.95}, {Allocs, false, 1}},
	}
	r := c.result([]round{
		{{Throughput: 100, Allocs: 3}, {Throughput: 90, Allocs: 5}},
		{{Throughput: 20, Allocs: 3}, {Throughput: 30, Allocs: 4}},
		{{Throughput: 200, Allocs: 3}, {Throughput: 100, Allocs: 3}},
	})
	f := r.Rows[1].Figures[Throughput]
	require.InDelta(t, 0.9, f.Compared.Median, 1e-9)
	require.InDelta(t, 0.5, f.Compared.Min, 1e-9)
	require.InDelta(t, 1.5, f.Compared.Max, 1e-9)
	require.InDelta(t, 90, f.Own.Median, 1e-9)
	require.False(t, r.goal(Throughput).met(f.Compared.Median))
	f = r.Rows[1].Figures[Allocs]
	require.InDelta(t, 1, f.Compared.Median, 1e-9)
	require.True(t, r.goal(Allocs).met(f.Compared.Median))
	require.Contains(t, r.Table(false), "| 0.90 (0.50 … 1.50) | **1.00** (0.00 … 2.00) |")
	require.NotContains(t, r.Table(false), "| sarama |")
	require.Contains(t, r.Table(true), "| sarama |")
}

func TestSpread_ofAnEvenNumberHasTheMeanOfTheMiddle(t *testing.T) {
	t.Parallel()
	require.Equal(t, Spread{2.5, 1, 4}, spread([]float64{4, 1, 3, 2}))
}

// held is a client whose third message holds the sender up.
type held struct {
	Outcomes
	sent int
}

func (h *held) Send(m *Message) error {
	if h.sent++; h.sent == 3 {
		<-time.After(300 * time.Millisecond)
	}
	h.Done(m, nil)
	return nil
}

func (*held) Flush() error { return nil }
func (*held) Close() error { return nil }

func TestLoad_ofAFixedRateCountsTheTimeThatTheSenderWasHeldUp(t *testing.T) {
	t.Parallel()
	l := &load{goroutines: 1, messages: 20, topics: []string{"t-1"}, values: JSON.values(10), rate: 100, timed: true}
	all := l.prepared()
	require.NoError(t, l.run(&held{}, all))
	late := 0
	for i := range all {
		if all[i].took > 20*time.Millisecond {
			late++
		}
	}
	require.Greater(t, late, 10, "all that were due meanwhile are late")
}

func TestMeasure_failsIfAMessageIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	l := &load{goroutines: 1, messages: 3, topics: []string{"t-1"}, values: JSON.values(10)}
	_, err := l.measure(lossy{&held{}})
	require.ErrorIs(t, err, ErrFailed)
}

// lossy is a client that forgets one message.
type lossy struct{ *held }

func (l lossy) Send(m *Message) error {
	if l.sent++; l.sent == 2 {
		return nil
	}
	l.Done(m, nil)
	return nil
}
