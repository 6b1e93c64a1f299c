package producer

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/IBM/sarama"
)

// BridgeSaramaLogger makes sarama log to l: what it says of connections and
// metadata at level Info, its details at level Debug, with "sarama" in front.
//
// Sarama has one logger for the whole process, which it reads without a lock. So
// call it once, at the start of main, before anything else of sarama's is used;
// libraries must not. This package logs to its own, see [WithLogger]. Sarama's
// lines name brokers, topics and errors; what it would print of a message is up
// to it. nil stands for [slog.Default].
func BridgeSaramaLogger(l *slog.Logger) {
	if l == nil {
		l = slog.Default()
	}
	sarama.Logger = bridge{l, slog.LevelInfo}
	sarama.DebugLogger = bridge{l, slog.LevelDebug}
}

// bridge is a logger of sarama's.
type bridge struct {
	to    *slog.Logger
	level slog.Level
}

var _ sarama.StdLogger = bridge{}

func (b bridge) Print(v ...any)   { b.log(fmt.Sprint, v) }
func (b bridge) Println(v ...any) { b.log(fmt.Sprintln, v) }
func (b bridge) Printf(format string, v ...any) {
	b.log(func(v ...any) string { return fmt.Sprintf(format, v...) }, v)
}

// log makes the text only if somebody wants it.
func (b bridge) log(text func(v ...any) string, v []any) {
	if ctx := context.Background(); b.to.Enabled(ctx, b.level) {
		b.to.Log(ctx, b.level, "sarama: "+strings.TrimSpace(text(v...)))
	}
}
