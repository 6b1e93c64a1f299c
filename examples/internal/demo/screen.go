package demo

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// Screen prints what happens, each line with the time since the start. It is
// safe for concurrent use.
type Screen struct {
	out      *os.File
	start    time.Time
	terminal bool

	mu         sync.Mutex
	inProgress bool          // the cursor is on a line that Progress wrote
	printed    time.Duration // when Progress last printed without a terminal
}

// NewScreen returns a Screen that prints to out.
func NewScreen(out *os.File) *Screen {
	info, err := out.Stat()
	return &Screen{
		out: out, start: time.Now(),
		terminal: err == nil && info.Mode()&os.ModeCharDevice != 0,
	}
}

// Say prints a line that stays.
func (s *Screen) Say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write("%4.1f s  %s\n", s.Elapsed().Seconds(), fmt.Sprintf(format, args...))
}

// Print prints text as it is.
func (s *Screen) Print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write("%s", text)
}

// Progress shows a line that the next one replaces. Where there is no terminal
// it prints a line now and then.
func (s *Screen) Progress(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := ""
	if !s.terminal {
		if s.Elapsed()-s.printed < time.Second {
			return
		}
		s.printed, end = s.Elapsed(), "\n"
	}
	s.write("%4.1f s  %s%s", s.Elapsed().Seconds(), fmt.Sprintf(format, args...), end)
	s.inProgress = s.terminal
}

// Elapsed is the time since the start.
func (s *Screen) Elapsed() time.Duration { return time.Since(s.start) }

// write replaces the line that Progress wrote, if there is one. That nobody can
// see the screen any more changes nothing about the result.
func (s *Screen) write(format string, args ...any) {
	if s.inProgress {
		format = "\r\033[K" + format
		s.inProgress = false
	}
	_, _ = fmt.Fprintf(s.out, format, args...)
}

// Count writes n with commas: 12,345.
func Count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
