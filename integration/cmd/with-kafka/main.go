// Command with-kafka starts one node of Apache Kafka, runs a command with its
// address in KAFKA_BROKERS, and ends the node with it:
//
//	go run ./cmd/with-kafka sh -c 'echo $KAFKA_BROKERS'
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/saramakit/producer/integration/kafka"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: with-kafka command [arguments]")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			os.Exit(failed.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "with-kafka:", err)
		os.Exit(1)
	}
}

func run(command []string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cluster, err := kafka.Start(ctx, kafka.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // it is what the caller wants to run
	cmd.Env = append(os.Environ(), "KAFKA_BROKERS="+strings.Join(cluster.Addrs(), ","))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd.Run()
}
