package e2e

import (
	"hash/fnv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

// The bytes of a fuzzer decide what a program does, so that it can look for
// programs that reach new code. It runs small ones, with short timeouts: see
// TestRandom_programsKeepEveryPromise for the rest.
func FuzzProgram_keepsEveryPromise(f *testing.F) {
	for index := range len(themes()) {
		f.Add([]byte{byte(index)})
		f.Add([]byte{byte(index), 255, 128, 7, 99, 200, 31, 64, 190, 5, 250, 77, 160, 12, 220, 140, 3, 90, 180, 45})
	}
	watch := watchStalls()
	f.Cleanup(watch.end)
	cluster := kafkatest.Start(f)
	runs := 0
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 1000 {
			return
		}
		p := compose(seedOf(data), int(data[0]), fromBytes(data[1:]))
		p.shorten()
		s := &stage{cluster: cluster, stalls: watch, runs: runs}
		r := s.perform(t.Context(), p, nil)
		runs = s.runs
		require.Empty(t, r.found, "%s", r.report())
	})
}

// seedOf is the seed for what the bytes do not decide: single messages.
func seedOf(data []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(data) // never fails
	return h.Sum64()
}

// shorten makes a program one that is over in less than a second.
func (p *program) shorten() {
	c := &p.config
	c.delivery = min(c.delivery, 400*time.Millisecond)
	c.network = min(c.network, 100*time.Millisecond)
	c.maxBlock = min(c.maxBlock, 200*time.Millisecond)
	c.closing = min(c.closing, 200*time.Millisecond)
	c.unknown = min(c.unknown, 60*time.Millisecond)
	p.theme, p.lossless, p.heals = "fuzzed "+p.theme, false, false
	p.senders = p.senders[:min(len(p.senders), 4)]
	for _, steps := range p.senders {
		for i := range steps {
			steps[i].n = min(steps[i].n, 12)
		}
	}
	for _, line := range p.faults {
		for i := range line {
			line[i].hold = min(line[i].hold, 100*time.Millisecond)
		}
	}
}
