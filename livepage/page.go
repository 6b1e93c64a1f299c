package livepage

import (
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/saramakit/producer"
)

// Source is what is shown: a [*producer.Async], a [*producer.Sync], or what
// stands in for one. Details is called from several goroutines and must not block.
type Source interface {
	Details() producer.Details
}

// Page is an [http.Handler] that shows producers; see the package for what it
// serves. All methods may be called from any goroutine. Use [New].
type Page struct {
	html   []byte
	policy string // the Content-Security-Policy of html

	// turn is held by who reads the sources for all that watch.
	turn chan struct{}

	closing  chan struct{} // closed by Close
	closeAll func()

	// mu guards what follows. It is not held while a source is read.
	mu       sync.Mutex
	shown    map[string]*shown
	watchers int
	last     *frame    // what was sent to all that watch
	history  []reading // the readings of the last seconds, the oldest first; never written to
}

// shown is one producer that was added. Its address tells it from another that
// had the same name before.
type shown struct {
	name   string
	source Source
}

// New returns a Page without producers.
func New() *Page {
	p := &Page{
		turn:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		shown:   make(map[string]*shown),
	}
	p.html, p.policy = assemble()
	p.closeAll = sync.OnceFunc(func() { close(p.closing) })
	return p
}

// Add shows a producer under a name, instead of the one that had this name, if
// any. It can be shown after it was closed, until it is removed.
func (p *Page) Add(name string, s Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown[name] = &shown{name: name, source: s}
}

// Remove shows the producer of that name no more, and lets go of it within some
// seconds. It does nothing if there is none.
func (p *Page) Remove(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.shown, name)
}

// Close ends all event streams, now and from now on; the page and the JSON are
// served as before. It is for [http.Server.RegisterOnShutdown]. It waits for
// nothing and may be called several times.
func (p *Page) Close() { p.closeAll() }

// all returns what is shown, sorted by name.
func (p *Page) all() []*shown {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.shown), func(a, b *shown) int { return strings.Compare(a.name, b.name) })
}

// ServeHTTP serves the page, the JSON or the events, by the last element of the
// path. Other methods than GET and HEAD get status 405.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", p.policy)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:] {
	case "json":
		p.serveJSON(w)
	case "events":
		p.serveEvents(w, r)
	default:
		p.servePage(w, r)
	}
}

func (p *Page) servePage(w http.ResponseWriter, r *http.Request) {
	// The page finds its events beside itself, so its own path must end with a
	// slash. Whether it does only the original says: StripPrefix changes the other.
	asked, err := url.ParseRequestURI(r.RequestURI)
	if err == nil && !strings.HasSuffix(asked.Path, "/") {
		// Relative, as is everything here: a proxy may have taken a prefix away.
		w.Header().Set("Location", "./"+path.Base(asked.EscapedPath())+"/")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(p.html) // who does not read it misses it
}

func (p *Page) serveJSON(w http.ResponseWriter) {
	now := read(p.all())
	p.mu.Lock()
	history := p.history
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(report(now, history), '\n'))
}
