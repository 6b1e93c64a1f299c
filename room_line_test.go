package producer

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// inLine is a Send that waits for room.
type inLine struct {
	call
	tag    string
	size   int64
	cancel context.CancelFunc
	gone   bool
}

// The buffer of serveLine.
const lineMessages, lineBytes = 4, 4000

// Messages of all sizes wait, some give up at any place of the line. Who is left
// is served in the order of arrival, and nobody waits who fits and has nobody
// before him: twmb/franz-go lost such a wake-up when a large one gave up.
func TestSend_aLineOfAllSizesInWhichSomeGiveUpIsServedInOrderAndNeverForgotten(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		for seed := range uint64(10) {
			serveLine(t, open, seeded(seed))
		}
	})
}

func serveLine(t *testing.T, open opener, rnd *rand.Rand) {
	t.Helper()
	const callers = 40
	p, f := open(known, WithMaxBuffered(lineMessages), WithMaxBufferedBytes(lineBytes))
	var line []*inLine
	var want []string
	for i := range callers {
		ctx, cancel := context.WithCancel(t.Context())
		msg := text("t", strings.Repeat("x", rnd.IntN(lineBytes-MessageOverhead)))
		msg.Metadata = numbered(callers)[i]
		w := &inLine{tag: numbered(callers)[i], size: int64(MessageOverhead + msg.Value.Length()), cancel: cancel}
		w.call = begin(t, func() error { return p.Send(ctx, msg) })
		line = append(line, w)
	}
	for len(f.holding()) > 0 {
		arrived := map[string]bool{}
		for _, tag := range tagsOf(f.submitted()) {
			arrived[tag] = true
		}
		requireFairLine(t, p, line, arrived)
		if w := line[rnd.IntN(len(line))]; rnd.IntN(2) == 0 && !w.gone && !arrived[w.tag] {
			w.gone = true
			w.cancel()
			require.ErrorIs(t, w.result(), ErrBufferFull)
			continue
		}
		f.deliver(f.holding()[rnd.IntN(len(f.holding()))])
		synctest.Wait()
	}
	for _, w := range line {
		if !w.gone {
			want = append(want, w.tag)
			require.NoError(t, w.result())
		}
		w.cancel()
	}
	// Those who were let in at the same time may overtake each other.
	require.ElementsMatch(t, want, tagsOf(f.submitted()))
	s := p.Stats()
	require.Zero(t, s.InFlight+s.Buffered+s.BufferedBytes+s.Waiting, "%+v", s)
}

// requireFairLine checks that the first who waits does not fit, and that nobody
// behind him was let in.
func requireFairLine(t *testing.T, p subject, line []*inLine, arrived map[string]bool) {
	t.Helper()
	head := ""
	for _, w := range line {
		switch {
		case w.gone:
		case arrived[w.tag]:
			require.Empty(t, head, "%s has overtaken", w.tag)
		case head == "":
			head = w.tag
			s := p.Stats()
			full := s.Buffered == lineMessages || s.BufferedBytes+w.size > lineBytes
			require.True(t, full, "%s was forgotten: %+v", w.tag, s)
		}
	}
}

// The same for the parts of topics: they wait side by side, each in its order.
func TestSend_theLinesOfTopicsAreServedSideBySide(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		const each = 12
		topics := []string{"a", "b", "c"}
		p, f := open(WithTopics(topics...), WithMaxBuffered(4), WithMaxBufferedPerTopic(2))
		for _, tag := range numbered(each) {
			for _, topic := range topics {
				_ = beginSend(t, p, tagged(topic, tag))
			}
		}
		require.Len(t, f.holding(), 4)
		for len(f.holding()) > 0 {
			f.deliver(f.holding()[len(f.holding())-1]) // the latest, so that topics take turns at random
			synctest.Wait()
			require.LessOrEqual(t, p.Stats().Buffered, int64(4))
		}
		got := map[string][]string{}
		for _, r := range f.submitted() {
			got[r.Msg.Topic] = append(got[r.Msg.Topic], r.Msg.Metadata.(string)) //nolint:errcheck,forcetypeassert // tagged
		}
		for _, topic := range topics {
			require.Equal(t, numbered(each), got[topic], topic)
		}
		require.Zero(t, p.Stats().Waiting)
	})
}

// The room of the topic can be granted in the instant in which the time is up.
// Then there is no time left to wait for the whole buffer, and for ever is wrong.
func TestSend_topicRoomAtTheLastMomentLeavesNoTimeForTheWholeBuffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const part, block = 32, 500 * time.Microsecond // less than the budget keeps room back for
		p, f := openAsync(t, WithTopics("a", "b", "c"),
			WithMaxBuffered(2*part), WithMaxBufferedPerTopic(part), WithMaxBlock(block))
		for _, topic := range []string{"a", "b"} {
			for range part {
				require.NoError(t, p.Send(t.Context(), text(topic, "v")))
			}
		}
		late := beginSend(t, p, text("a", "late"))
		late.requireWaits()
		f.deliver(f.holding()[0])
		require.NoError(t, p.Send(t.Context(), text("c", "v")), "the whole is full again")
		advance(block)
		require.ErrorIs(t, late.result(), ErrBufferFull)
	})
}
