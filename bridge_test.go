package producer

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

//nolint:paralleltest // sarama's loggers are of the whole process
func TestBridgeSaramaLogger_logsEachLineAtItsLevel(t *testing.T) {
	logger, debug := sarama.Logger, sarama.DebugLogger
	defer func() { sarama.Logger, sarama.DebugLogger = logger, debug }()
	var log bytes.Buffer
	options := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	BridgeSaramaLogger(slog.New(slog.NewTextHandler(&log, options)))
	sarama.Logger.Printf("client/%s %d\n", "metadata", 1)
	sarama.Logger.Println("two", 2)
	sarama.Logger.Print("three", 3)
	sarama.DebugLogger.Println("detail")
	require.Equal(t, `level=INFO msg="sarama: client/metadata 1"
level=INFO msg="sarama: two 2"
level=INFO msg="sarama: three3"
level=DEBUG msg="sarama: detail"
`, log.String())

	options.Level = slog.LevelWarn
	log.Reset()
	BridgeSaramaLogger(slog.New(slog.NewTextHandler(&log, options)))
	sarama.Logger.Println(never{t})
	require.Empty(t, log.String())
}

// never is a value that must not be printed.
type never struct{ t *testing.T }

func (n never) String() string { n.t.Error("the text was made for nobody"); return "" }
