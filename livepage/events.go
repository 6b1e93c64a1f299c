package livepage

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	interval     = time.Second      // between two events
	maxWatchers  = 32               // event streams at a time
	life         = 5 * time.Minute  // of an event stream
	writeTimeout = 10 * time.Second // for one event
	retryAfter   = 2 * time.Second  // how long a browser waits before it opens the next stream
	// linger is for how long readings are kept after the last watcher has left, for
	// the browser that opens its next stream.
	linger = 3 * retryAfter
)

// frame is what is sent to all that watch.
type frame struct {
	read time.Time
	data []byte // an event as it is sent
}

// serveEvents sends events until the client goes or does not read, life is over,
// or the Page is closed.
func (p *Page) serveEvents(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	if r.Method == http.MethodHead {
		return
	}
	if !p.enter() {
		h.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		http.Error(w, "too many watch, or the server shuts down", http.StatusServiceUnavailable)
		return
	}
	defer p.leave()

	// The deadlines are instead of the WriteTimeout of the server, which is for a
	// whole answer. A ResponseWriter that has none has nothing to be moved.
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err := control.Flush(); err != nil {
		http.Error(w, "events cannot be streamed here: "+err.Error(), http.StatusInternalServerError)
		return
	}
	send := func(data []byte) error {
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write(data); err != nil {
			return err
		}
		return control.Flush()
	}

	ctx, cancel := context.WithTimeout(r.Context(), life)
	defer cancel()
	data := []byte("retry: " + strconv.FormatInt(retryAfter.Milliseconds(), 10) + "\n\n")
	for f := (*frame)(nil); send(data) == nil; data = f.data {
		if f = p.next(ctx, f); f == nil {
			return
		}
	}
}

// enter counts a watcher, unless there are too many or the Page is closed.
func (p *Page) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closing:
		return false
	default:
	}
	if p.watchers == maxWatchers {
		return false
	}
	p.watchers++
	return true
}

func (p *Page) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers--
	if p.watchers == 0 {
		time.AfterFunc(linger, p.forget)
	}
}

// forget lets go of all readings, unless somebody watches again.
func (p *Page) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watchers == 0 {
		p.last, p.history = nil, nil
	}
}

// next returns the frame after seen, when it is time for it, or the newest one if
// seen is nil. Whoever is first reads the producers, for all that watch. It
// returns nil if ctx ends, or the Page is closed.
func (p *Page) next(ctx context.Context, seen *frame) *frame {
	if seen != nil {
		due := time.NewTimer(time.Until(seen.read.Add(interval)))
		defer due.Stop()
		select {
		case <-due.C:
		case <-ctx.Done():
			return nil
		case <-p.closing:
			return nil
		}
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil
	case <-p.closing:
		return nil
	}
	defer func() { <-p.turn }()

	p.mu.Lock()
	last, history := p.last, p.history
	p.mu.Unlock()
	if last != nil && time.Since(last.read) < interval {
		return last
	}
	now := read(p.all())
	last = &frame{read: now.at, data: slices.Concat([]byte("data: "), report(now, history), []byte("\n\n"))}
	p.mu.Lock()
	p.last, p.history = last, remember(history, now)
	p.mu.Unlock()
	return last
}
