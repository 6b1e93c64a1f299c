package livepage

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// advance moves virtual time.
func advance(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the one place where tests sleep, in virtual time
	synctest.Wait()
}

// get asks a handler once.
func get(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody))
	return w
}

// watchers is how many watch.
func watchers(p *Page) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watchers
}

// remembered is how many readings a Page holds.
func remembered(p *Page) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil {
		return max(1, len(p.history))
	}
	return len(p.history)
}

// figures decodes what the JSON says.
func figures(t *testing.T, data string) allJSON {
	t.Helper()
	var all allJSON
	d := json.NewDecoder(strings.NewReader(data))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&all), data)
	return all
}

// pipes is a net.Listener without a network, so that it works in virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.close()
	return nil
}

func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// server is an http.Server in a bubble.
type server struct {
	*http.Server
	pipes *pipes
}

// serve starts a server, which ends with the test.
func serve(t *testing.T, h http.Handler, change ...func(s *http.Server)) *server {
	t.Helper()
	closed := make(chan struct{})
	s := &server{
		Server: &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute},
		pipes:  &pipes{conns: make(chan net.Conn), closed: closed, close: sync.OnceFunc(func() { close(closed) })},
	}
	for _, c := range change {
		c(s.Server)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(s.pipes) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return s
}

// stream is an event stream that a test reads.
type stream struct {
	t      *testing.T
	status int
	header http.Header
	conn   net.Conn
	events chan string // closed when the stream has ended
}

// watch opens an event stream and reads it.
func (s *server) watch(t *testing.T) *stream {
	t.Helper()
	conn := s.ask(t)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	w := &stream{t: t, status: response.StatusCode, header: response.Header, conn: conn, events: make(chan string, 1000)}
	go func() {
		defer close(w.events)
		defer func() { _ = response.Body.Close() }()
		lines := bufio.NewReader(response.Body)
		event := ""
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if event += line; line == "\n" {
				w.events <- event
				event = ""
			}
		}
	}()
	t.Cleanup(w.leave)
	synctest.Wait()
	return w
}

// ask asks for events and reads nothing.
func (s *server) ask(t *testing.T) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	s.pipes.conns <- there
	_, err := io.WriteString(here, "GET /events HTTP/1.1\r\nHost: example.com\r\n\r\n")
	require.NoError(t, err)
	t.Cleanup(func() { _ = here.Close() })
	return here
}

func (w *stream) leave() { _ = w.conn.Close() }

// next returns the event that has come.
func (w *stream) next() string {
	w.t.Helper()
	synctest.Wait()
	select {
	case event, ok := <-w.events:
		require.True(w.t, ok, "the stream has ended")
		return event
	default:
		require.Fail(w.t, "no event has come")
		return ""
	}
}

// figures returns those of the next event, and expects its form.
func (w *stream) figures() allJSON {
	w.t.Helper()
	event := w.next()
	data, ok := strings.CutPrefix(event, "data: ")
	require.True(w.t, ok, event)
	require.Equal(w.t, 2, strings.Count(event, "\n"), "one line of data and an empty one")
	return figures(w.t, data)
}

// ended says whether the stream has ended, whatever came before.
func (w *stream) ended() bool {
	synctest.Wait()
	for {
		select {
		case _, ok := <-w.events:
			if !ok {
				return true
			}
		default:
			return false
		}
	}
}
