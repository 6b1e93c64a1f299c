package bench

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
)

// Main is the command that compares these producers. It ends the process.
func Main(producers []Producer) {
	err := Run(os.Args[1:], os.Stdin, os.Stdout, producers)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	Effort
	ratios                           bool
	only, among, out, kafka, profile string
}

// Run is the program: the comparisons, or the broker that they need.
func Run(args []string, in io.Reader, out io.Writer, producers []Producer) (err error) {
	if os.Getenv(beBroker) != "" {
		return serve(in, out)
	}
	var s settings
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.IntVar(&s.Rounds, "rounds", 5, "how many `rounds`, each with one run of each producer")
	flags.Float64Var(&s.Seconds, "seconds", usualSeconds, "how long each run is to take, about")
	flags.BoolVar(&s.ratios, "ratios", false, "print no absolute figures")
	flags.StringVar(&s.only, "run", "", "only comparisons that match this `regexp`")
	flags.StringVar(&s.among, "producers", "", "only producers that match this `regexp`, compared with the first of them")
	flags.StringVar(&s.out, "out", "", "write tables, JSON and charts into this `folder`")
	flags.StringVar(&s.kafka, "kafka", "", "use the brokers at these `addresses`, and not those that only acknowledge")
	flags.StringVar(&s.profile, "cpuprofile", "", "write a profile to this `file`; -producers limits it to one of them")
	if err := flags.Parse(args); err != nil {
		return err
	}
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
	report, err := s.compare(out, producers)
	if err != nil || s.out == "" {
		return err
	}
	return report.write(s.out, s.prefix())
}

// prefix begins the names of the files.
func (s *settings) prefix() string {
	if s.kafka != "" {
		return "kafka-"
	}
	return "ack-"
}

// compare compares, and prints each comparison when it is done.
func (s *settings) compare(out io.Writer, producers []Producer) (report *Report, err error) {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return nil, err
	}
	among, err := regexp.Compile(s.among)
	if err != nil {
		return nil, err
	}
	addrs, cluster := strings.Split(s.kafka, ","), "Apache Kafka"
	if s.kafka == "" {
		cluster = fmt.Sprintf("%d brokers that only acknowledge", brokers)
		var stop func() error
		if addrs, stop, err = startBroker(); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	report = newReport(cluster, s.Rounds)
	cells := Cells(producers)
	for i := range cells {
		c := &cells[i]
		c.producers = slices.DeleteFunc(slices.Clone(c.producers), func(p Producer) bool { return !among.MatchString(p.Name) })
		if !only.MatchString(c.Group+", "+c.Name) || len(c.producers) == 0 {
			continue
		}
		if s.kafka != "" {
			if !c.suitsKafka() {
				continue
			}
			if err := c.create(addrs); err != nil {
				return nil, err
			}
		}
		rounds, err := c.run(addrs, s.Effort)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", c.Group, c.Name, err)
		}
		r := c.result(rounds)
		report.Results = append(report.Results, r)
		if _, err := io.WriteString(out, r.Table(!s.ratios)); err != nil {
			return nil, err
		}
	}
	if len(report.Results) == 0 {
		return nil, fmt.Errorf("no comparison matches -run %q and -producers %q", s.only, s.among)
	}
	return report, nil
}

// write writes the report into a folder.
func (r *Report) write(dir, prefix string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tables, err := os.Create(filepath.Join(dir, prefix+"tables.md")) //nolint:gosec // the caller's folder
	if err != nil {
		return err
	}
	return errors.Join(r.Markdown(tables), tables.Close(),
		os.WriteFile(filepath.Join(dir, prefix+"figures.json"), append(text, '\n'), 0o600),
		r.Charts(dir, prefix))
}
