package e2e

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/kafkatest"
)

// fault is a way to disturb a program: one line of the table.
type fault struct {
	name string
	// begin starts it. end stops it, and hits says how often it made a
	// difference.
	begin func(p spot) (end func() error, hits func() int, err error)
	// costly says that a message may fail because of it, however long the
	// delivery timeout is.
	costly bool
	// alone says that it changes which brokers there are: one at a time.
	alone bool
	// codes are those of Kafka's protocol that it makes brokers answer.
	codes []sarama.KError
}

// scene is where the faults of one program happen.
type scene struct {
	cluster *kafkatest.Cluster
	topics  []string // those that exist

	mu   sync.Mutex
	late map[string]int // the topics to come, with their partitions
}

// spot is where one fault happens, with the dice for what it leaves open.
type spot struct {
	*scene
	dice
	wide bool // it is not to be narrowed down to what may not come
}

// faultTable are all faults.
func faultTable() []fault {
	return []fault{
		produceCode("retriable code", retried(), (*kafkatest.Cluster).FailProduce),
		produceCode("not enough replicas", []sarama.KError{sarama.ErrNotEnoughReplicas}, (*kafkatest.Cluster).FailProduce),
		produceCode("after the append", retriedAfter(), (*kafkatest.Cluster).FailProduceAfterAppend),
		costs(produceCode("final code", final(true), (*kafkatest.Cluster).FailProduce)),
		costs(produceCode("final code after the append", final(false), (*kafkatest.Cluster).FailProduceAfterAppend)),
		installed("answer lost", func(p spot) *kafkatest.Fault { return p.cluster.LoseProduceResponse(p.closing()...) }),
		installed("connection dropped", func(p spot) *kafkatest.Fault { return p.cluster.DropProduce(p.closing()...) }),
		installed("ignore", func(p spot) *kafkatest.Fault { return p.cluster.IgnoreProduce(p.narrow()...) }),
		installed("throttled", func(p spot) *kafkatest.Fault { return p.cluster.ThrottleProduce(p.millis(1, 40), p.narrow()...) }),
		installed("freeze one", func(p spot) *kafkatest.Fault { return p.cluster.Freeze(p.broker()) }),
		installed("freeze all", func(p spot) *kafkatest.Fault { return p.cluster.Freeze() }),
		installed("unplugged", func(p spot) *kafkatest.Fault { return p.cluster.Unplug(p.broker()) }),
		installed("requests delayed", func(p spot) *kafkatest.Fault {
			return p.cluster.DelayRequests(p.millis(1, 80), p.anything()...)
		}),
		installed("answers delayed", func(p spot) *kafkatest.Fault {
			return p.cluster.DelayResponses(p.millis(1, 80), p.anything()...)
		}),
		installed("requests held", func(p spot) *kafkatest.Fault { return p.cluster.HoldRequests(p.anything()...) }),
		installed("answers held", func(p spot) *kafkatest.Fault { return p.cluster.HoldResponses(p.anything()...) }),
		installed("answers trickle", func(p spot) *kafkatest.Fault {
			return p.cluster.TrickleResponses(p.between(1, 20), p.millis(1, 10), p.anything()...)
		}),
		installed("requests cut", func(p spot) *kafkatest.Fault { return p.cluster.CutRequests(p.roll(400), p.closing()...) }),
		installed("answers cut", func(p spot) *kafkatest.Fault { return p.cluster.CutResponses(p.roll(80), p.closing()...) }),
		installed("idle connections closed", func(p spot) *kafkatest.Fault {
			return p.cluster.CloseIdle(p.millis(1, 30), p.closing()...)
		}),
		installed("idle connections forgotten", func(p spot) *kafkatest.Fault {
			return p.cluster.ForgetIdle(p.millis(1, 30), p.narrow()...)
		}),
		{name: "lost, then refused", begin: lostThenRefused, costly: true, codes: proofs()},
		costs(installed("garbled answers", garble)),
		lookup("no leader", sarama.ErrLeaderNotAvailable),
		costs(lookup("forbidden topic", sarama.ErrTopicAuthorizationFailed)),
		costs(lookup("hidden topic", sarama.ErrUnknownTopicOrPartition)),
		{name: "leader moves", begin: moveLeaders},
		{name: "broker stops", begin: stopBroker, alone: true},
		{name: "outage", begin: outage, alone: true},
		{name: lateTopic, begin: createLate},
	}
}

const lateTopic = "late topic"

// harmlessFaults are the names of those that cost nothing but time.
func harmlessFaults() (names []string) {
	for _, f := range faultTable() {
		if !f.costly && f.name != lateTopic {
			names = append(names, f.name)
		}
	}
	return names
}

func faultNamed(name string) fault {
	table := faultTable()
	return table[slices.IndexFunc(table, func(f fault) bool { return f.name == name })]
}

// retriedAfter are codes that are answered after an append, and retried.
func retriedAfter() []sarama.KError {
	return slices.DeleteFunc(retried(), func(code sarama.KError) bool { return code == sarama.ErrNotEnoughReplicas })
}

// final are the codes that sarama gives up at; those that prove that nothing was
// appended are only for a broker that has appended nothing. So is
// INVALID_PRODUCER_EPOCH, which Kafka answers before it appends: a batch that was
// overtaken by a new epoch, and was not sent before, is sent again because of it.
func final(proofs bool) (codes []sarama.KError) {
	for code, proof := range finalCodes() {
		if proofs || !proof && code != sarama.ErrInvalidProducerEpoch {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes) // a map has another order each time
	return codes
}

// proofs are the codes that prove that nothing of this attempt was appended.
func proofs() []sarama.KError {
	return slices.DeleteFunc(final(true), func(code sarama.KError) bool { return !finalCodes()[code] })
}

// lostThenRefused refuses the second attempt at what the first one has stored,
// with a code that proves something of the second only.
func lostThenRefused(p spot) (end func() error, hits func() int, err error) {
	code := int16(pick(p.dice, proofs()...))
	lost := p.cluster.LoseProduceResponse(kafkatest.OnTopic(p.topics...), kafkatest.Times(p.between(1, 3)))
	ctx, cancel := context.WithCancel(context.Background())
	refused := make(chan *kafkatest.Fault, 1)
	go func() {
		_ = lost.Wait(ctx, 1) // or the program is over
		refused <- p.cluster.FailProduce(code, kafkatest.OnTopic(p.topics...), kafkatest.Times(2))
	}()
	var second *kafkatest.Fault
	end = func() error {
		cancel()
		second = <-refused
		lost.Remove()
		second.Remove()
		return nil
	}
	return end, func() int { return min(lost.Hits(), second.Hits()) }, nil
}

// installed is a fault that kafkatest counts and removes.
func installed(name string, install func(p spot) *kafkatest.Fault) fault {
	return fault{name: name, begin: func(p spot) (func() error, func() int, error) {
		f := install(p)
		return func() error { f.Remove(); return nil }, f.Hits, nil
	}}
}

func costs(f fault) fault {
	f.costly = true
	return f
}

// narrow are options that limit a fault to produce requests of the program, and
// in some cases to a part of them.
func (p spot) narrow() []kafkatest.FaultOption {
	options := []kafkatest.FaultOption{kafkatest.OnTopic(p.topics...)}
	if !p.wide && p.chance(30) {
		options = append(options, kafkatest.OnPartition(int32(p.roll(2))))
	}
	if !p.wide && p.chance(30) {
		options = append(options, kafkatest.OnBroker(int32(p.roll(3)), int32(p.roll(3))))
	}
	if p.chance(50) {
		options = append(options, kafkatest.Times(p.between(1, 5)))
	}
	return options
}

// anything is narrow, or all requests of every kind.
func (p spot) anything() []kafkatest.FaultOption {
	if options := p.narrow(); p.chance(60) {
		return options
	}
	return nil
}

// closing is anything for a fault that closes connections.
func (p spot) closing() []kafkatest.FaultOption {
	if options := p.anything(); p.chance(70) {
		return options
	}
	return []kafkatest.FaultOption{kafkatest.Reset()}
}

// broker is the leader of a partition in most cases.
func (p spot) broker() int32 {
	leader, err := p.cluster.Leader(p.topics[p.roll(len(p.topics))], 0)
	if err != nil || p.chance(30) {
		return int32(p.roll(3))
	}
	return leader
}

// produceCode is a fault of produce requests with one of several codes.
func produceCode(
	name string, codes []sarama.KError,
	install func(c *kafkatest.Cluster, code int16, opts ...kafkatest.FaultOption) *kafkatest.Fault,
) fault {
	f := installed(name, func(p spot) *kafkatest.Fault {
		return install(p.cluster, int16(codes[p.roll(len(codes))]), p.narrow()...)
	})
	f.codes = codes
	return f
}

// garble sends answers that make no sense. (Random bytes could make too much: a
// broker that says "stored" is believed.)
func garble(p spot) *kafkatest.Fault {
	return p.cluster.GarbleResponses(pick(p.dice,
		kafkatest.OmitPartitions(), kafkatest.OmitPartitions(0), kafkatest.RepeatPartitions(),
		kafkatest.WrongCorrelationID(), kafkatest.WrongLength(-1), kafkatest.WrongLength(math.MaxInt32),
	), p.anything()...)
}

// lookup makes the cluster answer look-ups of one topic with a code. The
// leaders move too, or nobody would look anything up.
func lookup(name string, code sarama.KError) fault {
	f := installed(name, func(p spot) *kafkatest.Fault {
		topic := p.topics[p.roll(len(p.topics))]
		var f *kafkatest.Fault
		if code == sarama.ErrUnknownTopicOrPartition {
			f = p.cluster.HideTopic(topic)
		} else {
			f = p.cluster.FailMetadata(topic, int16(code))
		}
		_ = p.cluster.ShuffleLeaders() // if nobody looks up, there are no hits
		return f
	})
	f.codes = []sarama.KError{code}
	return f
}

// moveLeaders gives all partitions new leaders, again and again.
func moveLeaders(p spot) (end func() error, hits func() int, err error) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	moves := 0
	var failure error
	go func() {
		defer close(stopped)
		every := time.NewTicker(10 * time.Millisecond)
		defer every.Stop()
		for {
			if failure = p.cluster.ShuffleLeaders(); failure != nil {
				return
			}
			moves++
			select {
			case <-stop:
				return
			case <-every.C:
			}
		}
	}()
	end = func() error {
		close(stop)
		<-stopped
		return failure
	}
	return end, func() int { return moves }, nil
}

// stopBroker takes one broker away and brings it back.
func stopBroker(p spot) (end func() error, hits func() int, err error) {
	id := p.broker()
	end = func() error {
		if err := p.cluster.StartBroker(id); err != nil {
			return err
		}
		return p.cluster.ShuffleLeaders()
	}
	return end, once, p.cluster.StopBroker(id)
}

// outage takes the whole cluster away and brings it back.
func outage(p spot) (end func() error, hits func() int, err error) {
	return p.cluster.Return, once, p.cluster.Outage()
}

func once() int { return 1 }

// createLate creates the topics that the program plans to have later.
func createLate(p spot) (end func() error, hits func() int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, partitions := range p.late {
		if err := p.cluster.CreateTopic(topic, partitions); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", lateTopic, err)
		}
	}
	n := len(p.late)
	clear(p.late)
	return func() error { return nil }, func() int { return n }, nil
}
