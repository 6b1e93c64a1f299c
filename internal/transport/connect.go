package transport

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/netdial"
)

// ConnectError says why no broker could be reached: for each address the last
// cause.
type ConnectError struct {
	Addrs []string
	Errs  []error // as Addrs; never nil
	Cause error   // what ended the attempts
}

func (e *ConnectError) Error() string {
	var b strings.Builder
	b.WriteString("no broker can be reached")
	for i, addr := range e.Addrs {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + addr + ": " + e.Errs[i].Error())
	}
	return b.String()
}

// Unwrap returns the causes.
func (e *ConnectError) Unwrap() []error {
	if e.Cause == nil {
		return e.Errs
	}
	return append([]error{e.Cause}, e.Errs...)
}

// errNoAnswer is the cause for a broker that took the connection, or swallowed
// it, and never said anything.
var errNoAnswer = errors.New("no answer")

const (
	// others is how long the other addresses may take once one has answered,
	// before they are left out for a while.
	others = 100 * time.Millisecond
	// connectFirst and connectMost are the waits between two rounds.
	connectFirst = 100 * time.Millisecond
	connectMost  = time.Second
)

// setDialer makes all connections of the client go through a dialer that can
// cut them. A proxy that the user set is kept behind it.
func (t *Transport) setDialer() {
	conf := &t.cfg.Sarama.Net
	settings := netdial.Settings{Timeout: conf.DialTimeout, KeepAlive: conf.KeepAlive, LocalAddr: conf.LocalAddr}
	if conf.Proxy.Enable {
		settings.Inner = conf.Proxy.Dialer
	}
	t.dialer = netdial.New(settings)
	conf.Proxy.Enable, conf.Proxy.Dialer = true, t.dialer

	t.connections = t.cfg.Sarama
	if t.cfg.Sarama.Producer.Idempotent {
		pipelined := *t.cfg.Sarama
		pipelined.Producer.Idempotent = false
		pipelined.Net.MaxOpenRequests = MaxOpenRequests
		t.connections = &pipelined
	}
}

// MaxOpenRequests is how many requests may be on their way on one connection.
// There is one batch of a partition on its way in any case, so this says how
// many partitions do not wait for each other, and 1, which sarama demands of an
// idempotent producer's configuration, protects nothing. It would do harm: the
// request that waits for its turn holds a lock of the broker, and with a broker
// that has stopped answering this stops all look-ups of the client.
const MaxOpenRequests = 1000

// connect tries all addresses at the same time, again and again until one
// answers or ctx ends. sarama would try them one after the other and wait for
// a silent one as long as for all others together.
func (t *Transport) connect(ctx context.Context) error {
	wait := connectFirst
	causes := make([]error, len(t.cfg.Addrs))
	for {
		errs, final := t.round(ctx)
		if t.seed != nil {
			return nil
		}
		for i, err := range errs {
			// What we cut ourselves says nothing; the round before may have.
			ours := ctx.Err() != nil && (errors.Is(err, netdial.ErrAborted) || errors.Is(err, net.ErrClosed))
			switch {
			case !ours && (causes[i] == nil || !errors.Is(err, errNoAnswer)):
				causes[i] = err
			case causes[i] == nil:
				causes[i] = errNoAnswer
			}
		}
		if ctx.Err() != nil || final {
			return &ConnectError{Addrs: t.cfg.Addrs, Errs: causes, Cause: context.Cause(ctx)}
		}
		if !t.wait(wait) {
			return &ConnectError{Addrs: t.cfg.Addrs, Errs: causes, Cause: context.Cause(ctx)}
		}
		wait = min(2*wait, connectMost)
	}
}

// round tries each address once. It returns when one has answered, and with it
// all or most others, or when all have failed. final: trying again cannot help.
func (t *Transport) round(ctx context.Context) (errs []error, final bool) {
	type answer struct {
		i      int
		broker *sarama.Broker
		err    error
	}
	answers := make(chan answer, len(t.cfg.Addrs))
	var mu sync.Mutex // guards over
	over := false     // the round has returned: late answers are not wanted
	errs = make([]error, len(t.cfg.Addrs))
	for i, addr := range t.cfg.Addrs {
		errs[i] = errNoAnswer
		t.asks.Go(func() {
			b, err := t.connectTo(addr)
			mu.Lock()
			defer mu.Unlock()
			if over {
				if b != nil {
					_ = b.Close()
					t.dialer.Allow(addr)
				}
				return
			}
			answers <- answer{i, b, err}
		})
	}
	var rest <-chan time.Time
	for pending := len(errs); pending > 0; pending-- {
		select {
		case a := <-answers:
			errs[a.i] = a.err
			switch {
			case a.err != nil:
				final = final || errors.Is(a.err, sarama.ErrSASLAuthenticationFailed)
			case t.seed == nil:
				t.seed = a.broker
				timer := time.NewTimer(others)
				defer timer.Stop() //nolint:gocritic // at most one
				rest = timer.C
			default:
				_ = a.broker.Close()
			}
			continue
		case <-rest:
		case <-ctx.Done(): // the dialer is aborted, but an inner one may not listen
		}
		break
	}
	// Until the end: who answers after that allows its address again.
	mu.Lock()
	defer mu.Unlock()
	over = true
	for len(answers) > 0 {
		if a := <-answers; a.broker != nil {
			_ = a.broker.Close()
			errs[a.i] = nil
		}
	}
	var silent []string
	for i, err := range errs {
		if err != nil {
			silent = append(silent, t.cfg.Addrs[i])
		}
	}
	if t.seed != nil {
		t.askers.brokers = append(t.askers.brokers, t.seed)
		t.askers.add(t.cfg.Addrs...)
		t.dialer.Avoid(silent, t.cfg.Sarama.Net.DialTimeout)
	}
	return errs, final
}
