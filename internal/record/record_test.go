package record

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// accepted returns a record as Send makes it.
func accepted(t *testing.T, msg *sarama.ProducerMessage) *Record {
	t.Helper()
	c, err := New(t.Context(), msg, &Home{})
	require.NoError(t, err)
	return c.Record
}

func simple(t *testing.T) *Record {
	t.Helper()
	return accepted(t, &sarama.ProducerMessage{Topic: "t", Value: sarama.StringEncoder("v")})
}

// encode asks as sarama does when it puts the record into a batch.
func (r *Record) encodeIn(partition int32) error {
	r.Msg.Partition = partition
	_, err := r.Msg.Value.Encode()
	return err
}

// race lets functions run through the same records at the same time, and calls
// check for each record when all are done. In step with each other they meet
// every interleaving of a state machine whose steps take nanoseconds.
func race(t *testing.T, check func(i int, r *Record), fs ...func(i int, r *Record)) {
	t.Helper()
	records := make([]*Record, rounds)
	for i := range records {
		records[i] = simple(t)
	}
	var wg sync.WaitGroup
	var arrived [rounds]atomic.Int32
	for _, f := range fs {
		wg.Go(func() {
			for i, r := range records {
				// A short wait for the others, but none for one that has no
				// processor now.
				arrived[i].Add(1)
				for spin := 0; spin < 1000 && int(arrived[i].Load()) < len(fs); spin++ {
					continue
				}
				f(i, r)
			}
		})
	}
	wg.Wait()
	for i, r := range records {
		check(i, r)
	}
}

const rounds = 3000

func TestRecord_isCompletedByExactlyOneOfThoseWhoTry(t *testing.T) {
	t.Parallel()
	var completers [rounds]atomic.Int32
	race(t,
		func(i int, r *Record) {
			require.EqualValues(t, 1, completers[i].Load())
			require.True(t, r.Completed())
		},
		func(i int, r *Record) {
			if _, ok := r.Refuse(); ok {
				completers[i].Add(1)
			}
		},
		func(i int, r *Record) {
			if r.RefuseUnbatched() {
				completers[i].Add(1)
			}
		},
		func(i int, r *Record) {
			if _, completed, _ := r.Settle(); !completed {
				completers[i].Add(1)
			}
		})
}

func TestRecord_anAttemptIsSeenByTheRefusalOrRefused(t *testing.T) {
	t.Parallel()
	var attempts [rounds]int
	var errs [rounds]error
	race(t,
		func(i int, r *Record) {
			require.Equal(t, attempts[i], r.Attempts())
			if attempts[i] == 0 {
				require.ErrorIs(t, errs[i], ErrRefused, "it was said that the bytes never leave")
			} else {
				require.NoError(t, errs[i])
			}
		},
		func(i int, r *Record) { attempts[i], _ = r.Refuse() },
		func(i int, r *Record) { errs[i] = r.encodeIn(0) })
}

func TestRecord_isWithdrawnOrPutIntoABatch(t *testing.T) {
	t.Parallel()
	var withdrawn [rounds]bool
	var errs [rounds]error
	race(t,
		func(i int, r *Record) {
			require.Equal(t, withdrawn[i], errs[i] != nil)
			require.Equal(t, withdrawn[i], r.Completed(), "one that is on its way stays open")
		},
		func(i int, r *Record) { withdrawn[i] = r.RefuseUnbatched() },
		func(i int, r *Record) { errs[i] = r.encodeIn(0) })
}

func TestRecord_theRoomIsFreedByExactlyOneOfTransportAndCallbacks(t *testing.T) {
	t.Parallel()
	for name, letGo := range map[string]func(r *Record) bool{
		"Returned": func(r *Record) bool { _, _, finished := r.Settle(); return finished },
		"Unhanded": (*Record).Unhanded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var freed [rounds]atomic.Int32
			race(t,
				func(i int, _ *Record) { require.EqualValues(t, 1, freed[i].Load()) },
				func(i int, r *Record) {
					if returned, _ := r.Finish(); returned {
						freed[i].Add(1)
					}
				},
				func(i int, r *Record) {
					if letGo(r) {
						freed[i].Add(1)
					}
				})
		})
	}
}

func TestRecord_whoSeesAnAttemptSeesItsPartition(t *testing.T) {
	t.Parallel()
	var attempts [rounds]int
	var partitions [rounds]int32
	race(t,
		func(i int, _ *Record) {
			if attempts[i] > 0 {
				require.EqualValues(t, 7, partitions[i])
			}
		},
		func(_ int, r *Record) { _ = r.encodeIn(7) },
		func(i int, r *Record) { attempts[i], partitions[i] = r.Attempts(), r.Partition() })
}

func TestRecord_Refuse_tellsHowOftenItWasBatched(t *testing.T) {
	t.Parallel()
	r := simple(t)
	require.NoError(t, r.encodeIn(0))
	require.NoError(t, r.encodeIn(0))
	attempts, ok := r.Refuse()
	require.True(t, ok)
	require.Equal(t, 2, attempts)
}

func TestRecord_aRefusedEncoderRefusesForEver(t *testing.T) {
	t.Parallel()
	r := simple(t)
	require.True(t, r.RefuseUnbatched())
	require.ErrorIs(t, r.encodeIn(0), ErrRefused)
	require.ErrorIs(t, r.encodeIn(0), ErrRefused)
	require.Zero(t, r.Attempts(), "what was refused is no attempt")
	require.EqualValues(t, -1, r.Partition(), "nor does it have a place")
}

func TestRecord_aSettledRecordIsNotGivenUp(t *testing.T) {
	t.Parallel()
	r := simple(t)
	_, completed, _ := r.Settle()
	require.False(t, completed)
	_, ok := r.Refuse()
	require.False(t, ok)
	require.False(t, r.RefuseUnbatched())
}

func TestRecord_Settle_tellsTheFirstReturnFromASecond(t *testing.T) {
	t.Parallel()
	r := simple(t)
	first, completed, finished := r.Settle()
	require.Equal(t, []bool{true, false, false}, []bool{first, completed, finished})
	first, _, _ = r.Settle()
	require.False(t, first)
}

func TestRecord_Settle_tellsWhatWasDecidedBefore(t *testing.T) {
	t.Parallel()
	r := simple(t)
	_, _ = r.Refuse()
	returned, answered := r.Finish()
	require.False(t, returned, "the transport still has it")
	require.False(t, answered)
	first, completed, finished := r.Settle()
	require.Equal(t, []bool{true, true, true}, []bool{first, completed, finished})
}

func TestRecord_Abandon_decidesNothing(t *testing.T) {
	t.Parallel()
	r := simple(t)
	require.False(t, r.Abandoned())
	r.Abandon()
	require.True(t, r.Abandoned())
	require.False(t, r.Completed())
}

func TestRecord_FirstAttempt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		history func(r *Record)
		want    bool
	}{
		"NeverBatched": {func(*Record) {}, false},
		"BatchedOnce":  {func(r *Record) { _ = r.encodeIn(0) }, true},
		"BatchedTwice": {func(r *Record) { _ = r.encodeIn(0); _ = r.encodeIn(0) }, false},
		// An idempotent producer sends the same batch again without asking the
		// Encoder.
		"BatchSentAgain": {func(r *Record) { _ = r.encodeIn(0); r.Home.Retries.Add(1) }, false},
		"RetriesBefore":  {func(r *Record) { r.Home.Retries.Add(5); _ = r.encodeIn(0) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := simple(t)
			tc.history(r)
			require.Equal(t, tc.want, r.FirstAttempt())
		})
	}
}

func TestRecord_Partition_isWhereItWasBatchedLast(t *testing.T) {
	t.Parallel()
	r := simple(t)
	require.EqualValues(t, -1, r.Partition(), "never a plausible 0")
	require.NoError(t, r.encodeIn(4))
	require.NoError(t, r.encodeIn(2))
	require.EqualValues(t, 2, r.Partition())
}

func TestRecord_ReportOwn_givesTheBytesWhateverTheState(t *testing.T) {
	t.Parallel()
	r := accepted(t, &sarama.ProducerMessage{
		Topic: "t", Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"), Metadata: 42,
	})
	_, _ = r.Refuse()
	r.ReportOwn(5, 17)
	require.Equal(t, "k", bytesOf(t, r.Report().Key))
	require.Equal(t, "v", bytesOf(t, r.Report().Value))
	require.EqualValues(t, 5, r.Report().Partition)
	require.EqualValues(t, 17, r.Report().Offset)
	require.Equal(t, 42, r.Report().Metadata)
	require.Zero(t, r.Attempts(), "reading a reported value is no attempt")
}

func TestRecord_ReportCopy_sharesNothingThatSaramaWritesTo(t *testing.T) {
	t.Parallel()
	r := accepted(t, &sarama.ProducerMessage{
		Topic: "t", Value: sarama.StringEncoder("v"),
		Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("x")}},
	})
	sent := r.Msg.Timestamp
	_ = r.encodeIn(6)
	// What sarama does to a message that it still holds, before and after.
	changed := func() { r.Msg.Partition, r.Msg.Offset, r.Msg.Timestamp = 9, 99, sent.Add(1) }
	changed()
	r.ReportCopy()
	changed()
	r.Msg.Headers[0].Key = []byte("changed")

	require.NotSame(t, &r.Msg, r.Report())
	require.EqualValues(t, 6, r.Report().Partition)
	require.EqualValues(t, -1, r.Report().Offset)
	require.Equal(t, sent, r.Report().Timestamp)
	require.Equal(t, "h", string(r.Report().Headers[0].Key))
	require.Equal(t, "v", bytesOf(t, r.Report().Value))
}

// Whoever prints, encodes or compares a message gets its bytes, and does not walk
// through the record, which others write to.
func TestRecord_aReportedMessageHoldsNothingOfTheRecord(t *testing.T) {
	t.Parallel()
	r := accepted(t, &sarama.ProducerMessage{Topic: "t", Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v")})
	_, _ = r.Refuse()
	r.ReportCopy()
	var both sync.WaitGroup
	both.Go(func() {
		for i := range 1000 { // as sarama does, which still has it
			r.Msg.Partition = int32(i)
			r.Settle()
		}
	})
	for range 100 {
		encoded, err := json.Marshal(r.Report())
		require.NoError(t, err)
		require.Contains(t, string(encoded), `"Key":"aw=="`)
		require.Equal(t, "&[107]", fmt.Sprintf("%v", r.Report().Key))
	}
	both.Wait()
}

func TestRecord_aReportedMessageWithoutKeyHasNone(t *testing.T) {
	t.Parallel()
	r := accepted(t, &sarama.ProducerMessage{Topic: "t"})
	r.ReportOwn(0, 0)
	// An interface that holds a nil pointer would not be nil.
	require.True(t, r.Report().Key == nil, "key")     //nolint:testifylint // Nil would accept a nil pointer
	require.True(t, r.Report().Value == nil, "value") //nolint:testifylint // as above
}

func TestWaiter_canBeSignalledBeforeAnybodyWaits(t *testing.T) {
	t.Parallel()
	w := NewWaiter()
	select {
	case w.Done <- struct{}{}:
	default:
		require.Fail(t, "the signal would block whoever decides")
	}
}

func bytesOf(t *testing.T, e sarama.Encoder) string {
	t.Helper()
	b, err := e.Encode()
	require.NoError(t, err)
	require.Equal(t, e.Length(), len(b)) //nolint:testifylint // Len would print the bytes
	return string(b)
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	home := &Home{}
	msg := &sarama.ProducerMessage{Topic: "orders", Value: sarama.ByteEncoder(make([]byte, 100))}
	for b.Loop() {
		if _, err := New(b.Context(), msg, home); err != nil {
			b.Fatal(err)
		}
	}
}
