package producer

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

func TestSend_copiesMessageAndBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reports
		p, f := openAsync(t, told.options())
		key, value := []byte("key"), []byte("value")
		headerKey, headerValue := []byte("header"), []byte("content")
		msg := &sarama.ProducerMessage{
			Topic: "t", Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(value), Metadata: "mine",
			Headers: []sarama.RecordHeader{{Key: headerKey, Value: headerValue}},
		}
		require.NoError(t, p.Send(t.Context(), msg))

		// Everything that was the caller's changes while the message waits.
		for _, b := range [][]byte{key, value, headerKey, headerValue} {
			copy(b, "XXXXXXXX")
		}
		msg.Headers[0] = sarama.RecordHeader{Key: []byte("other")}
		*msg = sarama.ProducerMessage{Topic: "elsewhere", Value: sarama.StringEncoder("other"), Metadata: "other"}

		r := f.first(t)
		sent, err := r.Msg.Value.Encode()
		require.NoError(t, err)
		require.Equal(t, "value", string(sent))
		f.deliver(r)

		got := told.all()[0].msg
		require.Equal(t, "t", got.Topic)
		require.Equal(t, sarama.ByteEncoder("key"), *got.Key.(*sarama.ByteEncoder)) //nolint:errcheck // the test would fail
		require.Equal(t, "value", valueOf(t, got))
		require.Equal(t, []sarama.RecordHeader{{Key: []byte("header"), Value: []byte("content")}}, got.Headers)
		require.Equal(t, "mine", got.Metadata)
	})
}

func TestSend_doesNotWriteToTheCallersMessage(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		for _, outcome := range []error{nil, sarama.ErrNotLeaderForPartition} {
			if _, sync := p.(*Sync); sync && outcome == nil {
				continue // it tells the place
			}
			msg := &sarama.ProducerMessage{
				Topic: "t", Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"),
				Headers:  []sarama.RecordHeader{{Key: []byte("h"), Value: nil}},
				Metadata: "mine", Partition: 7, Offset: 11,
			}
			before, headers := *msg, slices.Clone(msg.Headers)
			send := beginSend(t, p, msg)
			if r := f.first(t); outcome == nil {
				f.deliver(r)
			} else {
				require.True(t, f.batch(r))
				f.fail(r, outcome)
			}
			_ = send.result()
			require.Equal(t, before, *msg)
			require.Equal(t, headers, msg.Headers)
		}
	})
}

// A nil value deletes a key in a compacted topic, an empty one does not.
func TestSend_keepsNilAndEmptyApart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		value sarama.Encoder
		null  bool
	}{
		{"nil", nil, true},
		{"nilBytes", sarama.ByteEncoder(nil), true},
		{"encodesToNil", encoder(func() ([]byte, error) { return nil, nil }), true},
		{"nilPointerThatEncodes", (*lenient)(nil), true},
		{"emptyBytes", sarama.ByteEncoder{}, false},
		{"emptyString", sarama.StringEncoder(""), false},
		{"encodesToEmpty", encoder(func() ([]byte, error) { return []byte{}, nil }), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				var told reports
				p, f := open(told.options())
				_ = beginSend(t, p, &sarama.ProducerMessage{Topic: "t", Key: c.value, Value: c.value})
				r := f.first(t)

				value, err := r.Msg.Value.Encode()
				require.NoError(t, err)
				require.Empty(t, value)
				require.Equal(t, c.null, value == nil, "what goes on the wire")
				require.Equal(t, c.null, r.Msg.Key == nil, "sarama writes no key only for none")

				f.deliver(r)
				got := told.all()[0].msg
				require.Equal(t, c.null, got.Value == nil, "what the callback sees")
				require.Equal(t, c.null, got.Key == nil, "what the callback sees")
			})
		})
	}
}

func TestSend_keepsNilAndEmptyHeaderValuesApart(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		headers := []sarama.RecordHeader{{Key: []byte("nil")}, {Key: []byte("empty"), Value: []byte{}}, {Key: []byte{}}}
		_ = beginSend(t, p, &sarama.ProducerMessage{Topic: "t", Headers: headers})
		require.Equal(t, headers, f.first(t).Msg.Headers)
	})
}

func TestSend_asksEachEncoderOnceAndBeforeItReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openAsync(t)
		keys, values := 0, 0 // no lock: the race detector watches
		msg := &sarama.ProducerMessage{
			Topic: "t",
			Key:   encoder(func() ([]byte, error) { keys++; return []byte("k"), nil }),
			Value: encoder(func() ([]byte, error) { values++; return []byte("v"), nil }),
		}
		require.NoError(t, p.Send(t.Context(), msg))
		require.Equal(t, 1, keys)
		require.Equal(t, 1, values)
		r := f.first(t)
		require.True(t, f.batch(r))
		require.True(t, f.batch(r), "a retry")
		f.deliver(r)
		synctest.Wait()
		require.Equal(t, 1, keys)
		require.Equal(t, 1, values)
	})
}

func TestSend_givesMetadataBackUnchanged(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options())
		type state struct{ n int }
		mine := &state{1}
		for range 2 {
			msg := text("t", "v")
			msg.Metadata = mine
			send := beginSend(t, p, msg)
			if r := f.first(t); len(told.all()) == 0 {
				f.deliver(r)
			} else {
				f.fail(r, sarama.ErrOutOfBrokers)
			}
			_ = send.result()
			require.Same(t, mine, msg.Metadata)
		}
		require.Len(t, told.all(), 2)
		for _, r := range told.all() {
			require.Same(t, mine, r.msg.Metadata)
		}
	})
}

func TestSend_setsAZeroTimestampOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options())
		sent := time.Now()
		send := beginSend(t, p, text("t", "v"))
		r := f.first(t)
		require.True(t, sent.Equal(r.Msg.Timestamp))
		advance(time.Second)
		require.True(t, f.batch(r))
		advance(time.Second)
		require.True(t, f.batch(r), "a retry")
		require.True(t, sent.Equal(r.Msg.Timestamp), "a retry must not move the message in time")
		f.deliver(r)
		require.NoError(t, send.result())
		require.True(t, sent.Equal(told.all()[0].msg.Timestamp))
	})
}

func TestSend_keepsATimestampThatTheCallerSet(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		msg := text("t", "v")
		msg.Timestamp = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
		_ = beginSend(t, p, msg)
		require.Equal(t, time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), f.first(t).Msg.Timestamp)
	})
}

func TestSend_keepsThePartitionForAManualPartitioner(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		msg := text("t", "v")
		msg.Partition = 5
		_ = beginSend(t, p, msg)
		require.EqualValues(t, 5, f.first(t).Msg.Partition)
	})
}

// interceptor is a sarama.ProducerInterceptor made of a function.
type interceptor func(*sarama.ProducerMessage)

func (i interceptor) OnSend(msg *sarama.ProducerMessage) { i(msg) }

func withInterceptors(all ...sarama.ProducerInterceptor) Option {
	return WithSaramaConfig(func(c *sarama.Config) { c.Producer.Interceptors = all })
}

func TestSend_runsInterceptorsOnceOnACopy(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		calls := 0
		p, f := open(told.options(), withInterceptors(
			interceptor(func(msg *sarama.ProducerMessage) {
				calls++
				msg.Topic, msg.Value = "changed", sarama.StringEncoder("changed")
				msg.Headers[0].Key = []byte("changed")
				msg.Headers = append(msg.Headers, sarama.RecordHeader{Key: []byte("trace")})
			}),
			interceptor(func(msg *sarama.ProducerMessage) {
				msg.Topic += ".twice" // sees what the first one did
			})))
		msg := &sarama.ProducerMessage{
			Topic: "t", Value: sarama.StringEncoder("v"),
			Headers: append(make([]sarama.RecordHeader, 0, 4), sarama.RecordHeader{Key: []byte("h")}),
		}
		send := beginSend(t, p, msg)
		r := f.first(t)
		require.True(t, f.batch(r))
		require.True(t, f.batch(r), "a retry")
		f.deliver(r)
		require.NoError(t, send.result())

		require.Equal(t, 1, calls)
		got := told.all()[0].msg
		require.Equal(t, "changed.twice", got.Topic)
		require.Equal(t, "changed", valueOf(t, got))
		require.Len(t, got.Headers, 2)
		require.Equal(t, "t", msg.Topic)
		require.Equal(t, "v", valueOf(t, msg))
		require.Equal(t, []sarama.RecordHeader{{Key: []byte("h")}}, msg.Headers)
		require.Nil(t, msg.Headers[:2][1].Key, "an append must not write into the caller's array")
	})
}

func TestSend_refusesAMessageWhoseInterceptorPanics(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(withInterceptors(interceptor(func(*sarama.ProducerMessage) { panic(canary) })))
		err := p.Send(t.Context(), text("t", "v"))
		require.ErrorIs(t, err, ErrInvalidMessage)
		requireSecret(t, err)
		requireNothingAccepted(t, p, f, err)
		require.ErrorIs(t, p.Send(t.Context(), nil), ErrInvalidMessage, "no interceptor sees a nil message")
	})
}

func TestAsync_Send_takesOneMessageFromManyGoroutines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reports
		p, f := openAsync(t, told.options(), withInterceptors(interceptor(func(m *sarama.ProducerMessage) {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte("trace")})
		})))
		f.auto = true
		msg := &sarama.ProducerMessage{
			Topic: "t", Key: sarama.StringEncoder("k"), Value: sarama.ByteEncoder("v"), Metadata: "m",
			Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("v")}},
		}
		var senders sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			senders.Go(func() {
				for range 200 {
					if err := p.Send(t.Context(), msg); err != nil {
						errs[i] = err
					}
				}
			})
		}
		senders.Wait()
		require.Equal(t, make([]error, 8), errs)
		require.Len(t, told.all(), 1600)
		for _, r := range told.all() {
			require.NotSame(t, msg, r.msg)
			require.Equal(t, "v", valueOf(t, r.msg))
		}
	})
}

func TestSend_measuresWhatItBuffers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		_ = beginSend(t, p, &sarama.ProducerMessage{
			Topic: "t", Key: sarama.StringEncoder("key"), Value: sarama.StringEncoder(strings.Repeat("x", 100)),
			Headers: []sarama.RecordHeader{{Key: []byte("a"), Value: []byte("bc")}},
		})
		s := p.Stats()
		require.EqualValues(t, 1, s.Buffered)
		require.EqualValues(t, MessageOverhead+3+100+3+96, s.BufferedBytes, "as the doc of WithMaxBufferedBytes says")
		f.deliver(f.first(t))
		synctest.Wait()
		require.Zero(t, p.Stats().Buffered)
		require.Zero(t, p.Stats().BufferedBytes)
	})
}

// The room of a large value is used again once nobody can hold it: a callback may
// keep its message, whatever comes after.
func TestCallbacks_mayKeepLargeMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 8 << 10
		var told reports
		p, f := openAsync(t, WithOnError(told.add))
		failed := 0
		f.submit = func(r *record.Record) {
			require.True(t, f.batch(r))
			if failed++; failed%3 == 0 {
				f.fail(r, sarama.ErrMessageSizeTooLarge)
			} else {
				f.deliver(r)
			}
		}
		large := func(i int) *sarama.ProducerMessage {
			return &sarama.ProducerMessage{
				Topic: "t", Metadata: i, Value: sarama.StringEncoder(strings.Repeat(string(rune('a'+i%26)), size+i)),
			}
		}
		for i := range 300 {
			var err error
			if i%2 == 0 {
				err = p.Send(t.Context(), large(i))
			} else {
				err = p.SendFunc(t.Context(), large(i), told.add)
			}
			require.NoError(t, err)
		}
		all := told.all()
		require.Equal(t, 300/2+300/3, len(all)) //nolint:testifylint // it would print all of them
		for _, one := range all {
			i, ok := one.msg.Metadata.(int)
			require.True(t, ok)
			require.Equal(t, valueOf(t, large(i)), valueOf(t, one.msg))
		}
	})
}
