package transport

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
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

	if strings.Contains(t.cfg.Addrs[0], ".servicebus.windows.net") && t.cfg.Sarama.Version.IsAtLeast(sarama.V1_1_0_0) {
		// Azure Event Hubs: sarama's client does the same.
		t.cfg.Sarama.Version = sarama.V1_0_0_0
	}
	t.connections = t.cfg.Sarama
	if t.cfg.Sarama.Producer.Idempotent {
		pipelined := *t.cfg.Sarama
		pipelined.Producer.Idempotent = false
		pipelined.Net.MaxOpenRequests = MaxOpenRequests
		t.connections = &pipelined
	}
	questions := *t.connections
	// A connection that is closed takes the meters of its registry along.
	questions.MetricRegistry = sarama.NewConfig().MetricRegistry
	t.questions = &questions
}

// MaxOpenRequests is how many requests may be on their way on one connection.
// There is one batch of a partition on its way in any case, so this says how
// many partitions do not wait for each other, and 1, which sarama demands of an
// idempotent producer's configuration, protects nothing.
const MaxOpenRequests = 1000

// connect tries all addresses at the same time, again and again until one
// answers or ctx ends. sarama would try them one after the other and wait for
// a silent one as long as for all others together.
func (t *Transport) connect(ctx context.Context) (*sarama.Broker, error) {
	wait := connectFirst
	causes := make([]error, len(t.cfg.Addrs))
	for {
		first, errs, final := t.round(ctx)
		if first != nil {
			return first, nil
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
			return nil, &ConnectError{Addrs: t.cfg.Addrs, Errs: causes, Cause: context.Cause(ctx)}
		}
		if !t.wait(wait) {
			return nil, &ConnectError{Addrs: t.cfg.Addrs, Errs: causes, Cause: context.Cause(ctx)}
		}
		wait = min(2*wait, connectMost)
	}
}

// round tries each address once. It returns when one has answered, or when all
// have failed. final: trying again cannot help.
func (t *Transport) round(ctx context.Context) (first *sarama.Broker, errs []error, final bool) {
	type answer struct {
		i      int
		broker *sarama.Broker
		err    error
	}
	answers := make(chan answer, len(t.cfg.Addrs)) // as many as may come, so that none waits
	errs = make([]error, len(t.cfg.Addrs))
	for i, addr := range t.cfg.Addrs {
		errs[i] = errNoAnswer
		t.asks.Go(func() {
			b, err := t.connectTo(addr)
			answers <- answer{i, b, err}
		})
	}
	pending := len(errs)
	for ; pending > 0 && first == nil; pending-- {
		select {
		case a := <-answers:
			first, errs[a.i] = a.broker, a.err
			final = final || errors.Is(a.err, sarama.ErrSASLAuthenticationFailed)
			continue
		case <-ctx.Done(): // the dialer is aborted, but an inner one may not listen
		}
		break
	}
	if pending > 0 {
		t.asks.Go(func() {
			for ; pending > 0; pending-- {
				if a := <-answers; a.broker != nil {
					_ = a.broker.Close() // one is enough to begin with
				}
			}
		})
	}
	return first, errs, final
}

// openCluster begins with what was configured, and the broker that has answered.
func (t *Transport) openCluster(first *sarama.Broker) {
	t.askers = &askers{ask: t.askOwned, spawn: t.spawn, hangUp: t.hangUp}
	t.askers.adopt(t.cfg.Addrs, first)
	t.cluster = &cluster{
		conf: t.connections, seeds: t.cfg.Addrs, initial: first,
		question: t.askers.question, adopt: func(addrs []string) { t.askers.adopt(addrs, nil) },
		spawn: t.spawn, hangUp: t.hangUp, wait: t.wait, ctx: t.aborted,
		topics: make(map[string]*topology), brokers: make(map[int32]*sarama.Broker),
	}
	t.spawn(t.cluster.keepFresh)
}

// canonical replaces host names by those that their addresses resolve to, as
// Kerberos needs it. It is what sarama's client does if asked to, but for a proxy: names are looked up here.
func canonical(ctx context.Context, addrs []string) ([]string, error) {
	var names []string
	for _, addr := range addrs {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		ips, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return nil, err
		}
		for _, ip := range ips {
			found, err := net.DefaultResolver.LookupAddr(ctx, ip)
			if err != nil {
				return nil, err
			}
			// A name with a dot at its end is not what tickets are issued for.
			name := net.JoinHostPort(strings.TrimSuffix(found[0], "."), port)
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}
