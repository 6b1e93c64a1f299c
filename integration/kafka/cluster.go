package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// startTimeout bounds a start if its ctx does not. Machines under test are
	// busy.
	startTimeout = 3 * time.Minute
	// stopTimeout is how long a node may take to move its leaders away.
	stopTimeout = time.Minute
	// stopTimeoutAlone is for one that has no controllers to move them: it never
	// ends by itself.
	stopTimeoutAlone = 15 * time.Second
)

// Cluster is a running Kafka. Its methods may be called at the same time.
// Where a method takes ids of nodes, none means all that it can act on.
type Cluster struct {
	options Options
	dist    distribution
	dir     string
	ports   ports
	nodes   []*node
	foreign []string // the addresses of a cluster that is not ours

	closing  sync.Once
	keepLogs atomic.Bool
	closed   error
}

// Start starts a cluster and waits until it is usable. The cluster lives until
// Close, whatever becomes of ctx. An error is a [*MissingError] if this machine
// cannot run Kafka.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	switch o.Nodes {
	case 0:
		o.Nodes = 1
	case 1, maxNodes:
	default:
		return nil, fmt.Errorf("kafka: %d nodes: use 1 or %d", o.Nodes, maxNodes)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dist, err := find(ctx)
	if err != nil {
		return nil, err
	}
	c := &Cluster{options: o, dist: dist}
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := c.StartNodes(ctx); err != nil {
		c.KeepLogs()
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// prepare makes all files of the cluster.
func (c *Cluster) prepare(ctx context.Context) (err error) {
	if c.dir = c.options.Dir; c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "kafka-"); err != nil {
			return err
		}
	} else if c.dir, err = filepath.Abs(c.dir); err != nil {
		return err
	}
	if c.ports, err = takePorts(); err != nil {
		return err
	}
	if c.options.TLS {
		if err := makeCertificates(c.tls("")); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.dir, "log4j2.properties"), log4j, 0o600); err != nil {
		return err
	}
	for id := 1; id <= c.options.Nodes; id++ {
		if err := os.MkdirAll(nodeDir(c.dir, id), 0o700); err != nil {
			return err
		}
		c.nodes = append(c.nodes, &node{
			id: id, log: filepath.Join(nodeDir(c.dir, id), "server.log"),
			make: func(ctx context.Context) *exec.Cmd { return c.server(ctx, id) },
		})
	}
	return c.each(nil, func(*node) bool { return true }, func(n *node) error { return c.format(ctx, n.id) })
}

// server is the Java program of a node.
func (c *Cluster) server(ctx context.Context, id int) *exec.Cmd {
	heap := "1g"
	if c.options.Nodes > 1 {
		heap = "768m"
	}
	return c.dist.jvm(ctx, c.dir, []string{
		// Quick to start: the better compiler pays off after minutes only.
		"-XX:TieredStopAtLevel=1", "-Xms256m", "-Xmx" + heap, "-XX:MaxDirectMemorySize=256m",
		"-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	}, "kafka.Kafka", propertiesFile(c.dir, id))
}

// tool is one of Kafka's own programs: small and short.
func (c *Cluster) tool(ctx context.Context, class string, args ...string) *exec.Cmd {
	return c.dist.jvm(ctx, c.dir, []string{
		"-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dkafka.log.level=error",
	}, class, args...)
}

// format writes the settings of a node and what Kafka wants in an empty folder.
func (c *Cluster) format(ctx context.Context, id int) error {
	path := propertiesFile(c.dir, id)
	if err := writeProperties(path, c.options.properties(c.dir, c.ports, id)); err != nil {
		return err
	}
	out, err := output(c.tool(ctx, "kafka.tools.StorageTool", c.options.formatArguments(path)...))
	if err != nil {
		return fmt.Errorf("kafka: format node %d: %w: %s", id, err, out)
	}
	return nil
}

// each calls f for nodes, all at the same time: those with these ids, or without
// ids those that are meant.
func (c *Cluster) each(ids []int, meant func(*node) bool, f func(*node) error) error {
	var chosen []*node
	for _, id := range ids {
		if id < 1 || id > len(c.nodes) {
			return fmt.Errorf("kafka: no node %d: there are 1 to %d", id, len(c.nodes))
		}
		chosen = append(chosen, c.nodes[id-1])
	}
	if len(ids) == 0 {
		for _, n := range c.nodes {
			if meant(n) {
				chosen = append(chosen, n)
			}
		}
	}
	errs := make([]error, len(chosen))
	var all sync.WaitGroup
	for i, n := range chosen {
		all.Go(func() { errs[i] = f(n) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// StartNodes starts nodes that do not run and waits until they serve clients.
// Their replicas join the ISR later: see InSync. Of three nodes that are all
// away, one alone never gets ready.
func (c *Cluster) StartNodes(ctx context.Context, ids ...int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.each(ids, func(n *node) bool { return !n.running() }, func(n *node) error {
		if err := n.launch(); err != nil {
			return err
		}
		return n.waitReady(ctx)
	})
}

// Kill ends nodes as a crash does (SIGKILL), and returns when they are gone.
func (c *Cluster) Kill(ids ...int) error {
	return c.each(ids, (*node).running, (*node).kill)
}

// Stop ends nodes as an operator does (SIGTERM): their leaders move before. One
// that does not end in time is killed, such as the last of three, which has no
// controllers left.
func (c *Cluster) Stop(ids ...int) error {
	stopping := len(ids)
	if stopping == 0 {
		stopping = c.count((*node).running)
	}
	within := stopTimeout
	if len(c.nodes) > 1 && c.count((*node).answers)-stopping < len(c.nodes)/2+1 {
		within = stopTimeoutAlone
	}
	return c.each(ids, (*node).running, func(n *node) error { return n.stop(within) })
}

// Freeze stops nodes from running (SIGSTOP): their connections stay open, and
// nothing is answered.
func (c *Cluster) Freeze(ids ...int) error { return c.send(syscall.SIGSTOP, ids) }

// Thaw lets frozen nodes run on.
func (c *Cluster) Thaw(ids ...int) error { return c.send(syscall.SIGCONT, ids) }

func (c *Cluster) send(s syscall.Signal, ids []int) error {
	return c.each(ids, (*node).running, func(n *node) error {
		_, err := n.signal(s)
		return err
	})
}

// Running reports whether a node has a process, be it frozen.
func (c *Cluster) Running(id int) bool {
	return id >= 1 && id <= len(c.nodes) && c.nodes[id-1].running()
}

func (c *Cluster) count(is func(*node) bool) int {
	count := 0
	for _, n := range c.nodes {
		if is(n) {
			count++
		}
	}
	return count
}

// KeepLogs makes Close leave the logs and the settings of the nodes where they
// are, in Dir.
func (c *Cluster) KeepLogs() { c.keepLogs.Store(true) }

// Close kills all nodes and removes the folder, unless [Options] named it. It
// can be called more than once.
func (c *Cluster) Close() error {
	c.closing.Do(func() {
		for _, n := range c.nodes {
			if n.running() {
				c.closed = errors.Join(c.closed, n.kill())
			}
		}
		if c.ports.release != nil {
			c.ports.release()
		}
		if c.options.Dir == "" && c.dir != "" {
			c.closed = errors.Join(c.closed, c.remove())
		}
	})
	return c.closed
}

func (c *Cluster) remove() error {
	if !c.keepLogs.Load() {
		return os.RemoveAll(c.dir)
	}
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, os.RemoveAll(filepath.Join(nodeDir(c.dir, n.id), "data")))
	}
	return errors.Join(errs...)
}
