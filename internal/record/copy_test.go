package record

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// encoder is a user's Encoder.
type encoder func() ([]byte, error)

func (e encoder) Encode() ([]byte, error) { return e() }
func (encoder) Length() int               { return 0 }

func TestNew_copiesEveryByte(t *testing.T) {
	t.Parallel()
	key, value := []byte("key"), []byte("value")
	header := sarama.RecordHeader{Key: []byte("hk"), Value: []byte("hv")}
	r := accepted(t, &sarama.ProducerMessage{
		Topic: "t", Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(value),
		Headers: []sarama.RecordHeader{header},
	})
	for _, b := range [][]byte{key, value, header.Key, header.Value} {
		clear(b) // the caller uses its buffers again
	}
	require.Equal(t, "key", bytesOf(t, r.Msg.Key))
	require.Equal(t, "value", bytesOf(t, r.Msg.Value))
	require.Equal(t, "hk", string(r.Msg.Headers[0].Key))
	require.Equal(t, "hv", string(r.Msg.Headers[0].Value))
}

func TestNew_doesNotWriteToTheMessage(t *testing.T) {
	t.Parallel()
	msg := func() *sarama.ProducerMessage {
		return &sarama.ProducerMessage{
			Topic: "t", Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"),
			Headers: []sarama.RecordHeader{{Key: []byte("h")}}, Metadata: "m", Offset: 5, Partition: 6,
		}
	}
	sent := msg()
	_ = accepted(t, sent)
	require.Equal(t, msg(), sent)
}

func TestNew_aPartCannotGrowIntoTheNext(t *testing.T) {
	t.Parallel()
	r := accepted(t, &sarama.ProducerMessage{
		Topic: "t", Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder("v"),
	})
	key, err := r.Msg.Key.Encode()
	require.NoError(t, err)
	_ = append(key, 'x')
	require.Equal(t, "v", bytesOf(t, r.Msg.Value))
}

func TestNew_nilAndEmptyAreJudgedByTheBytes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   sarama.Encoder
		null bool
	}{
		"Nil":          {nil, true},
		"NilBytes":     {sarama.ByteEncoder(nil), true},
		"EmptyBytes":   {sarama.ByteEncoder{}, false},
		"EmptyString":  {sarama.StringEncoder(""), false},
		"ReturnsNil":   {encoder(func() ([]byte, error) { return nil, nil }), true},
		"ReturnsEmpty": {encoder(func() ([]byte, error) { return []byte{}, nil }), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := accepted(t, &sarama.ProducerMessage{Topic: "t", Key: tc.in, Value: tc.in})
			value, err := r.Msg.Value.Encode()
			require.NoError(t, err)
			require.Empty(t, value)
			require.Equal(t, tc.null, value == nil, "value")
			r.ReportOwn(0, 0)
			require.Equal(t, tc.null, r.Report().Key == nil, "reported key")
			require.Equal(t, tc.null, r.Report().Value == nil, "reported value")
		})
	}
}

func TestNew_aHeaderValueStaysNilOrEmpty(t *testing.T) {
	t.Parallel()
	r := accepted(t, &sarama.ProducerMessage{Topic: "t", Headers: []sarama.RecordHeader{
		{Key: []byte("nil")}, {Key: []byte("empty"), Value: []byte{}}, {Key: []byte{}},
	}})
	require.Nil(t, r.Msg.Headers[0].Value)
	require.NotNil(t, r.Msg.Headers[1].Value)
	require.NotNil(t, r.Msg.Headers[2].Key)
}

func TestNew_refusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		msg  *sarama.ProducerMessage
		want error
	}{
		"NilContext":       {nil, &sarama.ProducerMessage{Topic: "t"}, ErrNilContext},
		"NilMessage":       {t.Context(), nil, ErrNilMessage},
		"NoTopic":          {t.Context(), &sarama.ProducerMessage{}, ErrNoTopic},
		"HeaderWithoutKey": {t.Context(), &sarama.ProducerMessage{Topic: "t", Headers: []sarama.RecordHeader{{}}}, ErrHeaderKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(tc.ctx, tc.msg, &Home{})
			require.ErrorIs(t, err, tc.want)
		})
	}
}

func TestNew_refusesANameThatNoTopicCanHave(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		".", "..", "a b", "ä", "a/b", "a\x00", "a\n", "\xff", "a:b", strings.Repeat("a", 250), strings.Repeat("a", 100_000),
	} {
		_, err := New(t.Context(), &sarama.ProducerMessage{Topic: name}, &Home{})
		wrong, ok := errors.AsType[*TopicError](err)
		require.True(t, ok, "%.10q", name)
		require.Equal(t, name, wrong.Topic)
		require.Less(t, len(err.Error()), 500)
	}
	for _, name := range []string{"a", "...", "A.b_c-9", strings.Repeat("a", 249)} {
		_, err := New(t.Context(), &sarama.ProducerMessage{Topic: name}, &Home{})
		require.NoError(t, err, "%.10q", name)
	}
}

func TestNew_anEncoderThatFailsIsNamedWithoutItsText(t *testing.T) {
	t.Parallel()
	cause := errors.New("canary")
	for name, e := range map[string]encoder{
		"Returns": func() ([]byte, error) { return nil, cause },
		"Panics":  func() ([]byte, error) { panic(cause) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(t.Context(), &sarama.ProducerMessage{Topic: "t", Value: e}, &Home{})
			require.ErrorIs(t, err, cause)
			require.ErrorContains(t, err, "value")
			require.NotContains(t, err.Error(), "canary")
			_, err = New(t.Context(), &sarama.ProducerMessage{Topic: "t", Key: e}, &Home{})
			require.ErrorContains(t, err, "key")
		})
	}
}

func TestNew_aTypedNilEncoderIsAnError(t *testing.T) {
	t.Parallel()
	var e *sarama.ByteEncoder // its Encode follows the nil pointer
	_, err := New(t.Context(), &sarama.ProducerMessage{Topic: "t", Value: e}, &Home{})
	var failed *EncoderError
	require.ErrorAs(t, err, &failed)
	require.NotNil(t, failed.Panic)
}

func TestNew_asksEachEncoderOnce(t *testing.T) {
	t.Parallel()
	asked := 0
	e := encoder(func() ([]byte, error) { asked++; return []byte("v"), nil })
	r := accepted(t, &sarama.ProducerMessage{Topic: "t", Value: e})
	require.NoError(t, r.encodeIn(0))
	require.NoError(t, r.encodeIn(0))
	r.ReportOwn(0, 0)
	_ = bytesOf(t, r.Report().Value)
	require.Equal(t, 1, asked)
}

func TestNew_measuresWhatSaramaWillMeasure(t *testing.T) {
	t.Parallel()
	for name, msg := range map[string]*sarama.ProducerMessage{
		"Nothing": {Topic: "t"},
		"All": {
			Topic: "t", Key: sarama.StringEncoder("key"), Value: sarama.StringEncoder("value"),
			Headers: []sarama.RecordHeader{{Key: []byte("a"), Value: []byte("b")}, {Key: []byte("c")}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := New(t.Context(), msg, &Home{})
			require.NoError(t, err)
			require.Equal(t, msg.ByteSize(2), c.Wire)
			require.Equal(t, msg.ByteSize(2), c.Record.Msg.ByteSize(2), "as sarama sees the copy")
		})
	}
}

//nolint:paralleltest // it counts allocations
func TestNew_copiesNothingOfAMessageThatIsTooLarge(t *testing.T) {
	msg := &sarama.ProducerMessage{Topic: "t", Value: sarama.ByteEncoder(make([]byte, 100))}
	home := &Home{Most: msg.ByteSize(2)}
	c, err := New(t.Context(), msg, home)
	require.NoError(t, err)
	require.NotNil(t, c.Record)
	home.Most--
	require.Zero(t, testing.AllocsPerRun(10, func() { c, err = New(context.Background(), msg, home) }))
	require.NoError(t, err)
	require.Nil(t, c.Record)
	require.Equal(t, msg.ByteSize(2), c.Wire)
}

func TestNew_theSizeCountsBytesHeadersAndOverhead(t *testing.T) {
	t.Parallel()
	size := func(msg *sarama.ProducerMessage) int64 { return accepted(t, msg).Size() }
	require.EqualValues(t, Overhead, size(&sarama.ProducerMessage{Topic: "t"}))
	require.EqualValues(t, Overhead+3+5+2+headerOverhead, size(&sarama.ProducerMessage{
		Topic: "t", Key: sarama.StringEncoder("key"), Value: sarama.StringEncoder("value"),
		Headers: []sarama.RecordHeader{{Key: []byte("a"), Value: []byte("b")}},
	}))
}

func TestNew_setsAMissingTimestampOnce(t *testing.T) {
	t.Parallel()
	before := time.Now()
	r := simple(t)
	require.False(t, r.Msg.Timestamp.IsZero(), "sarama would take the time of each attempt")
	require.WithinRange(t, r.Msg.Timestamp, before.Round(0), time.Now())

	at := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	r = accepted(t, &sarama.ProducerMessage{Topic: "t", Timestamp: at})
	require.Equal(t, at, r.Msg.Timestamp)
}

func TestNew_keepsThePartitionForAManualPartitioner(t *testing.T) {
	t.Parallel()
	r := accepted(t, &sarama.ProducerMessage{Topic: "t", Partition: 11})
	partition, err := sarama.NewManualPartitioner("t").Partition(&r.Msg, 20)
	require.NoError(t, err)
	require.EqualValues(t, 11, partition)
}

func TestOf_findsOnlyWhatIsOursAndNotReported(t *testing.T) {
	t.Parallel()
	r := simple(t)
	require.Same(t, r, Of(&r.Msg))
	require.Nil(t, Of(nil))
	require.Nil(t, Of(&sarama.ProducerMessage{Value: sarama.StringEncoder("v")}))
	r.ReportOwn(0, 0)
	require.Nil(t, Of(&r.Msg), "its user may send it again")
}

func TestAround_aPartitionerThatReadsTheValueMakesNoAttempt(t *testing.T) {
	t.Parallel()
	r := simple(t)
	token := Around{}.Before(&r.Msg)
	require.Equal(t, "v", bytesOf(t, r.Msg.Value))
	r.Msg.Value = sarama.StringEncoder("what a partitioner must not do")
	Around{}.After(&r.Msg, token, true)
	require.Zero(t, r.Attempts())
	require.Equal(t, "v", bytesOf(t, r.Msg.Value), "its change is undone")
	require.Equal(t, 1, r.Attempts(), "the gate is back")
}

func TestAround_remembersThatAPartitionWasChosen(t *testing.T) {
	t.Parallel()
	r := simple(t)
	around := func(placed bool) { Around{}.After(&r.Msg, Around{}.Before(&r.Msg), placed) }
	around(false)
	require.False(t, r.Placed)
	around(true)
	around(false)
	require.True(t, r.Placed)
}

func TestAround_leavesOtherMessagesAlone(t *testing.T) {
	t.Parallel()
	msg := &sarama.ProducerMessage{Value: sarama.StringEncoder("v")}
	token := Around{}.Before(msg)
	Around{}.After(msg, token, true)
	require.Equal(t, sarama.StringEncoder("v"), msg.Value)
}
