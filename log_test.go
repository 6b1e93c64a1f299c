package producer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/lane"
)

// errNoLiveBroker is what Ask answers when nobody answers it.
var errNoLiveBroker = fmt.Errorf("in a test: %w", lane.ErrNoAnswer)

// logs is a log that a test can read.
type logs struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	do    func()        // what the handler does to whoever logs
	block chan struct{} // until it is closed nobody's line is written
}

func (l *logs) option() Option {
	if l.block != nil {
		return WithLogger(slog.New(stuck{slog.DiscardHandler, l.block}))
	}
	return WithLogger(slog.New(slog.NewJSONHandler(l, nil)))
}

// stuck is a handler that writes nothing until block is closed. Those of slog
// hold a lock meanwhile, for which virtual time does not wait.
type stuck struct {
	slog.Handler
	block chan struct{}
}

func (stuck) Enabled(context.Context, slog.Level) bool { return true }

func (s stuck) Handle(context.Context, slog.Record) error {
	<-s.block
	return nil
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	n, err := l.buf.Write(b)
	l.mu.Unlock()
	if l.do != nil {
		l.do()
	}
	return n, err
}

func (l *logs) text() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// lines are what was logged of that level, with the attributes of each.
func (l *logs) lines(t *testing.T, level slog.Level) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.text()) {
		attrs := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(line), &attrs))
		if attrs["level"] == level.String() {
			lines = append(lines, attrs)
		}
	}
	return lines
}

func TestLog_withoutOnErrorAFailureIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &logs{}
		p, f := openAsync(t, known, log.option())
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		f.fail(f.first(t), sarama.ErrMessageSizeTooLarge)
		lines := log.lines(t, slog.LevelError)
		require.Len(t, lines, 1)
		require.Equal(t, "ERROR", lines[0]["level"])
		require.Equal(t, "t", lines[0]["topic"])
		require.Equal(t, "not persisted", lines[0]["status"])
		require.Contains(t, lines[0]["err"], sarama.ErrMessageSizeTooLarge.Error())
		require.Empty(t, log.lines(t, slog.LevelWarn), "not twice")
	})
}

func TestLog_failuresAreLoggedOnceASecondWithTheNumberLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &logs{}
		p, f := openAsync(t, known, log.option())
		fail := func(n int) {
			for range n {
				require.NoError(t, p.Send(t.Context(), text("t", "v")))
				f.fail(f.first(t), sarama.ErrMessageSizeTooLarge)
			}
		}
		fail(100)
		require.Len(t, log.lines(t, slog.LevelError), 1)
		advance(time.Second)
		fail(1)
		lines := log.lines(t, slog.LevelError)
		require.Len(t, lines, 2)
		require.InDelta(t, 99, lines[1]["failures_not_logged"], 0)
		advance(time.Second)
		fail(1)
		require.InDelta(t, 0, log.lines(t, slog.LevelError)[2]["failures_not_logged"], 0)
	})
}

func TestLog_aFailureThatSomebodyIsToldOfIsNoError(t *testing.T) {
	t.Parallel()
	told := func(context.Context, *sarama.ProducerMessage, error) {}
	for name, send := range map[string]func(t *testing.T, log *logs) *fake{
		"OnError": func(t *testing.T, log *logs) *fake {
			t.Helper()
			p, f := openAsync(t, known, log.option(), WithOnError(told))
			require.NoError(t, p.Send(t.Context(), text("t", "v")))
			return f
		},
		"SendFunc": func(t *testing.T, log *logs) *fake {
			t.Helper()
			p, f := openAsync(t, known, log.option())
			require.NoError(t, p.SendFunc(t.Context(), text("t", "v"), told))
			return f
		},
		"SyncSend": func(t *testing.T, log *logs) *fake {
			t.Helper()
			p, f := openSync(t, known, log.option())
			beginSend(t, p, text("t", "v"))
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := &logs{}
				f := send(t, log)
				f.fail(f.first(t), sarama.ErrMessageSizeTooLarge)
				require.Empty(t, log.lines(t, slog.LevelError))
			})
		})
	}
}

func TestLog_aFailureThatASyncSendDidNotWaitForIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &logs{}
		p, f := openSync(t, known, log.option())
		ctx, cancel := context.WithCancel(t.Context())
		send := begin(t, func() error { return p.Send(ctx, text("t", "v")) })
		f.batch(f.first(t))
		cancel()
		require.True(t, failureOf(t, send.result()).Pending)
		f.fail(f.first(t), sarama.ErrRequestTimedOut)
		require.Len(t, log.lines(t, slog.LevelError), 1)
	})
}

func TestLog_aCallbackThatDoesNotReturnIsNamedWithItsStack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{}
		p, f := open(known, log.option(), WithOnSuccess(panicking), WithOnError(exiting))
		beginSend(t, p, text("t", "v"))
		f.deliver(f.first(t))
		beginSend(t, p, text("t", "v"))
		f.fail(f.first(t), sarama.ErrRequestTimedOut)
		lines := log.lines(t, slog.LevelError)
		require.Len(t, lines, 2)
		require.Contains(t, lines[0]["function"], "panicking")
		require.Contains(t, lines[0]["stack"], "producer.panicking")
		require.Contains(t, lines[0]["how"], "panic")
		require.Contains(t, lines[1]["function"], "exiting")
		require.Contains(t, lines[1]["how"], "Goexit")
	})
}

func panicking(context.Context, *sarama.ProducerMessage)      { panic(errors.New(canary)) }
func exiting(context.Context, *sarama.ProducerMessage, error) { runtime.Goexit() }

func TestLog_showsNothingOfAMessageNorOfAPanic(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{}
		p, f := open(WithTopics("t"), log.option(), WithOnSuccess(panicking), WithSlowCallback(time.Nanosecond))
		for _, f.auto = range []bool{true, false} {
			ctx, cancel := context.WithCancel(t.Context())
			send := begin(t, func() error {
				return p.Send(ctx, &sarama.ProducerMessage{
					Topic: "t", Key: sarama.StringEncoder(canary), Value: sarama.StringEncoder(canary), Metadata: canary,
					Headers: []sarama.RecordHeader{{Key: []byte(canary), Value: []byte(canary)}},
				})
			})
			if !f.auto {
				f.batch(f.first(t))
				cancel() // a Send that does not wait leaves the failure to the log
				synctest.Wait()
				f.fail(f.first(t), sarama.ErrRequestTimedOut)
			}
			_ = send.result()
			cancel()
		}
		require.NotEmpty(t, log.lines(t, slog.LevelError))
		require.NotContains(t, log.text(), canary)
	})
}

func TestLog_aHandlerThatDoesNotReturnEndsNothing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"Panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log := &logs{do: end}
				calls := 0
				p, f := openAsync(t, known, log.option(), WithOnSuccess(func(context.Context, *sarama.ProducerMessage) {
					if calls++; calls < 10 {
						panic("boom")
					}
				}))
				for range 3 {
					require.NoError(t, p.Send(t.Context(), text("t", "v")))
					f.deliver(f.first(t))
					advance(2 * time.Second)
					require.NoError(t, p.Send(t.Context(), text("t", "v")))
					f.fail(f.first(t), sarama.ErrRequestTimedOut)
				}
				require.NoError(t, p.Flush(t.Context()))
				require.Equal(t, 3, calls)
				require.EqualValues(t, 6, p.Stats().Accepted)
			})
		})
	}
}

func TestLog_aSlowCallbackIsNamedOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		log := &logs{}
		p, f := open(WithTopics("t"), log.option(), WithSlowCallback(5*time.Second), WithOnSuccess(sleeping))
		beginSend(t, p, text("t", "v"))
		f.deliver(f.first(t))
		advance(5*time.Second - time.Nanosecond)
		require.Zero(t, p.Stats().SlowCallbacks)
		advance(time.Nanosecond)
		require.EqualValues(t, 1, p.Stats().SlowCallbacks)
		advance(time.Hour)
		lines := log.lines(t, slog.LevelWarn)
		require.Len(t, lines, 1)
		require.Contains(t, lines[0]["function"], "producer.sleeping")
		require.EqualValues(t, 1, p.Stats().SlowCallbacks)
		require.Zero(t, p.Stats().CallbackPanics)
	})
}

func sleeping(context.Context, *sarama.ProducerMessage) { <-time.After(time.Minute) }
