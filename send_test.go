package producer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// encoder is an Encoder made of a function.
type encoder func() ([]byte, error)

func (e encoder) Encode() ([]byte, error) { return e() }

// Length lies: the library must not trust it.
func (encoder) Length() int { return 1 << 30 }

// pointer is an Encoder that panics when its pointer is nil.
type pointer struct{ b []byte }

func (p *pointer) Encode() ([]byte, error) { return p.b, nil }
func (p *pointer) Length() int             { return len(p.b) }

// lenient is an Encoder whose nil pointer encodes to nothing.
type lenient struct{ b []byte }

func (p *lenient) Encode() ([]byte, error) {
	if p == nil {
		return nil, nil
	}
	return p.b, nil
}
func (*lenient) Length() int { return 0 }

func TestSend_withAnEndedCtxAcceptsNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options())
		f.auto = true
		cause := errors.New("shed load")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		for range 1000 { // there is room: chance must not decide
			err := p.Send(ctx, text("t", "v"))
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, cause)
			require.NotErrorIs(t, err, ErrBufferFull)
			requireNothingAccepted(t, p, f, err)
		}
		require.Empty(t, told.all())
		require.EqualValues(t, 1000, p.Stats().Rejected)
	})
}

func TestSend_withAnExpiredDeadlineReportsItOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		advance(time.Second)
		err := p.Send(ctx, text("t", "v"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, context.DeadlineExceeded.Error(), "the cause is the same and is not repeated")
		requireNothingAccepted(t, p, f, err)
	})
}

func TestSend_checksCtxThenClosedThenTheMessage(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, _ := open()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		err := p.Send(ended, nil)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ErrInvalidMessage)

		require.NoError(t, p.Close(t.Context()))
		err = p.Send(ended, nil)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ErrClosed)
		err = p.Send(t.Context(), nil)
		require.ErrorIs(t, err, ErrClosed)
		require.NotErrorIs(t, err, ErrInvalidMessage)
	})
}

func TestSend_withoutACtxIsRefused(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		err := p.Send(nil, text("t", "v")) //nolint:staticcheck // a caller's bug must not be a crash
		require.ErrorIs(t, err, ErrInvalidMessage)
		requireNothingAccepted(t, p, f, err)
	})
}

// at is a message of that time.
func at(when time.Time) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: "t", Timestamp: when}
}

func TestSend_refusesAMessageThatCannotBeSent(t *testing.T) {
	t.Parallel()
	broken := errors.New("schema registry is away")
	fails := encoder(func() ([]byte, error) { return nil, broken })
	panics := encoder(func() ([]byte, error) { panic(broken) })
	for _, c := range []struct {
		name  string
		msg   *sarama.ProducerMessage
		cause error // nil: any
	}{
		{"nil", nil, record.ErrNilMessage},
		{"empty", &sarama.ProducerMessage{}, record.ErrNoTopic},
		{"noTopic", text("", "v"), record.ErrNoTopic},
		{"notATopic", text("a topic", "v"), nil},
		{"before1970", at(time.Unix(-1, 0)), record.ErrTimestamp},
		{"after2261", at(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)), record.ErrTimestamp},
		{"keyFails", &sarama.ProducerMessage{Topic: "t", Key: fails}, broken},
		{"valueFails", &sarama.ProducerMessage{Topic: "t", Value: fails}, broken},
		{"keyPanics", &sarama.ProducerMessage{Topic: "t", Key: panics}, broken},
		{"valuePanics", &sarama.ProducerMessage{Topic: "t", Value: panics}, broken},
		{"valuePanicsWithText", &sarama.ProducerMessage{
			Topic: "t", Value: encoder(func() ([]byte, error) { panic("text") }),
		}, nil},
		{"typedNilKey", &sarama.ProducerMessage{Topic: "t", Key: (*pointer)(nil)}, nil},
		{"typedNilValue", &sarama.ProducerMessage{Topic: "t", Value: (*pointer)(nil)}, nil},
		{"headerWithoutKey", &sarama.ProducerMessage{
			Topic: "t", Headers: []sarama.RecordHeader{{Key: []byte("k")}, {Value: []byte("v")}},
		}, record.ErrHeaderKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				var told reports
				p, f := open(told.options())
				f.auto = true
				err := p.Send(t.Context(), c.msg)
				require.ErrorIs(t, err, ErrInvalidMessage)
				if c.cause != nil {
					require.ErrorIs(t, err, c.cause)
				}
				requireNothingAccepted(t, p, f, err)
				require.Empty(t, told.all())
				require.EqualValues(t, 1, p.Stats().Rejected)
				require.NoError(t, p.Send(t.Context(), text("t", "next")), "the producer is unharmed")
			})
		})
	}
}

func TestSend_refusesAMessageThatIsLargerThanAllowed(t *testing.T) {
	t.Parallel()
	const limit = 200
	for _, c := range []struct {
		name string
		msg  *sarama.ProducerMessage
	}{
		{"value", &sarama.ProducerMessage{}},
		{"key", &sarama.ProducerMessage{Key: sarama.StringEncoder("12345678")}},
		{"headers", &sarama.ProducerMessage{Headers: []sarama.RecordHeader{
			{Key: []byte("a"), Value: []byte("bcd")}, {Key: []byte("e")},
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				p, f := open(WithMaxMessageBytes(limit))
				f.auto = true
				msg := *c.msg
				msg.Topic = "t"
				// What sarama would compare with Producer.MaxMessageBytes.
				left := limit - msg.ByteSize(2)
				msg.Value = sarama.StringEncoder(strings.Repeat("x", left+1))
				require.Equal(t, limit+1, msg.ByteSize(2))
				err := p.Send(t.Context(), &msg)
				require.ErrorIs(t, err, ErrMessageTooLarge)
				require.NotErrorIs(t, err, ErrInvalidMessage)
				requireNothingAccepted(t, p, f, err)

				msg.Value = sarama.StringEncoder(strings.Repeat("x", left))
				require.NoError(t, p.Send(t.Context(), &msg))
			})
		})
	}
}

func TestSend_takesTheLimitThatASaramaConfigSets(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(
			WithMaxMessageBytes(10_000),
			WithSaramaConfig(func(c *sarama.Config) { c.Producer.MaxMessageBytes = 100 }))
		f.auto = true
		require.ErrorIs(t, p.Send(t.Context(), text("t", strings.Repeat("x", 65))), ErrMessageTooLarge)
		require.NoError(t, p.Send(t.Context(), text("t", strings.Repeat("x", 64))))
	})
}

func TestSend_refusesAMessageThatIsLargerThanTheWholeBuffer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open(WithMaxBufferedBytes(MessageOverhead + 100))
		f.auto = true
		err := p.Send(t.Context(), text("t", strings.Repeat("x", 101)))
		require.ErrorIs(t, err, ErrMessageTooLarge, "it would wait for room that can never be")
		requireNothingAccepted(t, p, f, err)
		require.NoError(t, p.Send(t.Context(), text("t", strings.Repeat("x", 100))))
	})
}

// Logs are grouped by text.
func TestSend_tooLargeHasTheSameTextForEverySize(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]Option{
		"message": WithMaxMessageBytes(100), "buffer": WithMaxBufferedBytes(MessageOverhead),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				p, _ := open(limit)
				small := p.Send(t.Context(), text("a", strings.Repeat("x", 1000)))
				large := p.Send(t.Context(), text("b", strings.Repeat("x", 9999)))
				require.ErrorIs(t, small, ErrMessageTooLarge)
				require.EqualError(t, large, small.Error())
			})
		})
	}
}

func TestSend_keepsTheOrderOfAGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Seven places inside sarama, so that most pass through the queue.
		p, f := openAsync(t, WithSaramaConfig(func(c *sarama.Config) { c.ChannelBufferSize = 8 }))
		const n = 1000
		for i, tag := range numbered(n) {
			send := p.Send
			if i%3 == 0 {
				send = p.TrySend
			}
			require.NoError(t, send(t.Context(), tagged("t", tag)))
			if i%5 == 0 { // a place now and then
				f.deliver(f.first(t))
			}
		}
		for len(f.submitted()) < n || len(f.holding()) > 0 {
			f.deliver(f.first(t))
			synctest.Wait()
			require.LessOrEqual(t, len(f.holding()), 7)
		}
		require.Equal(t, numbered(n), tagsOf(f.submitted()))
	})
}

// What a user's code panics with, or returns, may hold the message.
func TestSend_errorsHoldNothingOfTheMessage(t *testing.T) {
	t.Parallel()
	secret := errors.New(canary)
	full := func() *sarama.ProducerMessage {
		return &sarama.ProducerMessage{
			Topic: "t", Key: sarama.StringEncoder(canary), Value: sarama.StringEncoder(canary), Metadata: canary,
			Headers: []sarama.RecordHeader{{Key: []byte(canary), Value: []byte(canary)}},
		}
	}
	for name, spoil := range map[string]func(*sarama.ProducerMessage){
		"noTopic":   func(m *sarama.ProducerMessage) { m.Topic = "" },
		"header":    func(m *sarama.ProducerMessage) { m.Headers[0].Key = nil },
		"keyFails":  func(m *sarama.ProducerMessage) { m.Key = encoder(func() ([]byte, error) { return nil, secret }) },
		"panics":    func(m *sarama.ProducerMessage) { m.Value = encoder(func() ([]byte, error) { panic(canary) }) },
		"panicsErr": func(m *sarama.ProducerMessage) { m.Value = encoder(func() ([]byte, error) { panic(secret) }) },
		"tooLarge":  func(m *sarama.ProducerMessage) { m.Value = sarama.StringEncoder(strings.Repeat(canary, 1000)) },
		"noRoom":    func(*sarama.ProducerMessage) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				p, _ := open(WithMaxMessageBytes(1000), WithMaxBuffered(1), WithMaxBlock(0))
				_ = beginSend(t, p, text("t", "takes the room"))
				msg := full()
				spoil(msg)
				err := p.Send(t.Context(), msg)
				require.Error(t, err)
				requireSecret(t, err)
			})
		})
	}
}
