package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/saramakit/producer/integration/internal/leaks"
	"github.com/saramakit/producer/integration/kafka"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(&withCluster{m}, leaks.Ignored()...)
}

// common is the cluster that most tests share: one node, started by the first
// test that asks for it.
//
//nolint:gochecknoglobals // one for the test binary
var common struct {
	start   sync.Once
	cluster *kafka.Cluster
	err     error
}

// withCluster ends the common cluster when all tests have ended.
type withCluster struct{ tests *testing.M }

func (w *withCluster) Run() int {
	code := w.tests.Run()
	if common.cluster == nil {
		return code
	}
	if code != 0 && !common.cluster.Attached() {
		common.cluster.KeepLogs()
		fmt.Fprintln(os.Stderr, "the logs of Kafka are in", common.cluster.Dir())
	}
	if err := common.cluster.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// shared is the common cluster, or the one that KAFKA_BROKERS names.
func shared(t *testing.T) *kafka.Cluster {
	t.Helper()
	kafka.SkipUnlessWanted(t)
	common.start.Do(func() {
		if brokers := kafka.Brokers(); brokers != nil {
			common.cluster = kafka.Attach(brokers)
			return
		}
		common.cluster, common.err = kafka.Start(context.Background(), kafka.Options{
			// As Kafka has it by default, so that not creating one means something.
			Settings: map[string]string{"auto.create.topics.enable": "true"},
		})
	})
	kafka.Require(t, common.err)
	return common.cluster
}

// bounded is a ctx for what takes seconds on a busy machine.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// until looks again and again, in the test's goroutine, until something is so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx := bounded(t)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-ctx.Done():
			require.FailNow(t, "never: "+what)
		}
	}
}

// newTopic creates a topic that only this test knows.
func newTopic(t *testing.T, cluster *kafka.Cluster, partitions int32, configs map[string]string) string {
	t.Helper()
	name := unusedTopic(t)
	require.NoError(t, cluster.CreateTopic(bounded(t), name, partitions, configs))
	return name
}

// unusedTopic is a name that no topic has, also in a cluster that was used before.
func unusedTopic(t *testing.T) string {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
			return r
		default:
			return '-'
		}
	}, t.Name())
	return fmt.Sprintf("%.150s-%x", name, time.Now().UnixNano())
}
