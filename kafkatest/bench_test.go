package kafkatest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

// What a request costs when no fault is installed: mostly the system calls of
// both ends.
func BenchmarkProduce(b *testing.B) {
	cluster := kafkatest.Start(b, kafkatest.WithBrokers(1), kafkatest.WithTopic(topic, 1))
	client := dialRaw(b, cluster, 0)
	require.NoError(b, client.SetDeadline(time.Time{}))
	frame := produceFrame(1, 0, strings.Repeat("a", 60))
	b.ReportAllocs()
	for b.Loop() {
		client.send(frame)
		client.acknowledged(1)
	}
}
