package chaos_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/integration/chaos"
	"github.com/saramakit/producer/integration/internal/leaks"
	"github.com/saramakit/producer/integration/kafka"
)

// childVariable makes the test binary a service: addresses and topic.
const childVariable = "CHAOS_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		addrs, topic, _ := strings.Cut(text, " ")
		os.Exit(serve(strings.Split(addrs, ","), topic))
	}
	goleak.VerifyTestMain(m, leaks.Ignored()...)
}

// serve is a service that writes a line for each message that it knows to be
// delivered. On SIGTERM it closes its producer and says how it ended.
func serve(addrs []string, topic string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var delivered, failed atomic.Int64
	p, err := producer.NewAsync(context.Background(), addrs,
		producer.WithOnSuccess(func(_ context.Context, msg *sarama.ProducerMessage) {
			value, _ := msg.Value.Encode()
			_, err := fmt.Printf("%s %d %d\n", value, msg.Partition, msg.Offset)
			if err == nil {
				delivered.Add(1)
			}
		}),
		producer.WithOnError(func(context.Context, *sarama.ProducerMessage, error) { failed.Add(1) }))
	if err != nil {
		return 2
	}
	accepted := int64(0)
	for ; ctx.Err() == nil; accepted++ {
		msg := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprintf("message-%d", accepted))}
		if p.Send(ctx, msg) != nil {
			break
		}
		if accepted%50 == 0 {
			<-time.After(5 * time.Millisecond)
		}
	}
	within, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.Close(within); err != nil {
		return 1
	}
	fmt.Printf("end accepted %d delivered %d failed %d\n", accepted, delivered.Load(), failed.Load())
	return 0
}

// A service that is ended in the middle, with brokers dying under it, has in the
// log whatever it said it had delivered, and if it may end by itself also
// everything that it had accepted.
func TestService_whatItSaidIsStoredHoweverItEnds(t *testing.T) { //nolint:paralleltest // three nodes are enough for a machine
	cluster := kafka.Run(t, chaos.Cluster())
	for name, signal := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			topic := strings.ToLower(name)
			require.NoError(t, cluster.CreateTopic(t.Context(), topic, 6, map[string]string{"min.insync.replicas": "2"}))
			leader, err := cluster.Leader(t.Context(), topic, 0)
			require.NoError(t, err)

			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), childVariable+"="+strings.Join(cluster.Addrs(), ",")+" "+topic)
			child.Stderr = os.Stderr
			out, err := child.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, child.Start())
			lines := make(chan []string, 1)
			some := make(chan struct{})
			go func() { lines <- read(out, some) }()
			select {
			case <-some:
			case all := <-lines:
				require.Fail(t, "the child has ended", "%d lines", len(all))
			}
			require.NoError(t, cluster.Kill(int(leader)))
			<-time.After(time.Second) // before anybody has noticed
			require.NoError(t, child.Process.Signal(signal))
			said := <-lines
			err = child.Wait()
			require.NoError(t, cluster.StartNodes(t.Context()))
			require.NoError(t, cluster.InSync(t.Context()))

			stored := map[string]int{}
			records, err2 := cluster.Records(t.Context(), topic)
			require.NoError(t, err2)
			for i := range records {
				r := &records[i]
				stored[fmt.Sprintf("%s %d %d", r.Value, r.Partition, r.Offset)]++
			}
			require.Len(t, stored, len(records))
			last := said[len(said)-1]
			if name == "SIGTERM" {
				require.NoError(t, err, "exit code")
				var accepted, delivered, failed int
				_, err := fmt.Sscanf(last, "end accepted %d delivered %d failed %d", &accepted, &delivered, &failed)
				require.NoError(t, err, last)
				said = said[:len(said)-1]
				require.Equal(t, accepted, delivered)
				require.Zero(t, failed)
				require.Len(t, records, accepted)
			}
			require.GreaterOrEqual(t, len(said), 1000)
			for _, line := range said {
				require.Equal(t, 1, stored[line], "it said %q", line)
			}
			t.Logf("%d said to be delivered, %d stored", len(said), len(records))
		})
	}
}

// read returns the whole lines of a child, and closes some when there are a
// thousand.
func read(out io.Reader, some chan struct{}) (lines []string) {
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return lines // half a line is one that was not said
		}
		if lines = append(lines, strings.TrimSpace(line)); len(lines) == 1000 {
			close(some)
		}
	}
}
