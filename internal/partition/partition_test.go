package partition

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

func keyed(key string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: "t", Key: sarama.StringEncoder(key), Value: sarama.StringEncoder("v")}
}

func unkeyed(size int) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: "t", Value: sarama.StringEncoder(strings.Repeat("v", size))}
}

func place(t *testing.T, p sarama.Partitioner, msg *sarama.ProducerMessage, n int32) int32 {
	t.Helper()
	choice, err := p.Partition(msg, n)
	require.NoError(t, err)
	require.GreaterOrEqual(t, choice, int32(0))
	require.Less(t, choice, n)
	return choice
}

func TestKeyed_placesKeysExactlyAsSarama(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ ours, theirs sarama.PartitionerConstructor }{
		"New":  {New, sarama.NewHashPartitioner},
		"Java": {Java, sarama.NewMurmur2Partitioner},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := tc.ours("t"), tc.theirs("t")
			for _, n := range []int32{1, 2, 3, 7, 12, 100, 1024, math.MaxInt32} {
				for i := range 5000 {
					msg := keyed(fmt.Sprintf("key-%d", i*7919))
					require.Equal(t, place(t, theirs, msg, n), place(t, ours, msg, n))
				}
				empty := &sarama.ProducerMessage{Key: sarama.ByteEncoder{}}
				require.Equal(t, place(t, theirs, empty, n), place(t, ours, empty, n), "an empty key is a key")
			}
		})
	}
}

func TestKeyed_onlyKeysRequireConsistency(t *testing.T) {
	t.Parallel()
	for _, ctor := range []sarama.PartitionerConstructor{New, Java} {
		p, ok := ctor("t").(sarama.DynamicConsistencyPartitioner)
		require.True(t, ok)
		require.True(t, p.RequiresConsistency())
		require.True(t, p.MessageRequiresConsistency(keyed("k")))
		require.True(t, p.MessageRequiresConsistency(&sarama.ProducerMessage{Key: sarama.ByteEncoder(nil)}))
		require.False(t, p.MessageRequiresConsistency(unkeyed(1)))
	}
}

func TestKeyed_withoutAKeyAreSticky(t *testing.T) {
	t.Parallel()
	for _, ctor := range []sarama.PartitionerConstructor{New, Java} {
		synctest.Test(t, func(t *testing.T) {
			p := ctor("t")
			first := place(t, p, unkeyed(1), 1000)
			for i := range 100 {
				place(t, p, keyed(fmt.Sprint(i)), 1000)
				require.Equal(t, first, place(t, p, unkeyed(1), 1000), "keys in between change nothing")
			}
		})
	}
}

func TestKeyed_anEncoderThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	for _, ctor := range []sarama.PartitionerConstructor{New, Java} {
		_, err := ctor("t").Partition(&sarama.ProducerMessage{Key: failing{}}, 3)
		require.ErrorIs(t, err, errEncode)
	}
}

var errEncode = errors.New("cannot be encoded")

type failing struct{}

func (failing) Encode() ([]byte, error) { return nil, errEncode }
func (failing) Length() int             { return 0 }

// The vectors of the Java client: UtilsTest.testMurmur2 of Apache Kafka.
func TestJava_hashesAsTheJavaClient(t *testing.T) {
	t.Parallel()
	p := Java("t")
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, n := range []int32{math.MaxInt32, 100, 12, 7, 3} {
			// BuiltInPartitioner.partitionForKey: toPositive(murmur2(key)) % n
			require.Equal(t, (hash&0x7fffffff)%n, place(t, p, keyed(key), n), "%q over %d", key, n)
		}
	}
}

func TestSticky_staysUntilTheBatchIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewSticky("t")
		require.False(t, p.RequiresConsistency())
		msg := unkeyed(1000)
		msg.Key = sarama.StringEncoder(strings.Repeat("k", 24)) // 1 KiB: keys count too
		here := place(t, p, msg, 50)
		for range 20 {
			for range 15 {
				require.Equal(t, here, place(t, p, msg, 50))
			}
			next := place(t, p, msg, 50)
			require.NotEqual(t, here, next, "16 KiB are full")
			here = next
		}
	})
}

func TestSticky_movesWhenItHasStayedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewSticky("t")
		here := place(t, p, unkeyed(1), 50)
		for range 20 {
			<-time.After(stickyTime - 1)
			require.Equal(t, here, place(t, p, unkeyed(1), 50), "counted from the move, not from the last message")
			<-time.After(1)
			next := place(t, p, unkeyed(1), 50)
			require.NotEqual(t, here, next)
			here = next
		}
	})
}

func TestSticky_staysInRangeHoweverTheNumberOfPartitionsChanges(t *testing.T) {
	t.Parallel()
	p := NewSticky("t")
	for range 1000 {
		for _, n := range []int32{1000, 10, 3, 2, 1, 1, 2, 500} {
			place(t, p, unkeyed(3000), n)
		}
	}
	_, err := p.Partition(unkeyed(1), 0)
	require.ErrorIs(t, err, sarama.ErrInvalidPartition)
}

func TestSticky_spreadsOverAllPartitions(t *testing.T) {
	t.Parallel()
	const n, batches = 8, 8000
	p := NewSticky("t")
	counts := make([]int, n)
	for range batches {
		counts[place(t, p, unkeyed(stickyBytes), n)]++
	}
	for i, c := range counts {
		require.InDelta(t, batches/n, c, batches/n/4, "partition %d", i)
	}
}

func TestSticky_startsAnywhere(t *testing.T) {
	t.Parallel()
	seen := make(map[int32]bool)
	for range 500 {
		seen[place(t, NewSticky("t"), unkeyed(1), 4)] = true
	}
	require.Len(t, seen, 4, "many short-lived producers must not all choose the same")
}

func BenchmarkSticky(b *testing.B) {
	b.ReportAllocs()
	p, msg := NewSticky("t"), unkeyed(100)
	for b.Loop() {
		_, _ = p.Partition(msg, 12)
	}
}

func BenchmarkGuard(b *testing.B) {
	b.ReportAllocs()
	p, msg := Guard(New, nil)("t"), unkeyed(100)
	for b.Loop() {
		_, _ = p.Partition(msg, 12)
	}
}
