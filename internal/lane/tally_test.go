package lane

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

func TestCounts_ofATopicThatIsTakenOutAreMovedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{start: time.Now(), ask: func(context.Context, string) error { return ErrUnknown }}
		s := New(Config{Limit: 10, Submit: k.take, Fail: k.fail, Checker: Checker{
			Ask: k.answer, Unknown: errUnknownTopic, Grace: grace,
		}})
		defer s.Stop()
		l := s.Use("t")
		s.Submit(l, &record.Record{})
		l.Leave()
		known, others := s.Counts()
		require.Empty(t, known)
		require.Equal(t, Counts{Accepted: 1}, others)
		time.Sleep(2 * grace) //nolint:forbidigo // virtual time
		synctest.Wait()
		require.Nil(t, s.Find("t"))
		_, others = s.Counts()
		require.Equal(t, Counts{Accepted: 1}, others)
		l.Failed("late") // its callback returns only now
		_, others = s.Counts()
		require.Equal(t, Counts{Accepted: 1, Failed: 1, Failures: map[string]int64{"late": 1}}, others)
	})
}

// Whoever counts and whoever takes the lane out see each other, or a count would
// be lost.
func TestCounts_nothingIsLostWhileTopicsComeAndGo(t *testing.T) {
	t.Parallel()
	const each, topics = 500, 3
	k := &sink{start: time.Now(), ask: func(context.Context, string) error { return ErrUnknown }}
	s := New(Config{Limit: 10, Submit: k.take, Fail: func([]*record.Record, error) {}, Checker: Checker{
		Ask: k.answer, Unknown: errUnknownTopic, Grace: time.Nanosecond,
	}})
	defer s.Stop()
	var senders sync.WaitGroup
	for g := range 4 {
		senders.Go(func() {
			for i := range each {
				l := s.Use(fmt.Sprint(i % topics))
				s.Submit(l, &record.Record{})
				l.Leave()
				if g%2 == 0 {
					l.Delivered(1)
				} else {
					l.Failed("odd")
				}
			}
		})
	}
	senders.Wait()
	known, others := s.Counts()
	require.Empty(t, known)
	require.Equal(t, Counts{
		Accepted: 4 * each, Delivered: 2 * each, Failed: 2 * each, Failures: map[string]int64{"odd": 2 * each},
	}, others)
}
