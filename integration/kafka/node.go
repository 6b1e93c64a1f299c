package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// readyLine is the last line that a node logs when it starts: the controllers
// know the broker by then, and its ports are open.
const readyLine = "Kafka Server started"

// node is one Java process, or the place of one.
type node struct {
	id   int
	log  string // the file
	make func(ctx context.Context) *exec.Cmd

	mu      sync.Mutex // never held while something is waited for
	process *process   // nil: there was none yet
	frozen  bool
}

// process is one life of a node.
type process struct {
	cmd   *exec.Cmd
	ready <-chan struct{}
	ended chan struct{} // closed when it is gone and reaped
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// current is the running process, nil if there is none.
func (n *node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil || !n.process.running() {
		return nil
	}
	return n.process
}

func (n *node) running() bool { return n.current() != nil }

// answers reports whether the node runs and is not frozen.
func (n *node) answers() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process != nil && n.process.running() && !n.frozen
}

// launch starts a process. It does not wait until it is ready.
func (n *node) launch() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil && n.process.running() {
		return fmt.Errorf("kafka: node %d is running", n.id)
	}
	f, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	watch := &watcher{file: f, found: make(chan struct{})}
	// Ended by a signal, not by a ctx.
	cmd := n.make(context.Background())
	cmd.Stdout, cmd.Stderr = watch, watch
	p := &process{cmd: cmd, ready: watch.found, ended: make(chan struct{})}
	err = start(cmd, func(error) {
		_ = f.Close()
		close(p.ended)
	})
	if err != nil {
		_ = f.Close()
		return err
	}
	n.process, n.frozen = p, false
	return nil
}

// waitReady waits until the node serves clients.
func (n *node) waitReady(ctx context.Context) error {
	p := n.current()
	if p == nil {
		return fmt.Errorf("kafka: node %d ended while it started: %s", n.id, n.complaints())
	}
	select {
	case <-p.ready:
		return nil
	case <-p.ended:
		return fmt.Errorf("kafka: node %d ended while it started: %s", n.id, n.complaints())
	case <-ctx.Done():
		return fmt.Errorf("kafka: node %d did not get ready, see %s (of three nodes two must run): %w",
			n.id, n.log, context.Cause(ctx))
	}
}

// complaints are the last errors in the log.
func (n *node) complaints() string {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "ERROR") || strings.Contains(line, "FATAL") || strings.Contains(line, "Exception") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	found = found[max(0, len(found)-3):]
	return strings.Join(append(found, "see "+n.log), "; ")
}

// signal sends a signal to the running process.
func (n *node) signal(s syscall.Signal) (*process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil || !n.process.running() {
		return nil, fmt.Errorf("kafka: node %d is not running", n.id)
	}
	if err := n.process.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("kafka: node %d: %w", n.id, err)
	}
	switch s { //nolint:exhaustive // the others change nothing
	case syscall.SIGSTOP:
		n.frozen = true
	case syscall.SIGCONT:
		n.frozen = false
	}
	return n.process, nil
}

// kill ends the process as a crash does, and waits until it is gone.
func (n *node) kill() error {
	p, err := n.signal(syscall.SIGKILL)
	if err != nil {
		return err
	}
	<-p.ended
	return nil
}

// stop asks the process to end, and kills it if it does not in time.
func (n *node) stop(within time.Duration) error {
	p, err := n.signal(syscall.SIGTERM)
	if err != nil {
		return err
	}
	if _, err := n.signal(syscall.SIGCONT); err != nil && p.running() {
		return err // frozen, it would not see the request
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
	}
	_ = p.cmd.Process.Kill() // or it has ended just now
	<-p.ended
	return nil
}

// watcher writes a log to a file and looks for the line that says "ready".
type watcher struct {
	file  *os.File
	tail  string
	found chan struct{}
	done  bool
}

func (w *watcher) Write(b []byte) (int, error) {
	if !w.done {
		w.tail += string(b)
		if strings.Contains(w.tail, readyLine) {
			w.done, w.tail = true, ""
			close(w.found)
		} else {
			w.tail = w.tail[max(0, len(w.tail)-len(readyLine)):]
		}
	}
	return w.file.Write(b)
}

// jvm is a Java program with Kafka's jars.
func (d distribution) jvm(ctx context.Context, dir string, options []string, class string, args ...string) *exec.Cmd {
	all := append([]string{
		"-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + filepath.Join(dir, "log4j2.properties"),
		"-cp", filepath.Join(d.libs, "*"),
	}, options...)
	return command(ctx, d.java, append(append(all, class), args...)...)
}
