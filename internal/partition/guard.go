package partition

import (
	"errors"
	"runtime/debug"

	"github.com/IBM/sarama"
)

// ErrNoPartitioner is the outcome of every message of a topic for which the
// user's constructor returned nil.
var ErrNoPartitioner = errors.New("partitioner constructor returned nil")

// PanicError is the outcome of a message whose partitioner panicked. Its text
// is always the same: Value may hold anything, the message's key included.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // of the goroutine that panicked
}

func (e *PanicError) Error() string { return "partitioner panicked" }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Around is told before and after each time a user's partitioner sees a message.
type Around interface {
	// Before is called before the partitioner sees msg. What it returns is
	// handed to After, since the partitioner may change all that msg holds.
	Before(msg *sarama.ProducerMessage) (token any)
	// After is called when the partitioner has returned, panicked, or ended
	// its goroutine. placed says that it chose a partition that exists.
	After(msg *sarama.ProducerMessage, token any, placed bool)
}

// Guard wraps a user's partitioner. sarama calls it from goroutines that all
// messages of a topic, or of the producer, depend on, and that do not survive a
// panic. Here a panic becomes an error from Partition: of the one message, or of
// every message if it was in the constructor. So does a nil from the
// constructor.
//
// A runtime.Goexit is not handled: nothing can stop it. Nor is a partitioner
// that blocks.
//
// around may be nil. It is called around Partition and the question of
// consistency.
func Guard(ctor sarama.PartitionerConstructor, around Around) sarama.PartitionerConstructor {
	if around == nil {
		around = nothing{}
	}
	return func(topic string) sarama.Partitioner {
		return &guard{ctor: ctor, topic: topic, around: around}
	}
}

// nothing is the Around of those who gave none.
type nothing struct{}

func (nothing) Before(*sarama.ProducerMessage) any       { return nil }
func (nothing) After(*sarama.ProducerMessage, any, bool) {}

// guard has no mutex: like every partitioner it is called from one goroutine.
type guard struct {
	ctor  sarama.PartitionerConstructor
	topic string
	// constructed says that ctor was called: with the first message, on the
	// goroutine of the topic. sarama constructs partitioners on the goroutine
	// that serves all topics, where a slow constructor would hold up everybody.
	constructed bool

	inner   sarama.Partitioner
	dynamic sarama.DynamicConsistencyPartitioner // inner, nil if it is none
	around  Around
	// blind says that inner does not look at values: then around is left out of
	// Choose.
	blind bool

	// broken is why there is no inner; the outcome of every message.
	broken error
	// failed is the panic of the last question of consistency, which had no
	// error to return. sarama asks it of each message just before Partition,
	// or gives the message up in between; so each question clears it.
	failed error
}

var _ sarama.DynamicConsistencyPartitioner = (*guard)(nil)

// Partition asks the inner partitioner.
func (g *guard) Partition(msg *sarama.ProducerMessage, numPartitions int32) (choice int32, err error) {
	if g.construct() != nil {
		return -1, g.broken
	}
	if g.failed != nil {
		err, g.failed = g.failed, nil
		return -1, err
	}
	// Deferred first, so that it runs last: a panic of around is caught too.
	defer func() {
		if err != nil {
			choice = -1
		}
	}()
	defer recovered(&err)
	placed := false
	token := g.around.Before(msg)
	defer func() { g.around.After(msg, token, placed) }()
	choice, err = g.inner.Partition(msg, numPartitions)
	placed = err == nil && choice >= 0 && choice < numPartitions
	return choice, err
}

// RequiresConsistency asks the inner partitioner. sarama does not call it, since
// it finds MessageRequiresConsistency.
func (g *guard) RequiresConsistency() (required bool) {
	required = afterPanic
	if g.construct() != nil {
		return required
	}
	g.failed = nil
	defer recovered(&g.failed)
	return g.inner.RequiresConsistency()
}

// afterPanic is the answer when the inner partitioner has none. With true sarama
// counts all partitions, not only those that can be written to now, so that
// Partition is called, and its error reported, even if there are none.
const afterPanic = true

// MessageRequiresConsistency asks the inner partitioner as sarama would.
func (g *guard) MessageRequiresConsistency(msg *sarama.ProducerMessage) (required bool) {
	required = afterPanic
	if g.construct() != nil {
		return required
	}
	g.failed = nil
	defer recovered(&g.failed)
	token := g.around.Before(msg)
	defer g.around.After(msg, token, false)
	if g.dynamic != nil {
		return g.dynamic.MessageRequiresConsistency(msg)
	}
	return g.inner.RequiresConsistency()
}

// Chooser is a guarded partitioner for a caller who asks both questions at once,
// which costs half.
type Chooser interface {
	// Choose chooses one of all partitions if the message requires that, else of
	// the writable ones. It returns ErrNowhere, and chooses nothing, if there are
	// none of those. Whether a partition was chosen it tells nobody else.
	Choose(msg *sarama.ProducerMessage, all, writable []int32) (id int32, err error)
	// Prompt reports whether it is known that Choose does not wait, nor calls
	// the user's code. It may know that only after a first Choose.
	Prompt() bool
}

var _ Chooser = (*guard)(nil)

// ErrNowhere says that there is no partition to choose from.
var ErrNowhere = errors.New("no partition is known that the message may go to")

// Prompt is for the library's own partitioners.
func (g *guard) Prompt() bool { return g.blind }

// Choose asks the inner partitioner.
func (g *guard) Choose(msg *sarama.ProducerMessage, all, writable []int32) (id int32, err error) {
	if g.construct() != nil {
		return -1, g.broken
	}
	// Deferred first, so that it runs last: a panic of around is caught too.
	defer func() {
		if err != nil {
			id = -1
		}
	}()
	defer recovered(&err)
	placed := false
	if !g.blind {
		token := g.around.Before(msg)
		defer func() { g.around.After(msg, token, placed) }()
	}
	var consistent bool
	if g.dynamic != nil {
		consistent = g.dynamic.MessageRequiresConsistency(msg)
	} else {
		consistent = g.inner.RequiresConsistency()
	}
	ids := writable
	if consistent {
		ids = all
	}
	if len(ids) == 0 {
		return -1, ErrNowhere
	}
	choice, err := g.inner.Partition(msg, int32(len(ids)))
	switch {
	case err != nil:
		return -1, err
	case choice < 0 || int(choice) >= len(ids):
		return -1, sarama.ErrInvalidPartition
	}
	placed = true
	return ids[choice], nil
}

// construct makes inner, once, and returns broken.
func (g *guard) construct() error {
	if g.constructed {
		return g.broken
	}
	g.constructed = true
	g.broken = g.callConstructor()
	return g.broken
}

func (g *guard) callConstructor() (err error) {
	defer recovered(&err)
	g.inner = g.ctor(g.topic)
	if g.inner == nil {
		return ErrNoPartitioner
	}
	g.dynamic, _ = g.inner.(sarama.DynamicConsistencyPartitioner) // nil if it is none
	_, g.blind = g.inner.(*byKey)
	return nil
}

// recovered, when deferred, turns a panic into an error.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
