package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/saramakit/producer/internal/dispatch"
)

// logger writes what would otherwise be silent. It writes no key, no value and
// nothing that a user's function made: a panic's value may hold either.
type logger struct {
	slog *slog.Logger

	mu   sync.Mutex // guards what follows; not held while logging
	last time.Time  // when a failure was logged
	held int64      // failures since then that were not
}

func newLogger(l *slog.Logger) *logger { return &logger{slog: l} }

// failuresEvery is how often failures are logged that nobody else is told of: a
// broker that is away fails thousands of messages a second.
const failuresEvery = time.Second

// failed logs a message that failed with nobody to tell.
func (l *logger) failed(err error) {
	now := time.Now()
	l.mu.Lock()
	if !l.last.IsZero() && now.Sub(l.last) < failuresEvery {
		l.held++
		l.mu.Unlock()
		return
	}
	more := l.held
	l.last, l.held = now, 0
	l.mu.Unlock()

	args := []any{slog.Any("err", err), slog.Int64("failures_not_logged", more)}
	if delivery, ok := errors.AsType[*DeliveryError](err); ok {
		args = append(args,
			slog.String("topic", delivery.Topic), slog.Int("partition", int(delivery.Partition)),
			slog.String("status", delivery.Status.String()), slog.Int("attempts", delivery.Attempts))
	}
	l.write(slog.LevelError, "producer: message failed and no callback is set (WithOnError)", args...)
}

// panicked logs a callback that did not return.
func (l *logger) panicked(function, topic string, f dispatch.Failure) {
	what := "runtime.Goexit"
	if !f.Goexit {
		what = fmt.Sprintf("panic with a %T", f.Panic)
		// The runtime's own errors hold no user data, and say what is wrong.
		if err, ok := f.Panic.(runtime.Error); ok {
			what = err.Error()
		}
	}
	l.write(slog.LevelError, "producer: callback did not return",
		slog.String("function", function), slog.String("how", what),
		slog.String("topic", topic), slog.String("stack", string(f.Stack)))
}

// slow logs a callback that takes too long.
func (l *logger) slow(function string, running time.Duration) {
	l.write(slog.LevelWarn, "producer: callback is slow; messages behind it wait, and their room with them",
		slog.String("function", function), slog.Duration("running", running))
}

// write keeps a handler that panics from ending the process: it runs on the
// library's goroutines.
func (l *logger) write(level slog.Level, text string, args ...any) {
	defer func() { _ = recover() }()
	l.slog.Log(context.Background(), level, text, args...)
}
