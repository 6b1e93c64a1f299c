package examples_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The programs end after a few seconds; a machine that does much else meanwhile
// is given more.
const timeLimit = time.Minute

// build compiles programs into a folder, with the race detector if the test has
// it.
func build(t *testing.T, programs ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	args := []string{"build", "-o", folder}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", append(args, programs...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	return folder
}

// command prepares a run of a program, bounded by timeLimit.
func command(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, program, args...)
}

// output runs a program that must succeed and say nothing on standard error.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	require.NoError(t, err, "%s%s", &stdout, &stderr)
	require.Empty(t, stderr.String())
	return stdout.String()
}

// interrupted runs a program that must succeed, and sends it an interrupt when
// it has said what is waited for.
func interrupted(t *testing.T, cmd *exec.Cmd, when string) string {
	t.Helper()
	p := start(t, cmd)
	p.await(t, regexp.QuoteMeta(when))
	p.signal(t, os.Interrupt)
	require.Equal(t, 0, p.exitCode(t), p)
	return p.String()
}

// process is a program that runs, and what it has printed so far.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
	err   error         // how, to be read after that

	mu      sync.Mutex
	text    []byte
	printed chan struct{} // closed, and replaced, when text grows
}

// start starts a program that does not outlive the test.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent a signal on Windows")
	}
	p := &process{cmd: cmd, ended: make(chan struct{}), printed: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	require.NoError(t, cmd.Start())
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		<-p.ended
	})
	return p
}

// await waits until the program has printed what matches pattern, and returns
// the match and its groups.
func (p *process) await(t *testing.T, pattern string) []string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	for late := time.After(timeLimit); ; {
		p.mu.Lock()
		found, printed := expression.FindStringSubmatch(string(p.text)), p.printed
		p.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-printed:
		case <-p.ended: // it has printed all that it ever will
			found := expression.FindStringSubmatch(p.String())
			require.NotNil(t, found, "%q was not printed: %s", pattern, p)
			return found
		case <-late:
			require.Fail(t, "too late", "%q was not printed: %s", pattern, p)
		}
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(s), p)
}

// exitCode waits until the program has ended.
func (p *process) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(timeLimit):
		require.Fail(t, "the program has not ended", p.String())
	}
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) {
		require.NoError(t, p.err)
		return 0
	}
	return exit.ExitCode()
}

func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = append(p.text, text...)
	close(p.printed)
	p.printed = make(chan struct{})
	return len(text), nil
}

func (p *process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.text)
}
