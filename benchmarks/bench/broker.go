package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/saramakit/producer/benchmarks/ack"
)

const (
	brokers = 3

	// beBroker makes this program the broker of another run of itself.
	beBroker = "PRODUCER_BENCHMARKS_BE_BROKER"
)

// partitionsOf reads the number at the end of a topic's name.
func partitionsOf(topic string) int32 {
	n, err := strconv.ParseInt(topic[strings.LastIndex(topic, "-")+1:], 10, 32)
	if err != nil || n < 1 {
		return 1
	}
	return int32(n)
}

// startBroker runs this program once more, as a cluster that acknowledges, so
// that its processor time and its memory are not counted. It lives until its
// stdin is closed, so it cannot outlive this process.
func startBroker() (addrs []string, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), beBroker+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("the child process names no brokers: %w", err), stop())
	}
	return strings.Split(strings.TrimSpace(line), ","), stop, nil
}

// serve is the child process: it names its brokers and ends with its stdin.
func serve(in io.Reader, out io.Writer) (err error) {
	c, err := ack.Start(brokers, partitionsOf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := fmt.Fprintln(out, strings.Join(c.Addrs(), ",")); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}
