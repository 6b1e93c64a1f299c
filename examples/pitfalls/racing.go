package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/examples/internal/demo"
)

const (
	senders  = 8
	warmUp   = 200              // messages before Close
	rounds   = 20               // with this library
	tryUntil = 20 * time.Second // with bare sarama: whether a round kills is chance

	racingText     = "racing"
	racingBareText = "racing, bare"
)

// childArg makes the program a child of itself, which may die.
const childArg = "close-under-load"

// child runs with the arguments that inChild gives it.
func child(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("a child needs a variant, brokers and a topic")
	}
	addrs, topic := strings.Split(args[1], ","), args[2]
	go func() { // the child ends with its parent, whatever ends that
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	race := raceBare
	if args[0] == racingText {
		race = raceProducer
	}
	result, err := race(ctx, addrs, topic)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// tally is what a child that lives to its end reports.
type tally struct{ Rounds, Accepted, Delivered, Refused, Panics int64 }

// inChild runs this program again and returns what it reported, or what it said
// when it died.
func inChild(ctx context.Context, cluster *demo.Cluster, variant string) (t tally, died string, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryUntil+limit)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return t, "", err
	}
	cmd := exec.CommandContext(ctx, self, childArg, variant, strings.Join(cluster.Addrs, ","), cluster.Topic)
	cmd.Env = append(os.Environ(), "GOTRACEBACK=single") // the stack of what panicked, and no other
	if _, err := cmd.StdinPipe(); err != nil {           // it stays open until the child or we have ended
		return t, "", err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return t, stderr.String(), err
	}
	err = json.Unmarshal(stdout.Bytes(), &t)
	return t, "", err
}

func racingBare(ctx context.Context, cluster *demo.Cluster) (string, error) {
	t, died, err := inChild(ctx, cluster, racingBareText)
	if err == nil {
		return "", fmt.Errorf("the process survived %d rounds, in which %d sends panicked", t.Rounds, t.Panics)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return "", err
	}
	const closed = "panic: send on closed channel"
	code := exit.ExitCode()
	// The senders recover, so it is not their panic that one sees here.
	if code != 2 || !strings.Contains(died, closed) || !strings.Contains(died, "created by github.com/IBM/sarama.") {
		return "", fmt.Errorf("the process ended with %w: %s", err, died)
	}
	return fmt.Sprintf("exit code %d, %q in a goroutine of sarama's, where no recover helps", code, closed), nil
}

// raceBare closes a producer under load until that kills the process.
func raceBare(_ context.Context, addrs []string, topic string) (tally, error) {
	var panics atomic.Int64
	var t tally
	for end := time.Now().Add(tryUntil); time.Now().Before(end); t.Rounds++ {
		p, err := sarama.NewAsyncProducer(addrs, sarama.NewConfig())
		if err != nil {
			return t, err
		}
		err = underLoad(func() (more bool) {
			defer func() {
				if recover() != nil { // a careful sender
					panics.Add(1)
				}
			}()
			p.Input() <- message(topic, racingBareText)
			return true
		}, func() error {
			_ = p.Close() // the errors of messages that came too late
			return nil
		})
		if err != nil {
			return t, err
		}
	}
	t.Panics = panics.Load()
	return t, nil
}

// underLoad sends from many goroutines, until send says that it is over, and
// calls closeIt meanwhile.
func underLoad(send func() (more bool), closeIt func() error) error {
	var sent atomic.Int64
	warm := make(chan struct{})
	var running sync.WaitGroup
	for range senders {
		running.Go(func() {
			for send() {
				if sent.Add(1) == warmUp {
					close(warm)
				}
			}
		})
	}
	<-warm
	err := closeIt()
	running.Wait()
	return err
}

func racingProducer(ctx context.Context, cluster *demo.Cluster) (string, error) {
	t, died, err := inChild(ctx, cluster, racingText)
	if err != nil {
		return "", fmt.Errorf("the process ended with %w: %s", err, died)
	}
	n, err := stored(ctx, cluster, racingText)
	if err != nil {
		return "", err
	}
	if t.Rounds != rounds || t.Delivered != t.Accepted || t.Refused != rounds*senders || int64(n) != t.Accepted {
		return "", fmt.Errorf("%+v, of which %d are stored", t, n)
	}
	return fmt.Sprintf("exit code 0 after %d rounds: of %s sends %s were accepted and delivered, %d got ErrClosed",
		t.Rounds, demo.Count(int(t.Accepted+t.Refused)), demo.Count(int(t.Accepted)), t.Refused), nil
}

// raceProducer closes producers under load, one after the other.
func raceProducer(ctx context.Context, addrs []string, topic string) (tally, error) {
	ctx, cancel := context.WithTimeout(ctx, tryUntil)
	defer cancel()
	var refused atomic.Int64
	var t tally
	for ; t.Rounds < rounds; t.Rounds++ {
		p, err := producer.NewAsync(ctx, addrs)
		if err != nil {
			return t, err
		}
		errs := make(chan error, senders)
		err = underLoad(func() (more bool) {
			err := p.Send(ctx, message(topic, racingText))
			switch {
			case err == nil:
				return true
			case errors.Is(err, producer.ErrClosed):
				refused.Add(1)
			default:
				errs <- err
			}
			return false
		}, func() error { return p.Close(ctx) })
		close(errs)
		for e := range errs {
			err = errors.Join(err, e)
		}
		if err != nil {
			return t, err
		}
		s := p.Stats()
		t.Accepted += s.Accepted
		t.Delivered += s.Delivered
	}
	t.Refused = refused.Load()
	return t, nil
}
