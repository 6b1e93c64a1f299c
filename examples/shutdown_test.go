package examples_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

// shop is the example shutdown that runs, and a client of it.
type shop struct {
	*process
	url, topic string
	cluster    *kafkatest.Cluster
	client     http.Client
}

// openShop starts the example on a cluster of the test.
func openShop(t *testing.T, folder, drain string) *shop {
	t.Helper()
	s := &shop{cluster: kafkatest.Start(t)}
	cmd := command(t, filepath.Join(folder, "shutdown"), "-drain", drain)
	cmd.Env = append(os.Environ(), "KAFKA_BROKERS="+strings.Join(s.cluster.Addrs(), ","))
	s.process = start(t, cmd)
	found := s.await(t, `msg=listening url=(\S+) topic=(\S+)\n`)
	s.url, s.topic = found[1], found[2]
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = http.Client{Transport: transport, Timeout: timeLimit}
	return s
}

// post posts an order. The error is that of the transport.
func (s *shop) post(t *testing.T, id string) (status int, err error) {
	t.Helper()
	body := fmt.Sprintf(`{"id":%q,"customer":"ada","item":"tea"}`, id)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/orders", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, errors.Join(err, answer.Body.Close())
}

// stored counts how often each order is in the log.
func (s *shop) stored(t *testing.T) map[string]int {
	t.Helper()
	records, err := s.cluster.Records(t.Context(), s.topic)
	require.NoError(t, err)
	times := make(map[string]int)
	for i := range records {
		var o struct{ ID string }
		require.NoError(t, json.Unmarshal(records[i].Value, &o))
		times[o.ID]++
	}
	return times
}

// summary is the last word of the example.
type summary struct{ accepted, delivered, failed, inFlight int }

func (s *shop) summary(t *testing.T) summary {
	t.Helper()
	var n [4]int
	for i, text := range s.await(t, `msg=ended accepted=(\d+) delivered=(\d+) failed=(\d+) in_flight=(\d+)\n`)[1:] {
		var err error
		n[i], err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	return summary{n[0], n[1], n[2], n[3]}
}

func shutdownDeliversEverythingThatWasAnsweredWith202(t *testing.T, folder string) {
	t.Helper()
	s := openShop(t, folder, "20s")
	const clients, before = 8, 500
	var answered atomic.Int64
	enough := make(chan struct{})
	promised, refused := make([][]string, clients), make([]int, clients)
	var posting sync.WaitGroup
	for c := range clients {
		posting.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", c, i)
				status, err := s.post(t, id)
				if err != nil {
					return // the shop is shut
				}
				if status != http.StatusAccepted {
					refused[c]++
					continue
				}
				promised[c] = append(promised[c], id)
				if answered.Add(1) == before {
					close(enough)
				}
			}
		})
	}
	select {
	case <-enough:
	case <-s.ended:
		require.Fail(t, "the example has ended", s.String())
	}
	// The signal comes when batches are on their way whose answer is lost: they must be stored, and once.
	lost := s.cluster.LoseProduceResponse(kafkatest.Times(3))
	require.NoError(t, lost.Wait(t.Context(), 1))
	s.signal(t, syscall.SIGTERM)
	posting.Wait()

	require.Equal(t, 0, s.exitCode(t), s)
	stored := s.stored(t)
	for c := range clients {
		require.Zero(t, refused[c])
		for _, id := range promised[c] {
			require.Equal(t, 1, stored[id], "order %s, which was answered with 202", id)
		}
	}
	for id, times := range stored {
		require.Equal(t, 1, times, "order %s", id)
	}
	// A client whose connection was cut does not know what became of its last order. The example does.
	require.Equal(t, summary{accepted: len(stored), delivered: len(stored)}, s.summary(t))
	require.GreaterOrEqual(t, len(stored), before)
	require.Contains(t, s.String(), `msg=ending cause="terminated signal received"`)
}

// postAndBreak lets a shop accept orders, and breaks the brokers when some are
// delivered: the others cannot be.
func (s *shop) postAndBreak(t *testing.T, delivered, stuck int, breakBrokers func() *kafkatest.Fault) {
	t.Helper()
	post := func(prefix string, n int) {
		for i := range n {
			status, err := s.post(t, prefix+strconv.Itoa(i))
			require.NoError(t, err)
			require.Equal(t, http.StatusAccepted, status)
		}
	}
	post("delivered-", delivered)
	require.Eventually(t, func() bool { return s.health(t)["delivered"] == float64(delivered) }, timeLimit, 10*time.Millisecond)
	fault := breakBrokers()
	post("stuck-", stuck)
	require.NoError(t, fault.Wait(t.Context(), 1)) // something is on its way
	require.InDelta(t, stuck, s.health(t)["in_flight"], 0)
}

func (s *shop) health(t *testing.T) (figures map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/health", http.NoBody)
	require.NoError(t, err)
	answer, err := s.client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, answer.Body.Close()) }()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&figures))
	return figures
}

// requireHonesty checks what the example says of orders that it gave up.
func (s *shop) requireHonesty(t *testing.T, delivered, stuck int) {
	t.Helper()
	require.Equal(t, 3, s.exitCode(t), s)
	require.Equal(t, summary{accepted: delivered + stuck, delivered: delivered, failed: stuck}, s.summary(t))
	stored := s.stored(t)
	for i := range delivered {
		require.Equal(t, 1, stored[fmt.Sprintf("delivered-%d", i)])
	}
	given := regexp.MustCompile(`msg="not delivered" order=(stuck-\d+) may_be_stored=(true|false) `).FindAllStringSubmatch(s.String(), -1)
	named := make(map[string]bool)
	for _, line := range given {
		named[line[1]] = true
		if line[2] == "false" {
			require.Zero(t, stored[line[1]], "order %s", line[1])
		}
	}
	require.Len(t, given, stuck)
	require.Len(t, named, stuck)
	require.Contains(t, s.String(), "msg=exit code=3 ")
}

func shutdownEndsInTimeAndCountsHonestlyWhenBrokersAreSilent(t *testing.T, folder string) {
	t.Helper()
	const drain = 3 * time.Second
	s := openShop(t, folder, drain.String())
	s.postAndBreak(t, 50, 100, func() *kafkatest.Fault { return s.cluster.Freeze() })
	start := time.Now()
	s.signal(t, syscall.SIGTERM)
	s.requireHonesty(t, 50, 100)
	require.GreaterOrEqual(t, time.Since(start), drain, "the brokers might have come back")
	require.Less(t, time.Since(start), drain+2*time.Second)
}

func shutdownIsForcedByASecondSignal(t *testing.T, folder string) {
	t.Helper()
	s := openShop(t, folder, "1h")
	// What is on its way gets stored, though the brokers deny it.
	s.postAndBreak(t, 1, 20, func() *kafkatest.Fault {
		return s.cluster.FailProduceAfterAppend(int16(sarama.ErrRequestTimedOut))
	})
	s.signal(t, syscall.SIGTERM)
	s.await(t, `msg=ending cause="terminated signal received"`)
	start := time.Now()
	s.signal(t, os.Interrupt)
	s.requireHonesty(t, 1, 20)
	require.Less(t, time.Since(start), 2*time.Second)
	require.Positive(t, s.stored(t)["stuck-0"])
}

func shutdownLeavesTimeToDeliverWhenAClientIsSlow(t *testing.T, folder string) {
	t.Helper()
	s := openShop(t, folder, "6s")
	slow, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, slow.Close()) }()
	_, err = io.WriteString(slow, "POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	asked, err := bufio.NewReader(slow).ReadString('\n') // somebody waits for the body
	require.NoError(t, err)
	require.Contains(t, asked, "100 Continue")

	var fault *kafkatest.Fault
	s.postAndBreak(t, 1, 20, func() *kafkatest.Fault {
		fault = s.cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas))
		return fault
	})
	s.signal(t, syscall.SIGTERM)
	s.await(t, `msg="requests are cut off"`)
	fault.Remove()
	require.Equal(t, 0, s.exitCode(t), s)
	require.Equal(t, summary{accepted: 21, delivered: 21}, s.summary(t))
	require.Len(t, s.stored(t), 21)
}
