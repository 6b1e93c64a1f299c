package e2e

import (
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer"
)

// program is what a random test does: a producer with its options, goroutines
// that use it, callbacks that use it too, and faults meanwhile. It is made from
// a seed alone, so a seed is all that is needed to run it again. What happens is
// another matter: goroutines and sockets take their own time.
type program struct {
	seed   uint64
	theme  string
	load   int // of a program of many messages: how many
	config settings

	topics  []plannedTopic
	mix     mix
	senders [][]step
	faults  [][]disturbance // each line is one after the other
	react   reactions

	// lossless says that no fault is one that may cost a message: every
	// failure must have been asked for.
	lossless bool
	// heals says that the producer is tried again when the faults are gone.
	heals bool
}

// settings are the options of a producer.
type settings struct {
	mode
	acks        sarama.RequiredAcks
	maxBuffered int
	maxBytes    int64
	perTopic    int // 0: no limit
	maxMessage  int
	workers     int
	callbacks   callbackKind
	manual      bool // partitions are chosen by the messages
	known       bool // WithTopics
	borrowed    bool // over a client of the program's own

	linger, maxBlock, delivery, unknown, closing, network time.Duration
}

// callbackKind is who is told of outcomes.
type callbackKind string

const (
	toldAll   callbackKind = "all"   // OnSuccess and OnError, and SendFunc's functions
	toldFuncs callbackKind = "funcs" // SendFunc's functions only: an Async that sends with nothing else
	toldNone  callbackKind = "none"  // a Sync that has its answers from Send
)

type topicKind string

const (
	exists  topicKind = "exists"
	late    topicKind = "late"    // created while the program runs
	missing topicKind = "missing" // never there
)

type plannedTopic struct {
	kind       topicKind
	partitions int
}

// mix says in how many of a hundred cases a message is special.
type mix struct {
	invalid, large, unkeyed, headers int
	doubtful                         int // for a topic that may not exist
}

// op is what a step calls.
type op string

const (
	opSend  op = "send"
	opTry   op = "try"
	opFunc  op = "func"
	opAll   op = "all" // SendAll, ten messages at a time
	opFlush op = "flush"
	opClose op = "close"
	opStats op = "stats"
	opPause op = "pause"
)

// ending is how the ctx of a call ends.
type ending string

const (
	never     ending = "never"
	later     ending = "later"     // a deadline that does not come
	soon      ending = "soon"      // a deadline that comes
	cancelled ending = "cancelled" // with a cause, at a random moment
	dead      ending = "dead"      // cancelled before
	expired   ending = "expired"   // its deadline has passed before
	absent    ending = "nil"
)

// step is a number of equal calls.
type step struct {
	op     op
	n      int
	ending ending
	within time.Duration // of soon and cancelled, and the length of a pause
}

func (s step) String() string {
	text := fmt.Sprintf("%s×%d", s.op, s.n)
	if s.ending != never || s.within > 0 {
		text += fmt.Sprintf("(%s %v)", s.ending, s.within)
	}
	return text
}

// reactions are what callbacks do.
type reactions struct {
	percent int // of the messages whose callback does something
	kinds   []reaction
}

// disturbance is one fault at one time.
type disturbance struct {
	fault string
	at    int           // when so many messages were sent, or after a while
	hold  time.Duration // 0: until the senders have ended
	seed  uint64        // of the fault's own choices
	wide  bool          // not narrowed down to a partition or a broker
}

func (d disturbance) String() string {
	hold := "to the end"
	if d.hold > 0 {
		hold = "for " + d.hold.String()
	}
	return fmt.Sprintf("%s at %d %s", d.fault, d.at, hold)
}

// String shows a program in a few lines.
func (p *program) String() string {
	var b strings.Builder
	c := p.config
	fmt.Fprintf(&b, "program %#x, %s: %v, acks %d, buffer %d/%d B/%d a topic, %d workers, callbacks %s, manual %t, known %t, borrowed %t\n",
		p.seed, p.theme, c.mode, c.acks, c.maxBuffered, c.maxBytes, c.perTopic, c.workers, c.callbacks, c.manual, c.known, c.borrowed)
	fmt.Fprintf(&b, "  linger %v, block %v, delivery %v, unknown topic %v, close %v, network %v, largest %d\n",
		c.linger, c.maxBlock, c.delivery, c.unknown, c.closing, c.network, c.maxMessage)
	fmt.Fprintf(&b, "  topics %v, %%: %+v, lossless %t, heals %t, callbacks do %v in %d %%\n",
		p.topics, p.mix, p.lossless, p.heals, p.react.kinds, p.react.percent)
	for i, steps := range p.senders {
		fmt.Fprintf(&b, "  sender %d: %v\n", i, steps)
	}
	for _, line := range p.faults {
		fmt.Fprintf(&b, "  faults: %v\n", line)
	}
	return b.String()
}

// options are the producer's.
func (c *settings) options() producer.Options {
	options := producer.Options{
		quick(c.mode),
		producer.WithAcks(c.acks),
		producer.WithMaxBuffered(c.maxBuffered),
		producer.WithMaxBufferedBytes(c.maxBytes),
		producer.WithMaxMessageBytes(c.maxMessage),
		producer.WithCallbackWorkers(c.workers),
		producer.WithSlowCallback(5 * time.Millisecond),
		producer.WithLinger(c.linger),
		producer.WithMaxBlock(c.maxBlock),
		producer.WithDeliveryTimeout(c.delivery),
		producer.WithUnknownTopicTimeout(c.unknown),
		producer.WithCloseTimeout(c.closing),
	}
	if !c.borrowed {
		options = append(options, networkTimeouts(c.network))
	}
	if c.perTopic > 0 {
		options = append(options, producer.WithMaxBufferedPerTopic(c.perTopic))
	}
	if c.manual {
		options = append(options, producer.WithPartitioner(sarama.NewManualPartitioner))
	}
	return options
}
