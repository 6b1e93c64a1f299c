package partition

import (
	"errors"
	"runtime"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// plain is a partitioner made of functions.
type plain struct {
	partition func(msg *sarama.ProducerMessage, n int32) (int32, error)
	requires  func() bool
}

func (p *plain) Partition(msg *sarama.ProducerMessage, n int32) (int32, error) {
	return p.partition(msg, n)
}
func (p *plain) RequiresConsistency() bool { return p.requires() }

// dynamic is one that decides by the message.
type dynamic struct {
	plain
	message func(msg *sarama.ProducerMessage) bool
}

func (p *dynamic) MessageRequiresConsistency(msg *sarama.ProducerMessage) bool { return p.message(msg) }

func ok(*sarama.ProducerMessage, int32) (int32, error) { return 1, nil }
func yes() bool                                        { return true }
func no() bool                                         { return false }

func guarded(t *testing.T, p sarama.Partitioner, around Around) sarama.DynamicConsistencyPartitioner {
	t.Helper()
	g, ok := Guard(func(string) sarama.Partitioner { return p }, around)("t").(sarama.DynamicConsistencyPartitioner)
	require.True(t, ok)
	return g
}

func requirePanic(t *testing.T, err error, value any) {
	t.Helper()
	var p *PanicError
	require.ErrorAs(t, err, &p)
	require.Equal(t, value, p.Value)
	require.Contains(t, string(p.Stack), "guard_test.go", "where it panicked")
	require.EqualError(t, err, "partitioner panicked")
}

func TestGuard_passesThroughWhatThePartitionerSays(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	msg, other := keyed("k"), unkeyed(1)
	p := &dynamic{
		plain: plain{requires: no, partition: func(m *sarama.ProducerMessage, n int32) (int32, error) {
			if m == other {
				return 0, mine
			}
			return n - 1, nil
		}},
		message: func(m *sarama.ProducerMessage) bool { return m == msg },
	}
	var topic string
	g, ok := Guard(func(s string) sarama.Partitioner { topic = s; return p }, nil)("orders").(sarama.DynamicConsistencyPartitioner)
	require.True(t, ok)
	require.EqualValues(t, 6, place(t, g, msg, 7))
	require.Equal(t, "orders", topic)
	_, err := g.Partition(other, 7)
	require.Equal(t, mine, err)
	require.True(t, g.MessageRequiresConsistency(msg))
	require.False(t, g.MessageRequiresConsistency(other))
	require.False(t, g.RequiresConsistency())
}

func TestGuard_constructsOnceAndNotBeforeTheFirstMessage(t *testing.T) {
	t.Parallel()
	calls := 0
	g := Guard(func(string) sarama.Partitioner { calls++; return &plain{ok, no} }, nil)("orders")
	require.Zero(t, calls, "the goroutine that serves all topics must not run it")
	for range 3 {
		place(t, g, keyed("k"), 7)
	}
	require.Equal(t, 1, calls)
}

func TestGuard_asksRequiresConsistencyOfOneThatIsNotDynamic(t *testing.T) {
	t.Parallel()
	require.True(t, guarded(t, &plain{ok, yes}, nil).MessageRequiresConsistency(unkeyed(1)))
	require.False(t, guarded(t, &plain{ok, no}, nil).MessageRequiresConsistency(keyed("k")))
}

func TestGuard_aPanicInPartitionIsTheErrorOfThatMessageOnly(t *testing.T) {
	t.Parallel()
	bad := keyed("secret")
	g := guarded(t, &plain{requires: no, partition: func(m *sarama.ProducerMessage, _ int32) (int32, error) {
		if m == bad {
			panic("secret")
		}
		return 0, nil
	}}, nil)
	choice, err := g.Partition(bad, 3)
	requirePanic(t, err, "secret")
	require.EqualValues(t, -1, choice)
	place(t, g, keyed("other"), 3)
}

func TestGuard_aPanicOverConsistencyIsTheErrorOfThatMessageOnly(t *testing.T) {
	t.Parallel()
	bad := keyed("bad")
	for name, p := range map[string]sarama.Partitioner{
		"Dynamic": &dynamic{plain{ok, no}, func(m *sarama.ProducerMessage) bool {
			if m == bad {
				panic("bad")
			}
			return false
		}},
		"Plain": func() sarama.Partitioner {
			first := true
			return &plain{ok, func() bool {
				if first {
					first = false
					panic("bad")
				}
				return false
			}}
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guarded(t, p, nil)
			require.True(t, g.MessageRequiresConsistency(bad), "so that sarama goes on to Partition")
			_, err := g.Partition(bad, 3)
			requirePanic(t, err, "bad")
			good := keyed("good")
			require.False(t, g.MessageRequiresConsistency(good))
			place(t, g, good, 3)
		})
	}
}

// sarama asks for consistency, finds no partitions, and never calls Partition:
// the next message must not get the error of this one.
func TestGuard_aPanicOverConsistencyIsForgottenIfTheMessageIsGivenUp(t *testing.T) {
	t.Parallel()
	bad := keyed("bad")
	g := guarded(t, &dynamic{plain{ok, no}, func(m *sarama.ProducerMessage) bool {
		if m == bad {
			panic("bad")
		}
		return false
	}}, nil)
	g.MessageRequiresConsistency(bad)
	good := keyed("good")
	g.MessageRequiresConsistency(good)
	place(t, g, good, 3)
}

func TestGuard_aPanicInRequiresConsistencyIsAnErrorOfPartition(t *testing.T) {
	t.Parallel()
	g := guarded(t, &plain{ok, func() bool { panic(7) }}, nil)
	require.True(t, g.RequiresConsistency())
	_, err := g.Partition(keyed("k"), 3)
	requirePanic(t, err, 7)
}

func TestGuard_aConstructorThatFailsFailsEveryMessage(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		ctor  sarama.PartitionerConstructor
		check func(t *testing.T, err error)
	}{
		"Panics": {func(string) sarama.Partitioner { panic(broken) }, func(t *testing.T, err error) {
			t.Helper()
			requirePanic(t, err, broken)
			require.ErrorIs(t, err, broken)
		}},
		"ReturnsNil": {func(string) sarama.Partitioner { return nil }, func(t *testing.T, err error) {
			t.Helper()
			require.ErrorIs(t, err, ErrNoPartitioner)
		}},
		"IsNil": {nil, func(t *testing.T, err error) {
			t.Helper()
			var p runtime.Error
			require.ErrorAs(t, err, &p)
		}},
		"ReturnsNilPointer": {func(string) sarama.Partitioner { return (*plain)(nil) }, func(t *testing.T, err error) {
			t.Helper()
			var p *PanicError
			require.ErrorAs(t, err, &p)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, ok := Guard(tc.ctor, nil)("t").(sarama.DynamicConsistencyPartitioner)
			require.True(t, ok)
			for range 3 {
				require.True(t, g.MessageRequiresConsistency(keyed("k")))
				require.True(t, g.RequiresConsistency())
				_, err := g.Partition(keyed("k"), 3)
				tc.check(t, err)
			}
		})
	}
}

// recorder writes down how it is called, and swaps the value as the core does.
type recorder struct{ calls []string }

func (r *recorder) Before(msg *sarama.ProducerMessage) any {
	r.calls = append(r.calls, "before")
	value := msg.Value
	msg.Value = sarama.StringEncoder("plain")
	return value
}

func (r *recorder) After(msg *sarama.ProducerMessage, token any, placed bool) {
	call := "after"
	if placed {
		call = "after, placed"
	}
	r.calls = append(r.calls, call)
	msg.Value, _ = token.(sarama.Encoder)
}

func TestGuard_around_seesEachCallAndItsEnd(t *testing.T) {
	t.Parallel()
	sees := func(m *sarama.ProducerMessage) {
		if m.Value != sarama.StringEncoder("plain") {
			panic("not swapped")
		}
		m.Value = nil // it may do what it likes
	}
	for name, tc := range map[string]struct {
		partition func(n int32) (int32, error)
		want      string
	}{
		"Placed":   {func(n int32) (int32, error) { return n - 1, nil }, "after, placed"},
		"Fails":    {func(int32) (int32, error) { return 0, errors.New("no") }, "after"},
		"TooHigh":  {func(n int32) (int32, error) { return n, nil }, "after"},
		"Negative": {func(int32) (int32, error) { return -1, nil }, "after"},
		"Panics":   {func(int32) (int32, error) { panic("no") }, "after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			g := guarded(t, &dynamic{
				plain{func(m *sarama.ProducerMessage, n int32) (int32, error) { sees(m); return tc.partition(n) }, no},
				func(m *sarama.ProducerMessage) bool { sees(m); return false },
			}, r)
			msg := unkeyed(1)
			value := msg.Value
			require.False(t, g.MessageRequiresConsistency(msg))
			require.Equal(t, value, msg.Value)
			_, _ = g.Partition(msg, 3)
			require.Equal(t, value, msg.Value)
			require.Equal(t, []string{"before", "after", "before", tc.want}, r.calls)
		})
	}
}

func TestGuard_around_isToldWhenConsistencyPanics(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	g := guarded(t, &plain{ok, func() bool { panic("no") }}, r)
	msg := unkeyed(1)
	value := msg.Value
	g.MessageRequiresConsistency(msg)
	require.Equal(t, []string{"before", "after"}, r.calls)
	require.Equal(t, value, msg.Value)
}

// Goexit cannot be stopped, but the message is put right again.
func TestGuard_around_isToldWhenTheGoroutineEnds(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	g := guarded(t, &plain{func(*sarama.ProducerMessage, int32) (int32, error) { runtime.Goexit(); return 0, nil }, no}, r)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = g.Partition(unkeyed(1), 3)
	}()
	<-done
	require.Equal(t, []string{"before", "after"}, r.calls)
}

func TestGuard_keepsThePlacementOfTheDefault(t *testing.T) {
	t.Parallel()
	g, theirs := Guard(New, nil)("t"), sarama.NewHashPartitioner("t")
	for _, key := range []string{"", "a", "b", "order-1", "order-2"} {
		require.Equal(t, place(t, theirs, keyed(key), 12), place(t, g, keyed(key), 12))
	}
}
