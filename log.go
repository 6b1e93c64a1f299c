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

	// What is not about callbacks goes through a goroutine of its own, so that a
	// handler that blocks keeps nobody waiting.
	lines chan line
	stop  chan struct{} // closed by Stop
	done  chan struct{} // closed when that goroutine has ended
	once  sync.Once

	mu     sync.Mutex // guards what follows; not held while logging
	unseen pace       // of all failures that nobody is told of
	topics map[string]*pace
}

type line struct {
	level slog.Level
	text  string
	args  []any
}

// pace is how often something was logged.
type pace struct {
	last time.Time // when it was; zero: never
	held int64     // how often it was not since then
}

const (
	// unseenEvery and failuresEvery are how often failures are logged that nobody
	// is told of, and those of one topic: a broker that is away fails thousands of
	// messages a second.
	unseenEvery   = time.Second
	failuresEvery = time.Minute
	// mostTopics is of how many topics failures are told apart.
	mostTopics = 1000
	// mostLines is how many lines may wait for the handler. Others are left out.
	mostLines = 64
)

func newLogger(l *slog.Logger) *logger {
	g := &logger{
		slog: l, lines: make(chan line, mostLines), stop: make(chan struct{}), done: make(chan struct{}),
		topics: make(map[string]*pace),
	}
	go g.run()
	return g
}

// run writes lines until the logger is stopped and all are written.
func (l *logger) run() {
	defer close(l.done) // also if the handler ends this goroutine
	for {
		select {
		case next := <-l.lines:
			l.write(next.level, next.text, next.args...)
			continue
		default:
		}
		select {
		case next := <-l.lines:
			l.write(next.level, next.text, next.args...)
		case <-l.stop:
			if len(l.lines) == 0 {
				return
			}
		}
	}
}

// Stop lets the goroutine end when all lines are written. The channel is closed
// when it has.
func (l *logger) Stop() <-chan struct{} {
	l.once.Do(func() { close(l.stop) })
	return l.done
}

// state logs something about the producer. It never waits.
func (l *logger) state(level slog.Level, text string, args ...any) {
	select {
	case l.lines <- line{level, text, args}:
	default: // the handler is stuck, and has a lot to write already
	}
}

// due reports whether it is time to log again, and how many were not logged.
func (p *pace) due(every time.Duration) (held int64, ok bool) {
	now := time.Now()
	if !p.last.IsZero() && now.Sub(p.last) < every {
		p.held++
		return 0, false
	}
	held = p.held
	p.last, p.held = now, 0
	return held, true
}

// of is the pace of a topic. Requires: mu held.
func (l *logger) of(topic string) *pace {
	p := l.topics[topic]
	if p == nil {
		if len(l.topics) >= mostTopics {
			topic = "" // of all others
			if others := l.topics[topic]; others != nil {
				return others
			}
		}
		p = &pace{}
		l.topics[topic] = p
	}
	return p
}

// failing logs that messages of a topic fail, of which somebody else is told,
// too. What Close or the end of a ctx did is no news.
func (l *logger) failing(e *DeliveryError) {
	for _, wanted := range []error{ErrAborted, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(e.Err, wanted) {
			return
		}
	}
	l.mu.Lock()
	held, ok := l.of(e.Topic).due(failuresEvery)
	l.mu.Unlock()
	if ok {
		l.state(slog.LevelWarn, "producer: messages of a topic fail", failure(e, held)...)
	}
}

// failed logs a message that failed with nobody to tell.
func (l *logger) failed(err error) {
	l.mu.Lock()
	held, ok := l.unseen.due(unseenEvery)
	l.mu.Unlock()
	if ok {
		l.write(slog.LevelError, "producer: message failed and no callback is set (WithOnError)", failure(err, held)...)
	}
}

// failure are the attributes of a message that failed.
func failure(err error, held int64) []any {
	args := []any{slog.Any("err", err), slog.Int64("failures_not_logged", held)}
	if delivery, ok := errors.AsType[*DeliveryError](err); ok {
		args = append(args,
			slog.String("topic", delivery.Topic), slog.Int("partition", int(delivery.Partition)),
			slog.String("status", delivery.Status.String()), slog.Int("attempts", delivery.Attempts))
	}
	return args
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
