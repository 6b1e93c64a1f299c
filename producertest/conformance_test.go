package producertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
)

func TestConformance_ofAProducerThatKeepsTheContract(t *testing.T) {
	t.Parallel()
	for _, isSync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", isSync), func(t *testing.T) {
			t.Parallel()
			Conformance(t, Harness{Open: open(isSync, none), Sync: isSync})
		})
	}
}

func TestConformance_eachCheckPassesInVirtualTimeToo(t *testing.T) {
	t.Parallel()
	for _, h := range []Harness{{Open: open(false, none)}, {Open: open(true, none), Sync: true}} {
		for _, c := range checks() {
			if c.suits != nil && !c.suits(h) {
				continue
			}
			t.Run(fmt.Sprintf("%s/sync=%v", c.name, h.Sync), func(t *testing.T) {
				t.Parallel()
				require.Empty(t, virtually(t, c, h).errors)
			})
		}
	}
}

func TestConformance_eachCheckFindsItsFlaws(t *testing.T) {
	t.Parallel()
	flawed := flaws()
	for _, c := range checks() {
		for _, f := range flawed[c.name] {
			t.Run(c.name+"/"+string(f), func(t *testing.T) {
				t.Parallel()
				h := Harness{Open: open(false, f)}
				if c.suits != nil && !c.suits(h) || strings.HasPrefix(string(f), "send all") {
					h = Harness{Open: open(true, f), Sync: true}
				}
				r := virtually(t, c, h)
				require.NotEmpty(t, r.errors, "the flaw was not found")
				t.Log(r.errors[0])
			})
		}
	}
}

func TestConformance_eachCheckHasAFlawThatItFinds(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	require.ElementsMatch(t, names, slices.Collect(maps.Keys(flaws())))
}

// plain is a decorator that shows nothing but the interface.
type plain struct{ producer.Producer }

func TestConformance_leavesOutWhatASubjectDoesNotHave(t *testing.T) {
	t.Parallel()
	skipped := func(c check, h Harness) bool {
		r := virtually(t, c, h)
		require.Empty(t, r.errors)
		return r.skipped
	}
	bare := func(tb testing.TB, s Settings) Subject {
		tb.Helper()
		whole := open(false, none)(tb, s)
		return Subject{Producer: plain{whole.Producer}, Topic: whole.Topic}
	}
	var names []string
	for _, c := range checks() {
		if h := (Harness{Open: bare}); (c.suits == nil || c.suits(h)) && skipped(c, h) {
			names = append(names, c.name)
		}
	}
	require.ElementsMatch(t, []string{
		"TrySend does not wait for room",
		"Stats are balanced at every moment",
		"TrySend refuses what Send refuses",
		"SendFunc tells its function first, and once",
		"SendAll returns what became of each message",
		"Send, Flush and Close end in time while the cluster is broken",
		"Send, Flush and Close end in time when the cluster breaks",
		"a message that finds no outcome fails after the delivery timeout",
		"messages of a broken cluster are delivered when it heals",
		"Close of a broken cluster leaves no goroutine behind",
	}, names)
}

func TestHarness_Skip_leavesAFlawAloneThatIsNamed(t *testing.T) {
	t.Parallel()
	const name = "Send refuses a message that is too large"
	i := slices.IndexFunc(checks(), func(c check) bool { return c.name == name })
	for _, given := range []string{name, "Send_refuses_a_message_that_is_too_large"} {
		h := Harness{Open: open(false, hasNoSizeLimit), Skip: map[string]string{given: "it has no limit"}}
		require.Empty(t, h.problem(checks()))
		r := virtually(t, checks()[i], h)
		require.True(t, r.skipped)
		require.Empty(t, r.errors)
	}
}

func TestHarness_thatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	require.Contains(t, Harness{}.problem(checks()), "Open is nil")
	misspelt := Harness{Open: open(false, none), Skip: map[string]string{"Send is fast": "it is not"}}
	require.Contains(t, misspelt.problem(checks()), "Send is fast")
	nothing := Harness{Open: func(testing.TB, Settings) Subject { return Subject{} }}
	require.NotEmpty(t, virtually(t, checks()[0], nothing).errors)
}

func TestSettings_Options_sayTheSameAsTheSettings(t *testing.T) {
	t.Parallel()
	s := Settings{MaxBuffered: -1, MaxBlock: -1, MaxMessageBytes: -1, DeliveryTimeout: -1, CloseTimeout: -1}
	// The options refuse these, so that their names show which were used. Nil
	// functions are refused too.
	_, err := producer.NewAsync(context.Background(), []string{"localhost:9092"}, s.Options())
	require.ErrorIs(t, err, producer.ErrInvalidConfig)
	for _, name := range []string{
		"WithMaxBuffered", "WithMaxBlock", "WithMaxMessageBytes", "WithDeliveryTimeout", "WithCloseTimeout",
		"WithOnSuccess", "WithOnError",
	} {
		require.ErrorContains(t, err, name)
	}
}

// virtually runs a check in virtual time.
func virtually(t *testing.T, c check, h Harness) (r *recorder) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r = record(t, c, h)
		pause(2 * time.Minute) // the bubble must be empty in the end: what a flaw leaves behind ends by then
	})
	return r
}
