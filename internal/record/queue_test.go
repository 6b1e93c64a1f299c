package record

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"
)

// several blocks.
const several = 500

func filled(n int) (*Queue, []*Record) {
	q := &Queue{}
	records := make([]*Record, n)
	for i := range records {
		records[i] = &Record{}
		q.Push(records[i])
	}
	return q, records
}

func held(q *Queue) (records []*Record) {
	for _, r := range q.All() {
		records = append(records, r)
	}
	return records
}

func TestQueue_Pop_takesTheOldest(t *testing.T) {
	t.Parallel()
	q, records := filled(several)
	for i, want := range records {
		first, number := q.First()
		require.Same(t, want, first)
		require.EqualValues(t, i, number)
		require.Same(t, want, q.Pop())
	}
	require.Nil(t, q.Pop())
	require.Zero(t, q.Len())
}

func TestQueue_ofAnyLengthAgreesWithASlice(t *testing.T) {
	t.Parallel()
	for range 200 {
		q, want := filled(0)
		var numbers []uint64
		grow := rand.IntN(8) + 1 // of 10 steps: queues that empty again and again, and long ones
		for range 2000 {
			i := 0
			if len(want) > 0 {
				i = rand.IntN(len(want))
			}
			switch k := rand.IntN(10); {
			case k < grow:
				r := &Record{}
				want, numbers = append(want, r), append(numbers, q.Pushed())
				q.Push(r)
				continue
			case len(want) == 0:
				require.Nil(t, q.Pop())
				continue
			case k == 9:
				i = 0
				require.Same(t, want[0], q.Pop())
			default:
				require.True(t, q.Remove(want[i]))
			}
			require.False(t, q.Remove(want[i]), "once")
			want, numbers = slices.Delete(want, i, i+1), slices.Delete(numbers, i, i+1)

			require.Equal(t, len(want), q.Len())
			first, number := q.First()
			if len(want) == 0 {
				require.Nil(t, first)
				require.Equal(t, q.Pushed(), number)
				continue
			}
			require.Same(t, want[0], first)
			require.Equal(t, numbers[0], number)
		}
		i := 0
		for number, r := range q.All() {
			require.Same(t, want[i], r)
			require.Equal(t, numbers[i], number)
			i++
		}
		require.Len(t, want, i)
	}
}

func TestQueue_aRecordIsInOneOfEachKind(t *testing.T) {
	t.Parallel()
	a, b := &Queue{Kind: OfRegistry}, &Queue{Kind: OfLane}
	r := &Record{}
	a.Push(r)
	b.Push(r)
	require.True(t, b.Remove(r))
	require.Equal(t, []*Record{r}, held(a))
	require.True(t, a.Remove(r))
}

func TestQueue_ofConstantLengthAllocatesNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts every goroutine's
	q, _ := filled(several)
	r := &Record{}
	require.Zero(t, testing.AllocsPerRun(10*several, func() {
		q.Pop()
		q.Push(r)
		r.Forget()
	}))
}

func TestQueue_keepsNoRecordThatHasLeft(t *testing.T) {
	t.Parallel()
	q, records := filled(several)
	kept := records[several/2]
	gone := make([]weak.Pointer[Record], 0, several)
	for _, r := range records {
		if r != kept {
			gone = append(gone, weak.Make(r))
			require.True(t, q.Remove(r))
			r.Forget()
		}
	}
	records = nil
	runtime.GC()
	for _, r := range gone {
		require.Nil(t, r.Value())
	}
	require.Equal(t, []*Record{kept}, held(q))
	runtime.KeepAlive(records)
}
