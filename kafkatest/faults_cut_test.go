package kafkatest_test

import (
	"bytes"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/saramakit/producer/kafkatest"
)

// headBytes come in whatever is cut: a length and the shortest header.
const headBytes = 14

func TestCutRequests_closesTheConnectionAtEveryByteAndStoresNothing(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]kafkatest.FaultOption{
		"FIN": nil,
		"RST": {kafkatest.Reset()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t)
			frame := produceFrame(1, 0, "a")
			for n := range len(frame) + 2 {
				fault := cluster.CutRequests(n, append(opts, kafkatest.OnKey(0))...)
				client := dialRaw(t, cluster, 0)
				// Not a byte more than it takes: the rest would never come.
				client.send(frame[:min(max(n, headBytes), len(frame))])
				got, err := io.ReadAll(client)
				require.Empty(t, got)
				if name == "RST" {
					require.ErrorIs(t, err, syscall.ECONNRESET)
				} else {
					require.NoError(t, err)
				}
				require.NoError(t, client.Close())
				require.Equal(t, 1, fault.Hits())
				fault.Remove()
			}
			require.Empty(t, values(t, cluster))
			require.Zero(t, cluster.ProduceRequests())
		})
	}
}

func TestCutRequests_readsTheWholeIfItMustKnowThePartition(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.CutRequests(20, kafkatest.OnTopic(topic), kafkatest.OnPartition(0))
	client := dialRaw(t, cluster, 0)
	client.send(requestFrame(1, metadataRequest()))
	client.answer()
	client.send(produceFrame(2, 1, "a")) // which broker 0 does not lead, but answers
	require.Equal(t, int16(6), produceAnswer(t, client.answer()).Topics[0].Partitions[0].ErrorCode)
	require.Zero(t, fault.Hits())
	client.send(produceFrame(3, 0, "a"))
	_, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 1, fault.Hits())
	require.Empty(t, values(t, cluster))
}

// What the client sends is more than all buffers hold. It can send all of it, and
// then reads the end of the stream, until the broker has waited long enough for more.
func TestCutRequests_endsWithAFINForAClientThatSendsMore(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"AtOnce", "BehindADelay"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t)
			client := dialRaw(t, cluster, 0)
			if name == "BehindADelay" { // other goroutines read from then on
				cluster.DelayRequests(time.Millisecond, kafkatest.Times(1))
				client.send(produceFrame(1, 0, "a"))
				client.acknowledged(1)
			}
			before := len(values(t, cluster))
			cluster.CutRequests(100)
			client.send(produceFrame(2, 0, strings.Repeat("a", 20<<20)))
			got, err := io.ReadAll(client)
			require.NoError(t, err)
			require.Empty(t, got)
			client.cannotWrite()
			require.Len(t, values(t, cluster), before)
		})
	}
}

// Requests that wait in front of one that is cut go down with the connection.
func TestCutRequests_losesWhatIsHeldOnTheConnection(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	held := cluster.HoldRequests()
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	require.NoError(t, held.Wait(testContext(t), 1))
	cut := cluster.CutRequests(50)
	client.send(produceFrame(2, 0, "b"))
	_, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 1, cut.Hits())
	cut.Remove()
	held.Remove()
	require.NoError(t, send(newProducer(t, cluster, once()), 0, "c"))
	require.Equal(t, []string{"c"}, values(t, cluster))
}

func TestCutResponses_sendsSoManyBytesOfTheAnswerAndStoresTheRecords(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]kafkatest.FaultOption{
		"FIN": nil,
		"RST": {kafkatest.Reset()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t)
			frame := produceFrame(1, 0, "a")
			whole := dialRaw(t, cluster, 0)
			whole.send(frame)
			size := len(whole.answer())
			for n := range size + 2 {
				fault := cluster.CutResponses(n, append(opts, kafkatest.OnTopic(topic))...)
				client := dialRaw(t, cluster, 0)
				client.send(frame)
				got, err := io.ReadAll(client)
				if name == "RST" {
					require.ErrorIs(t, err, syscall.ECONNRESET)
				} else {
					require.NoError(t, err)
					require.Len(t, got, min(n, size))
				}
				require.NoError(t, client.Close())
				require.Equal(t, 1, fault.Hits())
				fault.Remove()
			}
			require.Len(t, values(t, cluster), size+3)
		})
	}
}

// The last bytes in front of the FIN are the beginning of the true answer, also
// when the client has sent more meanwhile.
func TestCutResponses_endsWithAFINForAClientThatHasSentMore(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	client := dialRaw(t, cluster, 0)
	frame := produceFrame(1, 0, "a")
	client.send(frame)
	answer := client.answer()
	held := cluster.HoldResponses()
	fault := cluster.CutResponses(10)
	for range 100 {
		client.send(frame)
	}
	require.NoError(t, held.Wait(testContext(t), 1))
	held.Remove()
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(answer, got))
	require.Len(t, got, 10)
	require.Positive(t, fault.Hits())
}

func TestCutResponses_requestsThatComeTooLateAreNoHits(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	cluster.CutResponses(5)
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	_, err := io.ReadAll(client)
	require.NoError(t, err)
	late := []*kafkatest.Fault{cluster.CutRequests(5), cluster.DelayRequests(0), cluster.DropProduce()}
	client.send(produceFrame(2, 0, "b"))
	client.cannotWrite() // by then everything has been read
	for _, fault := range late {
		require.Zero(t, fault.Hits())
	}
	require.Equal(t, 1, cluster.ProduceRequests())
	require.Equal(t, []string{"a"}, values(t, cluster))
}

func TestCutResponses_theFirstOfSeveralCounts(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	faults := []*kafkatest.Fault{
		cluster.CutResponses(5), cluster.CutResponses(9),
		cluster.TrickleResponses(2, time.Microsecond), cluster.TrickleResponses(1, time.Hour),
	}
	client := dialRaw(t, cluster, 0)
	client.send(produceFrame(1, 0, "a"))
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Len(t, got, 5)
	for i, hits := range []int{1, 0, 1, 0} {
		require.Equal(t, hits, faults[i].Hits())
	}
}

func TestCuts_leaveAnIdempotentClientExact(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*kafkatest.Cluster, int, ...kafkatest.FaultOption) *kafkatest.Fault{
		"Requests":  (*kafkatest.Cluster).CutRequests,
		"Responses": (*kafkatest.Cluster).CutResponses,
	} {
		for kind, opts := range map[string][]kafkatest.FaultOption{
			"FIN": {kafkatest.OnTopic(topic), kafkatest.Times(1)},
			"RST": {kafkatest.OnTopic(topic), kafkatest.Times(1), kafkatest.Reset()},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				cluster := kafkatest.Start(t, kafkatest.WithTopic(topic, 1))
				client := newOther(t, cluster)
				producer := newProducer(t, cluster, idempotent())
				for i, value := range numbered(10) {
					fault := cut(cluster, 10*i, opts...)
					if i%2 == 0 {
						require.NoError(t, client.ProduceSync(testContext(t), kgo.StringRecord(value)).FirstErr())
					} else {
						require.NoError(t, send(producer, 0, value))
					}
					require.Equal(t, 1, fault.Hits())
				}
				require.Equal(t, numbered(10), values(t, cluster))
			})
		}
	}
}

func TestReset_makesDropAndLoseEndWithARST(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]func(*kafkatest.Cluster, ...kafkatest.FaultOption) *kafkatest.Fault{
		"DropProduce":         (*kafkatest.Cluster).DropProduce,
		"LoseProduceResponse": (*kafkatest.Cluster).LoseProduceResponse,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t)
			fault := install(cluster, kafkatest.Reset())
			client := dialRaw(t, cluster, 0)
			client.send(produceFrame(1, 0, "a"))
			_, err := client.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			require.Equal(t, 1, fault.Hits())
		})
	}
}
