package lane

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLane_placesInANearlyFullTransportAreTakenAfterAMillisecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		s := newSet(t, 80, k) // low is 70
		s.Open("t")
		l := of(s, "t")
		records := send(s, l, 200)
		synctest.Wait()
		for n := 80; n < 120; n += 5 { // again and again: the pause has to begin anew
			for range 5 {
				l.Returned(false)
			}
			advance(pause - 1)
			require.Equal(t, n, k.count())
			advance(1)
			require.Equal(t, records[:n+5], k.all())
		}
	})
}

func TestLane_manyPlacesAreTakenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &sink{}
		s := newSet(t, 80, k) // low is 70
		s.Open("t")
		l := of(s, "t")
		records := send(s, l, 200)
		start := time.Now()
		for n := 80; n < 120; n += 10 {
			for range 10 {
				require.Equal(t, n, k.count())
				l.Returned(false)
			}
			synctest.Wait()
			require.Equal(t, records[:n+10], k.all())
		}
		require.Zero(t, time.Since(start))
	})
}
