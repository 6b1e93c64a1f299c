package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Payload is what the values are made of.
type Payload string

// The payloads.
const (
	JSON   Payload = "JSON"   // compresses to a third or so
	Random Payload = "random" // does not compress
)

// distinct is how many values of a size there are: more than fit into a batch,
// which would else compress to nothing where the compressor looks back as far.
func distinct(size int) int { return max(251, 2*BatchBytes/size) }

// values makes values of that size.
func (p Payload) values(size int) (all [][]byte) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	for range distinct(size) {
		var value []byte
		if p == JSON {
			for field := 0; len(value) < size; field++ {
				value = fmt.Appendf(value, `{"id":%d,"customer":"c-%05d","amount":%d.%02d,"state":"%s"},`, random.Uint32(),
					random.IntN(100_000), random.IntN(1000), random.IntN(100), []string{"open", "paid", "sent"}[random.IntN(3)])
			}
		} else {
			for len(value) < size {
				value = append(value, byte(random.Uint32()))
			}
		}
		all = append(all, value[:size])
	}
	return all
}

// load is what is sent in one run.
type load struct {
	goroutines int
	messages   int // all goroutines together
	topics     []string
	values     [][]byte
	// rate is how many are sent in a second, 0: as many as the client takes.
	rate float64
	// timed asks for the time that each takes from when it is due until its
	// outcome is known; without a rate it is due when it is sent.
	timed bool
}

// prepared are the messages of a load: those that are timed are each its own,
// the others are sent again and again.
func (l *load) prepared() []Message {
	n := l.messages
	if !l.timed {
		n = (len(l.values)/len(l.topics) + 1) * len(l.topics)
	}
	all := make([]Message, n)
	for i := range all {
		all[i] = Message{Topic: l.topics[i%len(l.topics)], Value: l.values[i%len(l.values)], timed: l.timed}
	}
	return all
}

// run sends all messages and returns when their outcomes are known. Goroutine g
// of n sends the messages g, g+n, g+2n …: with a rate each at its time, or as
// soon after that as it can. What is late is late from when it was due, so that
// a client that holds the sender up cannot hide it (coordinated omission).
func (l *load) run(c Client, all []Message) error {
	var senders sync.WaitGroup
	errs := make([]error, l.goroutines+1)
	start := time.Now()
	for g := range l.goroutines {
		senders.Go(func() {
			for i := g; i < l.messages; i += l.goroutines {
				m := &all[i%len(all)]
				if l.timed {
					m.due = time.Now()
				}
				if l.rate > 0 {
					m.due = start.Add(time.Duration(float64(i) / l.rate * float64(time.Second)))
					if early := time.Until(m.due); early > 0 {
						<-time.After(early)
					}
				}
				if errs[g] = c.Send(m); errs[g] != nil {
					return
				}
			}
		})
	}
	senders.Wait()
	errs[l.goroutines] = c.Flush()
	return errors.Join(errs...)
}
