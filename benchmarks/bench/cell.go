package bench

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Cell is one comparison: a load that some producers send in turns. The first of
// them is what the others are compared with.
type Cell struct {
	Group string
	Name  string
	// X is where the cell stands in the chart of its group, if that has an axis.
	X float64

	producers  []Producer
	quantities []Quantity
	goals      []Goal

	payload    Payload
	size       int // of a value, in bytes
	goroutines int
	partitions int // of each topic
	topics     int
	linger     time.Duration
	defaults   bool
	// share of what the first producer can do is the rate of a load that is sent
	// at a fixed one, 0: as many as the client takes.
	share float64
	timed bool
	// starts measures how a producer starts and ends.
	starts bool
}

// linger is the library's default for an Async.
const linger = 5 * time.Millisecond

// usual is what a cell is unless it says something else.
func usual(group, name string, producers []Producer) Cell {
	return Cell{
		Group: group, Name: name, producers: producers, quantities: []Quantity{Throughput, CPU},
		payload: JSON, size: 1024, goroutines: 8, partitions: 6, topics: 1, linger: linger,
	}
}

func asyncGoals() []Goal {
	return []Goal{{Throughput, true, 0.95}, {CPU, false, 1.10}, {Allocs, false, 2}}
}

// The groups.
const (
	groupAsync      = "asynchronous"
	groupDefaults   = "defaults"
	groupSync       = "synchronous"
	groupLatency    = "latency"
	groupPartitions = "partitions"
	groupTopics     = "topics"
	groupGoroutines = "goroutines"
	groupSize       = "size"
	groupStart      = "start and end"
	groupDispatcher = "dispatcher alone"
	groupSettings   = "settings of ours"
	groupObserving  = "observing"
)

// Cells are all comparisons of these producers.
func Cells(all []Producer) (cells []Cell) {
	var async, syncs []Producer
	for _, p := range all {
		if p.Sync {
			syncs = append(syncs, p)
		} else {
			async = append(async, p)
		}
	}
	// One of ours is enough where nothing depends on callbacks.
	few := slices.DeleteFunc(slices.Clone(async), func(p Producer) bool { return p.Name == "Async" })
	return slices.Concat(throughputs(async), defaults(few), synchronous(syncs), latencies(few), scaling(few), starts(few), dispatchers(async), variations(), observing())
}

// observing compares a producer that nobody looks at with others that are told on
// or traced.
func observing() (cells []Cell) {
	for _, size := range []int{100, 1024} {
		c := usual(groupObserving, fmt.Sprintf("JSON of %d B", size), observed())
		c.size, c.defaults = size, true
		c.quantities = []Quantity{Throughput, CPU, Allocs, Bytes}
		cells = append(cells, c)
	}
	return cells
}

// variations compares our defaults with other settings, as fast as it goes and at
// a rate that is easy for all of them.
func variations() (cells []Cell) {
	for _, size := range []int{100, 1024} {
		fast := usual(groupSettings, fmt.Sprintf("JSON of %d B, as fast as it goes", size), variants())
		fast.size, fast.defaults = size, true
		cells = append(cells, fast)
	}
	timed := slices.DeleteFunc(variants(), func(p Producer) bool { return p.Name == "failures only" })
	slow := usual(groupSettings, "JSON of 100 B, at 10 % of that", timed)
	slow.size, slow.defaults, slow.share, slow.timed = 100, true, 0.1, true
	slow.quantities = []Quantity{P50, P99, P999, CPU}
	return append(cells, slow)
}

func dispatchers(producers []Producer) []Cell {
	c := usual(groupDispatcher, "JSON of 100 B", []Producer{producers[0], {Name: "our dispatcher", Ours: true, Open: openDispatcher}})
	c.size, c.quantities, c.goals = 100, []Quantity{Throughput}, []Goal{{Throughput, true, 10}}
	return []Cell{c}
}

func throughputs(producers []Producer) (cells []Cell) {
	for _, payload := range []Payload{JSON, Random} {
		for _, size := range []int{100, 1024, 10_240} {
			for _, goroutines := range []int{1, 8} {
				if goroutines == 1 && payload == Random {
					continue // it changes what is compressed, not who sends
				}
				c := usual(groupAsync, fmt.Sprintf("%s of %d B, goroutines: %d", payload, size, goroutines), producers)
				c.payload, c.size, c.goroutines = payload, size, goroutines
				c.quantities = []Quantity{Throughput, CPU, Allocs, Bytes, Heap}
				c.goals = asyncGoals()
				cells = append(cells, c)
			}
		}
	}
	return cells
}

func defaults(producers []Producer) (cells []Cell) {
	for _, size := range []int{100, 1024} {
		c := usual(groupDefaults, fmt.Sprintf("JSON of %d B", size), producers)
		c.size, c.defaults, c.goals = size, true, []Goal{{Throughput, true, 1.5}}
		cells = append(cells, c)
	}
	return cells
}

func synchronous(producers []Producer) (cells []Cell) {
	for _, goroutines := range []int{1, 64, 1024} {
		c := usual(groupSync, fmt.Sprintf("goroutines: %d", goroutines), producers)
		c.size, c.goroutines, c.linger, c.timed = 100, goroutines, 0, true
		c.quantities = []Quantity{Throughput, CPU, P50, P99, P999}
		c.goals = []Goal{{Throughput, true, 1}, {P50, false, 1}, {P99, false, 1}}
		cells = append(cells, c)
	}
	return cells
}

func latencies(producers []Producer) (cells []Cell) {
	for _, share := range []float64{0.1, 0.5, 0.8} {
		c := usual(groupLatency, fmt.Sprintf("at %.0f %% of what sarama can do", 100*share), producers)
		c.size, c.share, c.timed, c.quantities = 100, share, true, []Quantity{P50, P99, P999, CPU}
		cells = append(cells, c)
	}
	return cells
}

func scaling(producers []Producer) (cells []Cell) {
	over := func(group string, values []int, set func(c *Cell, n int)) {
		for _, n := range values {
			c := usual(group, strconv.Itoa(n), producers)
			c.size, c.X = 100, float64(n)
			set(&c, n)
			cells = append(cells, c)
		}
	}
	over(groupPartitions, []int{1, 10, 100, 1000}, func(c *Cell, n int) { c.partitions = n })
	over(groupTopics, []int{1, 10, 100, 1000}, func(c *Cell, n int) { c.topics, c.partitions = n, 1 })
	over(groupGoroutines, []int{1, 16, 256, 4096}, func(c *Cell, n int) { c.goroutines = n })
	over(groupSize, []int{10, 100, 1000, 10_000, 100_000}, func(c *Cell, n int) { c.size = n })
	return cells
}

func starts(producers []Producer) []Cell {
	c := usual(groupStart, "a new producer", producers)
	c.starts, c.quantities = true, []Quantity{FirstAck, Close}
	return []Cell{c}
}

// names are the topics of the cell. They say how many partitions they have.
func (c *Cell) names() (names []string) {
	for i := range c.topics {
		names = append(names, fmt.Sprintf("bench-%d-%d", i, c.partitions))
	}
	return names
}

// load is what the cell lets a client send.
func (c *Cell) load(messages int) *load {
	return &load{
		goroutines: c.goroutines, messages: max(messages, c.goroutines),
		topics: c.names(), values: c.payload.values(c.size), timed: c.timed,
	}
}
