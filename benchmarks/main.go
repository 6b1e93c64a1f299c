// Command benchmarks compares the library with bare sarama and other clients.
// README.md says how to read what it prints.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/pprof"
)

func main() {
	err := start(os.Args[1:], os.Stdin, os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// start is the program: the comparisons, or the broker that they need.
func start(args []string, in io.Reader, out io.Writer) error {
	if os.Getenv(beBroker) != "" {
		return serve(in, out)
	}
	var s settings
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.BoolVar(&s.short, "short", false, "a few messages only: to see that it works, not to measure")
	flags.BoolVar(&s.ratios, "ratios", false, "print no absolute figures")
	flags.BoolVar(&s.inside, "inside", false, "run the broker in this process, where CPU and allocations count its share too")
	flags.IntVar(&s.rounds, "rounds", 9, "how many `rounds`, each with one run of each producer")
	flags.StringVar(&s.only, "run", "", "only comparisons that match this `regexp`")
	flags.StringVar(&s.profile, "cpuprofile", "", "write a profile to this `file`; -tagfocus side=Async shows one side")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return s.run(out)
}

// settings are what the flags say.
type settings struct {
	short, ratios, inside bool
	rounds                int
	only, profile         string
}

// run compares, and prints each comparison when it is done.
func (s *settings) run(out io.Writer) (err error) {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return err
	}
	times := 1.0
	if s.short {
		times, s.rounds = 0.002, 1
	}
	addrs, stop, err := startBroker(s.inside)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if s.profile != "" {
		f, err := os.Create(s.profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}

	report := func(name string, contenders []contender, goals []goal, rounds []round, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, err = io.WriteString(out, table(name, contenders, goals, rounds, !s.ratios))
		return err
	}
	for _, b := range benchmarks(times) {
		if only.MatchString(b.name) {
			rounds, err := b.run(addrs, s.rounds)
			if err := report(b.name, b.contenders, b.goals, rounds, err); err != nil {
				return err
			}
		}
	}
	if name := "dispatcher alone"; only.MatchString(name) {
		rounds, err := runDispatcher(addrs, s.rounds, int(1_000_000*times))
		contenders := []contender{{name: "sarama"}, {name: "our dispatcher", ours: true}}
		return report(name, contenders, dispatcherGoals(), rounds, err)
	}
	return nil
}
