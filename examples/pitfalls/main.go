// Pitfalls runs what makes people stumble over sarama's producers, each with
// bare sarama first and then with this library, and checks what it says about
// both.
//
// Exit codes: 0 everything behaved as stated, 1 something did not, or could not
// be tried.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/examples/internal/demo"
)

// limit is for what should be done soon: it is long, for slow machines.
const limit = 20 * time.Second

func main() {
	slog.SetLogLoggerLevel(slog.LevelError) // this program tells itself what happens
	brokers := flag.String("brokers", "", demo.Usage)
	flag.Parse()
	ctx := context.Background()
	var err error
	if flag.Arg(0) == childArg {
		err = child(ctx, flag.Args()[1:])
	} else {
		err = run(ctx, os.Stdout, *brokers)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pitfalls:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, brokers string) (err error) {
	cluster, err := demo.Open(ctx, brokers, "pitfalls", 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	return show(ctx, out, cluster, pitfalls(cluster))
}

// attempt does something that people do. It returns in a line what happened,
// or an error if that is not what the example states.
type attempt func(ctx context.Context, cluster *demo.Cluster) (string, error)

type pitfall struct {
	title, why     string
	bare, producer attempt
}

func pitfalls(cluster *demo.Cluster) []pitfall {
	all := []pitfall{{
		title:    "A sync producer, and nobody has set Return.Successes",
		bare:     syncBare,
		producer: syncProducer,
		why:      "sarama's SyncProducer reads Successes(), which its own NewConfig leaves off",
	}, {
		title:    "Return.Successes is off, and somebody waits for a success",
		bare:     waitBare,
		producer: waitProducer,
		why:      "without it sarama reports no success, and tells nobody who waits for one",
	}, {
		title:    "Return.Successes is on, and nobody reads Successes()",
		bare:     unreadBare,
		producer: unreadProducer,
		why:      "the channel has no buffer: one success that is not read stops its broker, then its topic, then all",
	}, {
		title:    "Sends go on while the producer is closed",
		bare:     racingBare,
		producer: racingProducer,
		why:      "Close closes the channels that senders, and sarama itself, still write to",
	}}
	if cluster.Embedded != nil { // a cluster of others is not frozen
		all = append(all, pitfall{
			title:    "The brokers fall silent, and then the producer is closed",
			bare:     silentBare,
			producer: silentProducer,
			why:      "sarama's Close has no ctx: it goes through all time-outs and retries, one after the other",
		})
	}
	return all
}

// show tries each pitfall. It returns an error if anything behaved otherwise
// than stated.
func show(ctx context.Context, out io.Writer, cluster *demo.Cluster, all []pitfall) error {
	w := &writer{out: out}
	otherwise := 0
	try := func(name string, do attempt) {
		text, err := do(ctx, cluster)
		if err != nil {
			otherwise++
			text = "NOT AS STATED: " + err.Error()
		}
		w.printf("   %-13s%s\n", name, text)
	}
	for i, p := range all {
		w.printf("%d. %s\n", i+1, p.title)
		try("bare sarama:", p.bare)
		try("producer:", p.producer)
		w.printf("   %-13s%s\n\n", "why:", p.why)
	}
	if otherwise > 0 {
		return fmt.Errorf("%d of %d statements did not hold", otherwise, 2*len(all))
	}
	w.printf("All of this was checked: %d statements held.\n", 2*len(all))
	return w.err
}

// writer keeps the first error of a series of writes.
type writer struct {
	out io.Writer
	err error
}

func (w *writer) printf(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format, args...)
	}
}

func message(topic, what string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(what)}
}

// stored counts the records of the topic that say what.
func stored(ctx context.Context, cluster *demo.Cluster, what string) (int, error) {
	records, err := cluster.Records(ctx)
	n := 0
	for _, r := range records {
		if string(r.Value) == what {
			n++
		}
	}
	return n, err
}
