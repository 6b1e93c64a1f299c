package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

// E2E_SEED runs the program of one seed, E2E_REPEAT times (default 20: what
// goroutines and sockets make of it is another matter each time).
// E2E_LOAD says that it is one of many messages, and of how many.
// E2E_MESSAGES is how many messages the test has to see accepted, E2E_PROGRAMS how
// many small programs it runs at least.
const (
	envSeed     = "E2E_SEED"
	envRepeat   = "E2E_REPEAT"
	envLoad     = "E2E_LOAD"
	envMessages = "E2E_MESSAGES"
	envPrograms = "E2E_PROGRAMS"
)

func fromEnv(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 0, 64)
	require.NoError(t, err, name)
	return n
}

// campaign is a number of programs, and what was seen in all of them.
type campaign struct {
	t      *testing.T
	stages []*stage
	stalls *stalls

	mu       sync.Mutex
	seen     map[string]int
	late     map[string]time.Duration
	index    int // of the last program
	programs int
	accepted int64
	failed   bool
}

func newCampaign(t *testing.T, stages int) *campaign {
	t.Helper()
	c := &campaign{t: t, seen: map[string]int{}, late: map[string]time.Duration{}}
	c.stalls = watchStalls()
	t.Cleanup(c.stalls.end)
	for range stages {
		c.stages = append(c.stages, &stage{cluster: kafkatest.Start(t), stalls: c.stalls})
	}
	return c
}

// run runs programs on all stages at once, until more says that it is enough or
// one of them has failed.
func (c *campaign) run(next func() *program, more func() bool) {
	var stages sync.WaitGroup
	for _, s := range c.stages {
		stages.Go(func() {
			for c.goOn(more) {
				c.add(s.perform(c.t.Context(), next(), nil))
			}
		})
	}
	stages.Wait()
}

func (c *campaign) goOn(more func() bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.failed && more()
}

// seed is the seed of the next program: of those that come, the first with a
// fault that has not been seen yet, or simply the next one.
func (c *campaign) seed(base uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index++
	for ahead := range faultTable() {
		if c.seen["fault: "+faultOf(c.index+ahead)] == 0 {
			c.index += ahead
			break
		}
	}
	return base | uint64(c.index&indexMask)
}

func (c *campaign) add(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.programs++
	c.accepted += r.accepted.Load()
	for state, n := range r.seen {
		c.seen[state] += n
	}
	for call, d := range r.late {
		c.late[call] = max(c.late[call], d)
	}
	if len(r.found) > 0 {
		c.failed = true
		c.t.Errorf("%s", r.report())
	}
}

// perLoad is how many messages a program of many sends.
const perLoad = 30_000

//nolint:paralleltest // it measures, and takes brokers away whose ports another test could get
func TestRandom_programsKeepEveryPromise(t *testing.T) {
	verifyNothingLeft(t)
	if seed := fromEnv(t, envSeed, 0); seed != 0 {
		replay(t, seed, int(fromEnv(t, envLoad, 0)), int(fromEnv(t, envRepeat, 20)))
		return
	}
	messages := int64(fromEnv(t, envMessages, 0))
	base := rand.Uint64() &^ indexMask
	t.Logf("first seed %#x", base)
	began := time.Now()

	c := newCampaign(t, 8)
	// Programs of few messages, for the sake of the states, as long as one is
	// missing.
	enough := int(fromEnv(t, envPrograms, uint64(60+messages/1000)))
	c.run(func() *program { return generate(c.seed(base)) }, func() bool {
		return c.programs < enough || len(c.missing()) > 0 && time.Since(began) < 2*time.Minute
	})
	// And programs of many.
	if messages > 0 {
		c.stages = c.stages[:2]
		c.run(func() *program { return composeLoad(c.seed(base), perLoad) }, func() bool { return c.accepted < messages })
	}
	t.Logf("after %v: %s", time.Since(began).Round(time.Millisecond), c)
	if !c.failed {
		require.Empty(t, c.missing(), "void: never reached")
		require.GreaterOrEqual(t, c.accepted, messages, "void: too few messages")
	}
}

// replay runs one program again and again.
func replay(t *testing.T, seed uint64, load, times int) {
	t.Helper()
	c := newCampaign(t, 1)
	c.run(func() *program {
		if load > 0 {
			return composeLoad(seed, load)
		}
		return generate(seed)
	}, func() bool { return c.programs < times })
	t.Logf("%v%s", generate(seed), c)
}
