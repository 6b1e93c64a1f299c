package transport

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

const (
	// hedge is how long a broker may think about a question before the next
	// one is asked too: a frozen one must not decide for all. Where answers
	// take longer, so does the hedge, up to mostHedge: a cluster that is slow
	// because it has too much to do must not be asked more.
	hedge, mostHedge = 250 * time.Millisecond, 2 * time.Second
	// patience is how long all of them may think, and likewise.
	patience, mostPatience = 3 * time.Second, 30 * time.Second
	// idle is for how long a connection may not have been used. Firewalls
	// forget connections, and say nothing about it.
	idle = 30 * time.Second
	// mostOwed bounds the questions that are open at the same time.
	mostOwed = 8
	// mostAsked bounds how often one question is put.
	mostAsked = 32
)

// askers are the brokers that an owned client asks about topics, each over a
// connection for questions only.
type askers struct {
	// ask asks one broker. It ends when that answers, when its connection
	// fails or times out, or when the transport is aborted.
	ask func(b *sarama.Broker, topics []string) (*sarama.MetadataResponse, error)
	// spawn runs a goroutine that Close waits for, see Transport.spawn, and
	// hangUp closes a connection, see Transport.hangUp.
	spawn  func(func()) bool
	hangUp func(b *sarama.Broker, after time.Duration)

	mu   sync.Mutex // held for a few instructions
	list []*asker   // in the order in which they are asked: in turn
	owed int        // questions without an answer, also of askers that are dropped
	// pace is how long answers take: it falls at once, and rises slowly, since
	// one slow broker does not make a slow cluster.
	pace time.Duration
}

// asker is one broker that is asked. Its fields are guarded by askers.mu.
type asker struct {
	broker *sarama.Broker
	// owes is set while its question has no answer: the connection can be
	// asked nothing else.
	owes   bool
	failed bool      // it gave no answer to its last question
	used   time.Time // when it answered last; zero: not yet
}

// adopt makes the addresses the ones that are asked. Connections to others are
// closed, as soon as nothing is owed on them.
func (a *askers) adopt(addrs []string, first *sarama.Broker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if first != nil {
		a.list = append(a.list, &asker{broker: first, used: time.Now()})
	}
	a.list = slices.DeleteFunc(a.list, func(x *asker) bool {
		gone := !slices.Contains(addrs, x.broker.Addr())
		if gone {
			a.drop(x)
		}
		return gone
	})
	for _, addr := range addrs {
		if !slices.ContainsFunc(a.list, func(x *asker) bool { return x.broker.Addr() == addr }) {
			a.list = append(a.list, &asker{broker: sarama.NewBroker(addr)})
		}
	}
}

// drop closes the connection of one that is taken out of the list. If it owes an
// answer that is done when it comes: see answered. Requires: mu held.
func (a *askers) drop(x *asker) {
	if !x.owes {
		a.hangUp(x.broker, 0)
	}
}

// take chooses whom to ask next, and counts the question as owed: those that
// have answered before those that have not, each in turn, because one may have
// an old view of the cluster. An address that was tried already is asked again
// only if it still owes its answer: over a new connection, the old one may lead
// nowhere. It returns nil if there is nobody, or if too much is owed: then others
// may be there later.
func (a *askers) take(tried []string) (x *asker, later bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	best, bestRank := -1, 0
	for i, x := range a.list {
		rank := 1
		switch {
		case x.owes:
			rank = 3
		case slices.Contains(tried, x.broker.Addr()):
			continue
		case x.failed:
			rank = 2
		}
		if best < 0 || rank < bestRank {
			best, bestRank = i, rank
		}
	}
	switch {
	case best < 0:
		return nil, false
	case a.owed >= mostOwed:
		return nil, true
	}
	x = a.list[best]
	if x.owes || !x.used.IsZero() && time.Since(x.used) > idle {
		a.drop(x)
		x = &asker{broker: sarama.NewBroker(x.broker.Addr())}
	}
	x.owes = true
	a.owed++
	a.list = append(slices.Delete(a.list, best, best+1), x) // its turn is over
	return x, false
}

// answered notes that an asker has answered, or that it will not.
func (a *askers) answered(x *asker, took time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owed--
	x.owes, x.failed = false, err != nil
	if err == nil {
		x.used = time.Now()
		a.pace = min(took, (a.pace+took)/2)
	}
	if !slices.Contains(a.list, x) {
		a.drop(x)
	}
}

// limits are how long a broker, and how long all of them, may think.
func (a *askers) limits() (step, end time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return min(max(hedge, 2*a.pace), mostHedge), min(max(patience, 3*a.pace), mostPatience)
}

// question asks about topics: one broker, and a further one when it fails or is
// slow. The first answer counts. If none comes in time, the first that comes
// later is given to late.
func (a *askers) question(
	ctx context.Context, topics []string, late func(*sarama.MetadataResponse),
) (*sarama.MetadataResponse, error) {
	type answer struct {
		response *sarama.MetadataResponse
		err      error
	}
	const undecided, decided, overdue = 0, 1, 2
	var (
		state   atomic.Int32
		next    = time.NewTimer(0)
		answers = make(chan answer, mostAsked) // as many as may come, so that none waits
		tried   []string
		errs    []error
		asked   int
	)
	defer next.Stop()
	step, limit := a.limits()
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		select {
		case got := <-answers:
			if got.err == nil {
				return got.response, nil
			}
			errs = append(errs, got.err)
			if errors.Is(got.err, sarama.ErrSASLAuthenticationFailed) {
				next.Reset(step) // accounts are locked after a few wrong passwords
			} else {
				next.Reset(0)
			}
		case <-next.C:
			x, later := a.take(tried)
			switch {
			case later:
				next.Reset(step)
				continue
			case x == nil && asked == len(errs):
				return nil, unanswered(errs)
			case x == nil || asked == mostAsked:
				continue // those that are asked may still answer
			}
			asked++
			tried = append(tried, x.broker.Addr())
			began := time.Now()
			if !a.spawn(func() {
				response, err := a.ask(x.broker, topics)
				a.answered(x, time.Since(began), err)
				switch {
				case err != nil, state.CompareAndSwap(undecided, decided):
					answers <- answer{response, err}
				case state.CompareAndSwap(overdue, decided):
					late(response)
				}
			}) {
				return nil, sarama.ErrClosedClient
			}
			next.Reset(step)
			if asked > 1 {
				step *= 2
			}
		case <-end.C:
			if state.CompareAndSwap(undecided, overdue) {
				return nil, unanswered(append(errs, errNoAnswer))
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// unanswered is why there is no answer. It is final only if all brokers say so:
// one of them may just be starting.
func unanswered(errs []error) error {
	for _, end := range []error{ErrOtherCluster, sarama.ErrSASLAuthenticationFailed} {
		agree := 0
		for _, err := range errs {
			if errors.Is(err, end) {
				agree++
			}
		}
		switch {
		case agree == 0:
		case agree == len(errs):
			return errs[0]
		default:
			errs = slices.Clone(errs)
			for i, err := range errs {
				if errors.Is(err, end) {
					errs[i] = errors.New(err.Error()) // its text, and nothing to conclude from
				}
			}
		}
	}
	return sarama.Wrap(sarama.ErrOutOfBrokers, errs...)
}

// close closes all connections.
func (a *askers) close() {
	a.mu.Lock()
	list := slices.Clone(a.list)
	a.mu.Unlock()
	for _, x := range list {
		_ = x.broker.Close()
	}
}
