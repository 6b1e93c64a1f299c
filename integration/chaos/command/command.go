// Package command is the command that runs scenarios against Apache Kafka, in
// random order, for as long as asked, and prints a table of what they cost.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"

	"github.com/saramakit/producer/integration/chaos"
	"github.com/saramakit/producer/integration/kafka"
)

// Main is the command with these kinds of producers. It ends the process.
func Main(subjects []chaos.Subject) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, subjects)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// program is what the flags say, and what has come of it.
type program struct {
	out       io.Writer
	duration  time.Duration
	seed      uint64
	rate      int
	console   bool
	closeAmid bool
	scenarios []chaos.Scenario
	subjects  []chaos.Subject

	cluster *kafka.Cluster
	results map[[2]string][]*chaos.Result
	broken  int // runs of ours
	void    int // runs of ours
	total   int
}

// job is one run.
type job struct {
	scenario chaos.Scenario
	subject  chaos.Subject
}

func run(ctx context.Context, args []string, out io.Writer, subjects []chaos.Subject) (err error) {
	p := &program{out: out, results: map[[2]string][]*chaos.Result{}}
	if err := p.parse(args, subjects); err != nil {
		return err
	}
	if p.cluster, err = kafka.Start(ctx, chaos.Cluster()); err != nil {
		return err
	}
	defer func() {
		if p.broken > 0 || err != nil {
			p.cluster.KeepLogs()
			err = errors.Join(err, fmt.Errorf("the logs of Kafka are in %s", p.cluster.Dir()))
		}
		err = errors.Join(err, p.cluster.Close())
	}()
	p.say("SEED=%d\n\n%s", p.seed, chaos.Head)
	if err := p.all(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	p.summary()
	if p.broken > 0 || p.void > 0 {
		return fmt.Errorf("%d runs of ours broke a promise, %d were void", p.broken, p.void)
	}
	return nil
}

// say prints; nobody is there to be told of an error.
func (p *program) say(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }

func (p *program) parse(args []string, all []chaos.Subject) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.DurationVar(&p.duration, "duration", 0, "how long to go on; 0: every scenario once with every producer")
	flags.Uint64Var(&p.seed, "seed", rand.Uint64(), "repeats a run")
	flags.IntVar(&p.rate, "rate", 5_000, "messages a second")
	flags.BoolVar(&p.console, "console", false, "let Kafka's console consumer read what is stored, too")
	flags.BoolVar(&p.closeAmid, "close", false, "close each producer at some moment of the scenario")
	scenarios := flags.String("scenarios", "", "only scenarios that match this `regexp`")
	producers := flags.String("producers", "^producer", "only producers that match this `regexp`; \"\": peers, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	which, err := regexp.Compile(*scenarios)
	if err != nil {
		return err
	}
	whose, err := regexp.Compile(*producers)
	if err != nil {
		return err
	}
	for _, s := range chaos.Scenarios() {
		if which.MatchString(s.Name) {
			p.scenarios = append(p.scenarios, s)
		}
	}
	for _, s := range all {
		if whose.MatchString(s.Name) {
			p.subjects = append(p.subjects, s)
		}
	}
	if len(p.scenarios) == 0 || len(p.subjects) == 0 {
		return errors.New("nothing matches -scenarios and -producers")
	}
	return nil
}

// all runs every scenario with every producer, in random order, and again until
// the time is over.
func (p *program) all(ctx context.Context) error {
	began := time.Now()
	random := rand.New(rand.NewPCG(p.seed, 0)) //nolint:gosec // not a secret
	for {
		var jobs []job
		for _, scenario := range p.scenarios {
			for _, subject := range p.subjects {
				// A network breaks the connections of one that is open.
				if scenario.Suits(subject) && (!p.closeAmid || !scenario.Network) {
					jobs = append(jobs, job{scenario, subject})
				}
			}
		}
		random.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
		for _, j := range jobs {
			if p.duration > 0 && time.Since(began) > p.duration {
				return nil
			}
			if err := p.one(ctx, &j, random.Uint64()); err != nil {
				return err
			}
		}
		if p.duration == 0 {
			return nil
		}
	}
}

func (p *program) one(ctx context.Context, j *job, seed uint64) error {
	r, err := chaos.Run(ctx, p.cluster, j.subject, j.scenario, chaos.Options{
		Seed: seed, Rate: p.rate, CloseAmid: p.closeAmid, Console: p.console,
	})
	if err != nil {
		return fmt.Errorf("%s, %s, seed %d: %w", j.scenario.Name, j.subject.Name, seed, err)
	}
	p.say("%s", r.Row())
	if len(r.Broken) > 0 {
		p.say("\nseed %d, %s:\n%s\n\n", seed, r.Evidence, strings.Join(r.Broken, "\n"))
		if j.subject.Ours {
			p.broken++
		}
	}
	if r.Void != nil {
		p.say("\nvoid: %v\n\n", r.Void)
		if j.subject.Ours {
			p.void++
		}
		return nil
	}
	p.total += r.Accepted
	key := [2]string{j.scenario.Name, j.subject.Name}
	p.results[key] = append(p.results[key], r)
	return nil
}

// summary prints one line per scenario and producer.
func (p *program) summary() {
	p.say("\n%s", chaos.Head)
	runs, kills, freezes := 0, 0, 0
	for _, scenario := range p.scenarios {
		for _, subject := range p.subjects {
			if results := p.results[[2]string{scenario.Name, subject.Name}]; len(results) > 0 {
				p.say("%s", chaos.Sum(results).Row())
				runs += len(results)
				for _, r := range results {
					kills += r.Kills
					freezes += r.Freezes
				}
			}
		}
	}
	p.say("\n%d runs, %d kills and %d freezes of nodes, %d messages accepted and read back, %d runs of ours that broke a promise.\n",
		runs, kills, freezes, p.total, p.broken)
}
