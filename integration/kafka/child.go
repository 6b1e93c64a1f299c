package kafka

import (
	"bytes"
	"context"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// command is a program that is killed, with its children, when ctx ends.
func command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	// A group of its own: a Ctrl-C is for the test, which ends its nodes itself.
	cmd.SysProcAttr = childAttributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// start starts a program, and calls ended when it has ended. Its goroutine has a
// thread for itself: on Linux the child would die with a thread that ends.
func start(cmd *exec.Cmd, ended func(error)) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended(cmd.Wait())
		}
	}()
	return <-started
}

// output runs a program to its end and returns what it printed.
func output(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := run(cmd)
	return out.Bytes(), err
}

// run runs a program to its end.
func run(cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	if err := start(cmd, func(err error) { ended <- err }); err != nil {
		return err
	}
	return <-ended
}
