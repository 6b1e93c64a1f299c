package registry

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

func add(g *Registry) *record.Record {
	r := &record.Record{}
	g.Add(r, time.Now())
	return r
}

// addAll adds enough records.
func addAll(g *Registry) []*record.Record {
	records := make([]*record.Record, enough)
	for i := range records {
		records[i] = add(g)
	}
	return records
}

func isReached(m *Mark) bool {
	select {
	case <-m.Reached():
		return true
	default:
		return false
	}
}

// enough records that every shard has some, but for a chance of one in 10^40.
const enough = 100 * shards

func TestRegistry_Add_usesEveryShard(t *testing.T) {
	t.Parallel()
	g := New()
	addAll(g)
	for i := range g.shards {
		require.Positive(t, g.shards[i].counts.InFlight)
	}
}

func TestRegistry_Counts_addUpAtEveryMoment(t *testing.T) {
	t.Parallel()
	g := New()
	const senders, each = 4, 2000
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := range each {
				g.Finish(add(g), i%2 == 0)
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	for done := false; !done; {
		select {
		case <-over:
			done = true
		default:
		}
		c := g.Counts()
		require.Equal(t, c.Accepted, c.Delivered+c.Failed+c.InFlight)
		require.LessOrEqual(t, c.InFlight, int64(senders))
	}
	require.Equal(t, Counts{Accepted: senders * each, Delivered: senders * each / 2, Failed: senders * each / 2}, g.Counts())
}

func TestRegistry_Finish_forgetsTheRecord(t *testing.T) {
	t.Parallel()
	g := New()
	records := addAll(g)
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	for _, r := range records {
		g.Finish(r, true)
		require.Equal(t, &record.Record{Accepted: r.Accepted, Shard: r.Shard}, r, "who keeps a message must not keep its neighbours")
	}
	for i := range g.shards {
		require.Zero(t, g.shards[i].records.Len())
	}
}

func TestRegistry_Oldest_isTheFirstThatIsNotDone(t *testing.T) {
	t.Parallel()
	g := New()
	_, ok := g.Oldest()
	require.False(t, ok)
	start := time.Now()
	var records []*record.Record
	for i := range enough {
		r := &record.Record{}
		g.Add(r, start.Add(time.Duration(i)))
		records = append(records, r)
	}
	for i, r := range records {
		at, ok := g.Oldest()
		require.True(t, ok)
		require.Zero(t, at.Sub(start.Add(time.Duration(i))))
		g.Finish(r, true)
	}
	_, ok = g.Oldest()
	require.False(t, ok)
}

func TestRegistry_Undecided_areThoseDueAndOpen(t *testing.T) {
	t.Parallel()
	g := New()
	start := time.Now()
	var want []*record.Record
	for i := range enough {
		r := &record.Record{}
		g.Add(r, start.Add(time.Duration(i)*time.Second))
		switch {
		case i%3 == 0:
			_, _ = r.Refuse() // its callbacks have not returned
		case i <= enough/2:
			want = append(want, r)
		}
	}
	due, next := g.Undecided(start.Add(enough / 2 * time.Second))
	require.ElementsMatch(t, want, due)
	// 401 = 3*133+2 is open; enough/2 is 400.
	require.Zero(t, next.Sub(start.Add((enough/2+1)*time.Second)))
}

func TestRegistry_Undecided_withoutLaterOnesHasNoNext(t *testing.T) {
	t.Parallel()
	g := New()
	add(g)
	due, next := g.Undecided(time.Now())
	require.Len(t, due, 1)
	require.Zero(t, next)
}

func TestMark_ofAnEmptyRegistryIsReached(t *testing.T) {
	t.Parallel()
	g := New()
	require.True(t, isReached(g.Mark()))
	g.Finish(add(g), true)
	require.True(t, isReached(g.Mark()))
}

func TestMark_isReachedWithTheLastOfThoseBefore(t *testing.T) {
	t.Parallel()
	g := New()
	records := addAll(g)
	m := g.Mark()
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	for _, r := range records {
		require.False(t, isReached(m))
		g.Finish(r, false)
	}
	require.True(t, isReached(m))
}

func TestMark_isNotPutOffByLaterRecords(t *testing.T) {
	t.Parallel()
	g := New()
	records := addAll(g)
	m := g.Mark()
	later := addAll(g)
	for i, r := range records {
		g.Finish(r, true)
		g.Finish(later[i], true)
		add(g) // as a chain of callbacks that send again does
	}
	require.True(t, isReached(m))
}

func TestRegistry_Drop_tellsHowManyAreLeft(t *testing.T) {
	t.Parallel()
	g := New()
	records := addAll(g)
	m := g.Mark()
	addAll(g)
	for _, r := range records[:30] {
		g.Finish(r, true)
	}
	require.Equal(t, enough-30, g.Drop(m))
	require.False(t, isReached(m))
}

func TestRegistry_Drop_keepsNothingOfTheMark(t *testing.T) {
	t.Parallel()
	g := New()
	addAll(g)
	for range 1000 { // a Flush every second while a broker is away
		g.Drop(g.Mark())
	}
	for i := range g.shards {
		require.Empty(t, g.shards[i].marks)
	}
}

func TestRegistry_Drop_ofAReachedMarkLeavesNone(t *testing.T) {
	t.Parallel()
	g := New()
	r := add(g)
	m := g.Mark()
	g.Finish(r, true)
	require.Zero(t, g.Drop(m))
}

// A program of random steps, compared with the plainest model there is.
func TestRegistry_marksAgreeWithAModel(t *testing.T) {
	t.Parallel()
	type model struct {
		mark *Mark
		open map[*record.Record]bool
	}
	for range 50 {
		g := New()
		var records []*record.Record
		var marks []model
		for range 400 {
			switch k := rand.IntN(10); {
			case k < 4:
				records = append(records, add(g))
			case k < 8 && len(records) > 0:
				i := rand.IntN(len(records))
				g.Finish(records[i], true)
				for _, m := range marks {
					delete(m.open, records[i])
				}
				records = append(records[:i], records[i+1:]...)
			case k == 8:
				open := map[*record.Record]bool{}
				for _, r := range records {
					open[r] = true
				}
				marks = append(marks, model{g.Mark(), open})
			case len(marks) > 0:
				i := rand.IntN(len(marks))
				require.Equal(t, len(marks[i].open), g.Drop(marks[i].mark))
				marks = append(marks[:i], marks[i+1:]...)
			}
			for _, m := range marks {
				require.Equal(t, len(m.open) == 0, isReached(m.mark))
			}
		}
	}
}

// Drop moves the list that Finish takes marks from.
func TestRegistry_Drop_losesNoOtherMark(t *testing.T) {
	t.Parallel()
	g := New()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				r := add(g)
				keep, drop := g.Mark(), g.Mark()
				g.Drop(drop)
				g.Finish(r, true)
				<-keep.Reached() // those of the others finish without us
			}
		})
	}
	wg.Wait()
	require.Zero(t, g.Counts().InFlight)
	for i := range g.shards {
		require.Empty(t, g.shards[i].marks)
	}
}
