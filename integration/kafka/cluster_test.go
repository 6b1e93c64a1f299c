package kafka_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/integration/kafka"
)

// bounded is a ctx for what takes seconds on a busy machine.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// produce stores values in partition 0 of orders, with bare sarama.
func produce(t *testing.T, cluster *kafka.Cluster, values ...string) {
	t.Helper()
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Retry.Max = 100
	config.Metadata.Retry.Max = 100
	// What a frozen node costs; it is stored once although it may be sent again.
	config.Net.DialTimeout, config.Net.ReadTimeout, config.Net.WriteTimeout = 3*time.Second, 3*time.Second, 3*time.Second
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	p, err := sarama.NewSyncProducer(cluster.Addrs(), config)
	require.NoError(t, err)
	for i, value := range values {
		_, _, err := p.SendMessage(&sarama.ProducerMessage{
			Topic: "orders", Key: sarama.StringEncoder(fmt.Sprint(i)), Value: sarama.StringEncoder(value),
		})
		require.NoError(t, err)
	}
	require.NoError(t, p.Close())
}

// values is what partition 0 of a topic holds.
func values(records []kafka.Record) []string {
	var all []string
	for i := range records {
		all = append(all, string(records[i].Value))
	}
	return all
}

// gone reports whether there is no such process, not even an unreaped one.
func gone(pid int) bool { return syscall.Kill(pid, 0) != nil }

func TestCluster_oneNodeKeepsWhatItAcknowledgedAcrossACrash(t *testing.T) {
	t.Parallel()
	cluster := kafka.Run(t, kafka.Options{})
	ctx := bounded(t)
	require.NoError(t, cluster.CreateTopic(ctx, "orders", 2, nil))
	produce(t, cluster, "a", "\x00\xff\\x5C\t\n", "")

	pid := cluster.PID(1)
	require.False(t, gone(pid))
	require.NoError(t, cluster.Kill(1))
	require.False(t, cluster.Running(1))
	require.True(t, gone(pid), "the process is left")
	require.ErrorContains(t, cluster.Kill(1), "is not running")

	require.NoError(t, cluster.StartNodes(ctx, 1))
	require.True(t, cluster.Running(1))
	require.ErrorContains(t, cluster.StartNodes(ctx, 1), "is running")
	produce(t, cluster, "after")

	records, err := cluster.Records(ctx, "orders")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "\x00\xff\\x5C\t\n", "", "after"}, values(records))
	require.EqualValues(t, 3, records[3].Offset)
	console, err := cluster.ConsoleRecords(ctx, "orders")
	require.NoError(t, err)
	require.Len(t, console, len(records))
	for i, r := range records {
		r.Headers, r.Timestamp = nil, time.Time{}
		require.Equal(t, r, console[i])
	}

	require.NoError(t, cluster.DeleteTopic(ctx, "orders"))
	_, err = cluster.Records(ctx, "orders")
	require.ErrorContains(t, err, "UNKNOWN_TOPIC_OR_PARTITION")
}

func TestCluster_closeLeavesNeitherProcessesNorFiles(t *testing.T) {
	t.Parallel()
	kafka.SkipUnlessWanted(t)
	cluster, err := kafka.Start(t.Context(), kafka.Options{TLS: true, SASL: true, ACLs: true})
	kafka.Require(t, err)
	pid := cluster.PID(1)
	for _, addrs := range [][]string{cluster.SASLAddrs(), cluster.TLSAddrs(), cluster.SASLTLSAddrs()} {
		require.Len(t, addrs, 1)
	}
	login(t, cluster, "app-secret", false)
	login(t, cluster, "wrong", true)
	require.NoError(t, cluster.Freeze(1))
	require.NoError(t, cluster.Close(), "of a frozen node")
	require.True(t, gone(pid), "the process is left")
	require.NoDirExists(t, cluster.Dir())
	require.NoError(t, cluster.Close(), "again")
}

// login connects over TLS with a password.
func login(t *testing.T, cluster *kafka.Cluster, password string, fails bool) {
	t.Helper()
	config := sarama.NewConfig()
	trust, err := cluster.TLSConfig()
	require.NoError(t, err)
	config.Net.TLS.Enable, config.Net.TLS.Config = true, trust
	config.Net.SASL.Enable, config.Net.SASL.User, config.Net.SASL.Password = true, kafka.AppUser, password
	config.Metadata.Retry.Max = 0
	client, err := sarama.NewClient(cluster.SASLTLSAddrs(), config)
	if fails {
		require.ErrorIs(t, err, sarama.ErrSASLAuthenticationFailed)
		return
	}
	require.NoError(t, err)
	require.NoError(t, client.Close())
}

func TestCluster_ofThreeMovesLeadersWhenNodesAreAway(t *testing.T) {
	t.Parallel()
	cluster := kafka.Run(t, kafka.Options{Nodes: 3})
	require.NoError(t, cluster.CreateTopic(bounded(t), "orders", 1, nil))
	require.NoError(t, cluster.InSync(bounded(t)))
	produce(t, cluster, "1")

	first, err := cluster.Leader(bounded(t), "orders", 0)
	require.NoError(t, err)
	require.NoError(t, cluster.Kill(int(first)))
	second := waitForOtherLeader(t, cluster, first)
	produce(t, cluster, "2")
	require.NoError(t, cluster.StartNodes(bounded(t)))
	require.NoError(t, cluster.InSync(bounded(t)))
	require.NoError(t, cluster.MoveLeader(bounded(t), "orders", 0, first))

	controller, err := cluster.Controller(bounded(t))
	require.NoError(t, err)
	require.NoError(t, cluster.Freeze(controller))
	require.True(t, cluster.Running(controller), "it is frozen and not gone")
	next, err := cluster.Controller(bounded(t))
	require.NoError(t, err)
	require.NotEqual(t, controller, next)
	produce(t, cluster, "3")
	require.NoError(t, cluster.Thaw(controller))
	require.NoError(t, cluster.InSync(bounded(t)))

	require.NoError(t, cluster.Stop(int(second)))
	require.NoError(t, cluster.StartNodes(bounded(t), int(second)))
	require.NoError(t, cluster.InSync(bounded(t)))
	require.NoError(t, cluster.AddPartitions(bounded(t), "orders", 2))
	records, err := cluster.Records(bounded(t), "orders")
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3"}, values(records))
}

// waitForOtherLeader waits until another node leads partition 0.
func waitForOtherLeader(t *testing.T, cluster *kafka.Cluster, than int32) int32 {
	t.Helper()
	var leader int32
	require.Eventually(t, func() bool {
		var err error
		leader, err = cluster.Leader(bounded(t), "orders", 0)
		return err == nil && leader > 0 && leader != than
	}, 30*time.Second, 50*time.Millisecond)
	return leader
}

func TestStart_aFailureSaysWhyAndLeavesNoProcess(t *testing.T) {
	t.Parallel()
	kafka.SkipUnlessWanted(t)
	dir := t.TempDir()
	_, err := kafka.Start(t.Context(), kafka.Options{Dir: dir, Settings: map[string]string{"num.io.threads": "none"}})
	require.ErrorContains(t, err, "num.io.threads")
	require.FileExists(t, filepath.Join(dir, "node1", "server.properties"), "the caller's folder is kept")
	_, err = kafka.Start(t.Context(), kafka.Options{Nodes: 2})
	require.ErrorContains(t, err, "use 1 or 3")
}

func TestStart_whatIsMissingIsNamedWithItsRemedy(t *testing.T) {
	t.Setenv("JAVA_HOME", t.TempDir())
	_, err := kafka.Start(t.Context(), kafka.Options{})
	missing := &kafka.MissingError{}
	require.ErrorAs(t, err, &missing)
	require.Contains(t, missing.Remedy, "install Java 17")

	// A Java that is too old, and then one that is not.
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, "bin"), 0o700))
	fake := func(version string) {
		script := fmt.Sprintf("#!/bin/sh\necho 'openjdk version %q 2024-01-01' >&2\n", version)
		require.NoError(t, os.WriteFile(filepath.Join(home, "bin", "java"), []byte(script), 0o700))
	}
	t.Setenv("JAVA_HOME", home)
	for _, version := range []string{"1.8.0_392", "11.0.20"} {
		fake(version)
		_, err = kafka.Start(t.Context(), kafka.Options{})
		require.ErrorAs(t, err, &missing)
		require.Contains(t, missing.What, "too old")
	}
	fake("17.0.15")
	t.Setenv("KAFKA_LIBS", t.TempDir())
	_, err = kafka.Start(t.Context(), kafka.Options{})
	require.ErrorAs(t, err, &missing)
	require.Contains(t, missing.What, "kafka_2.13-"+kafka.Version+".jar")

	t.Setenv("KAFKA_LIBS", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("PATH", t.TempDir())
	_, err = kafka.Start(t.Context(), kafka.Options{})
	require.ErrorAs(t, err, &missing)
	require.Contains(t, missing.Remedy, "apt-get install maven")
}

func TestConsole_everyByteIsReadAsItWasPrinted(t *testing.T) {
	t.Parallel()
	for printed, want := range map[string][]byte{
		"none-of-f3b1c9d07a52": nil, "": {}, "null": []byte("null"), `a\x09\x5C\xFF`: []byte("a\t\\\xff"),
	} {
		got, err := kafka.Unescape(printed)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, broken := range []string{`\x`, `\xzz`, `\n`} {
		_, err := kafka.Unescape(broken)
		require.Error(t, err, broken)
	}
}
