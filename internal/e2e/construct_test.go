package e2e

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// construct makes a producer of either kind.
func construct(ctx context.Context, m mode, addrs []string, opts ...producer.Option) (underTest, error) {
	if m.sync {
		p, err := producer.NewSync(ctx, addrs, append(quick(m), opts...))
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	p, err := producer.NewAsync(ctx, addrs, append(quick(m), opts...))
	if err != nil {
		return nil, err
	}
	return p, nil
}

// listener is a server that is no broker.
func listener(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // nothing to do about it
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		<-done
	})
	return l.Addr().String()
}

// silent accepts and never answers.
func silent(t *testing.T) string {
	t.Helper()
	return listener(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// http answers every line like a web server.
func http(t *testing.T) string {
	t.Helper()
	return listener(t, func(c net.Conn) {
		_, _ = bufio.NewReader(c).ReadByte()
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
}

// hangingUp accepts and hangs up.
func hangingUp(t *testing.T) string {
	t.Helper()
	return listener(t, func(net.Conn) {})
}

// refusing is an address where nobody listens, nor can: the port is that of a
// connection, so no cluster of another test gets it.
func refusing(t *testing.T) string {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", silent(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c.LocalAddr().String()
}

//nolint:paralleltest // it looks for goroutines that are left
func TestConstruct_withoutABrokerItFailsInTimeNamesEachCauseAndLeavesNothing(t *testing.T) {
	for name, serve := range map[string]func(*testing.T) string{
		"refusing": refusing, "silent": silent, "http": http, "hanging up": hangingUp,
	} {
		for _, m := range modes {
			t.Run(name+" "+m.String(), func(t *testing.T) {
				verifyNothingLeft(t)
				var s sockets
				addrs := []string{serve(t), refusing(t)}
				limit := 300 * time.Millisecond
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				defer cancel()
				var err error
				elapsed := took(func() { _, err = construct(ctx, m, addrs, s.option()) })
				require.Less(t, elapsed, limit+slack)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				for _, addr := range addrs {
					require.ErrorContains(t, err, addr+": ")
				}
				require.NotErrorIs(t, err, producer.ErrInvalidConfig)
				_, open := s.count()
				require.Zero(t, open, "connections are left")
				t.Log(err)
			})
		}
	}
}

//nolint:paralleltest // it looks for goroutines that are left
func TestConstruct_aContextThatIsCancelledOnTheWayEndsItAndLeavesNothing(t *testing.T) {
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			verifyNothingLeft(t)
			cluster := kafkatest.Start(t)
			// The first request is answered by nobody: not before, and not
			// after the connection is made.
			frozen := cluster.Freeze()
			var s sockets
			ctx, cancel := context.WithCancelCause(context.Background())
			cause := errors.New("never mind")
			go func() {
				_ = frozen.Wait(ctx, 1)
				cancel(cause)
			}()
			var err error
			elapsed := took(func() { _, err = construct(ctx, m, cluster.Addrs(), s.option()) })
			require.Less(t, elapsed, slack)
			require.ErrorIs(t, err, cause)
			_, open := s.count()
			require.Zero(t, open, "connections are left")
		})
	}
}

//nolint:paralleltest // it looks for goroutines that are left
func TestConstruct_aClusterThatFreezesAtAnyStepFailsItInTimeAndLeavesNothing(t *testing.T) {
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			verifyNothingLeft(t)
			var s sockets
			// It talks to the cluster until it asks for the topic.
			cluster := startCluster(t)
			unanswered := cluster.FailMetadata(topic, int16(sarama.ErrBrokerNotAvailable))
			limit := 300 * time.Millisecond
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			var err error
			elapsed := took(func() {
				_, err = construct(ctx, m, cluster.Addrs(), s.option(), producer.WithTopics(topic))
			})
			require.Less(t, elapsed, limit+slack)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, topic)
			require.Positive(t, unanswered.Hits())
			_, open := s.count()
			require.Zero(t, open, "connections are left")
		})
	}
}

//nolint:paralleltest // it looks for goroutines that are left
func TestConstruct_aTopicThatDoesNotExistIsAnErrorAndLeavesNothing(t *testing.T) {
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			verifyNothingLeft(t)
			var s sockets
			cluster := startCluster(t)
			grace := 200 * time.Millisecond
			var err error
			elapsed := took(func() {
				_, err = construct(bounded(t), m, cluster.Addrs(), s.option(),
					producer.WithTopics(topic, "missing", "absent"), producer.WithUnknownTopicTimeout(grace))
			})
			require.Less(t, elapsed, grace+slack)
			require.GreaterOrEqual(t, elapsed, grace)
			require.ErrorIs(t, err, producer.ErrUnknownTopic)
			require.ErrorContains(t, err, "missing")
			require.ErrorContains(t, err, "absent")
			require.NotContains(t, err.Error(), `"`+topic+`"`)
			_, open := s.count()
			require.Zero(t, open, "connections are left")
		})
	}
}

func TestConstruct_topicsThatAreNamedAreKnownFromTheStart(t *testing.T) {
	t.Parallel()
	inModes(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t, kafkatest.WithTopic("other", 1))
		r := newRig(t, m, cluster, producer.WithTopics(topic, "other"))
		// From here on nobody can look anything up, and nobody has to.
		down := cluster.FailMetadata(topic, int16(sarama.ErrUnknownTopicOrPartition))
		r.run(bounded(t), load{senders: 2, each: 50})
		r.finishWithoutFailures()
		require.Zero(t, down.Hits())
	})
}

func TestConstruct_aTopicThatIsCreatedWithinTheGraceIsFound(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t)
	asked := cluster.HideTopic("late")
	made := make(chan error, 1)
	ctx := bounded(t)
	go func() {
		p, err := construct(ctx, mode{}, cluster.Addrs(), producer.WithTopics("late"))
		if err == nil {
			err = p.Close(ctx)
		}
		made <- err
	}()
	require.NoError(t, asked.Wait(ctx, 1))
	require.NoError(t, cluster.CreateTopic("late", 1))
	asked.Remove()
	require.NoError(t, <-made)
}

//nolint:paralleltest // it measures
func TestConstruct_oneSilentSeedOfThreeDoesNotSlowTheStart(t *testing.T) {
	oneByOne(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		for range 5 {
			addrs := append([]string{silent(t), refusing(t)}, cluster.Addrs()[0])
			var p underTest
			elapsed := took(func() {
				var err error
				p, err = construct(bounded(t), m, addrs)
				require.NoError(t, err)
				require.NoError(t, p.Send(bounded(t), &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")}))
				require.NoError(t, p.Flush(bounded(t)))
			})
			// The default timeouts are 5 s and 15 s.
			require.Less(t, elapsed, time.Second)
			require.NoError(t, p.Close(bounded(t)))
		}
	})
}

//nolint:paralleltest // during an outage another test's cluster could get its ports
func TestConstruct_waitsForAClusterThatComesUpLater(t *testing.T) {
	oneByOne(t, kinds, func(t *testing.T, m mode) {
		cluster := startCluster(t)
		require.NoError(t, cluster.Outage())
		ctx := bounded(t)
		made := make(chan error, 1)
		go func() {
			p, err := construct(ctx, m, cluster.Addrs())
			if err == nil {
				err = p.Close(ctx)
			}
			made <- err
		}()
		require.NoError(t, cluster.Return())
		require.NoError(t, <-made)
	})
}

func TestConstruct_withoutADeadlineItGivesUpAfterTenSeconds(t *testing.T) {
	t.Parallel()
	var err error
	elapsed := took(func() { _, err = construct(context.Background(), mode{}, []string{refusing(t)}) })
	require.Error(t, err)
	require.GreaterOrEqual(t, elapsed, 9*time.Second)
	require.Less(t, elapsed, 10*time.Second+slack)
}
