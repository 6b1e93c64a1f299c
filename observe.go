package producer

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/saramakit/producer/internal/lane"
)

// details reads all figures.
func (c *core) details() Details {
	d := Details{
		Stats: c.stats(), State: c.state(), Started: c.started,
		MaxBuffered: int64(c.cfg.maxBuffered), MaxBufferedBytes: c.cfg.maxBufferedBytes,
		Latency:  newLatency(c.latency.Read()),
		Failures: c.counts.failures.read(), Rejections: c.counts.rejections.read(),
		Settings: slices.Clone(c.cfg.settings),
	}
	if last := c.lastOutcome.Load(); last != 0 {
		d.LastOutcome = c.registry.At(time.Duration(last))
	}
	if slow := c.lastSlow.Load(); slow != nil {
		d.SlowCallback = *slow
	}
	known, others := c.lanes.Counts()
	d.Topics = make([]TopicStats, 0, len(known))
	for topic, counts := range known {
		d.Topics = append(d.Topics, topicStats(topic, counts))
	}
	slices.SortFunc(d.Topics, func(a, b TopicStats) int { return strings.Compare(a.Topic, b.Topic) })
	d.OtherTopics = topicStats("", others)
	return d
}

func topicStats(topic string, c lane.Counts) TopicStats {
	return TopicStats{
		Topic: topic, Accepted: c.Accepted, Delivered: c.Delivered, Failed: c.Failed,
		InFlight: c.Accepted - c.Delivered - c.Failed, Failures: c.Failures,
	}
}

func (c *core) state() State {
	select {
	case <-c.closed:
		return StateClosed
	default:
	}
	if c.gate.Closed() {
		return StateClosing
	}
	return StateRunning
}

// ping asks the brokers whether one is there.
func (c *core) ping(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if c.gate.Closed() {
		return ErrClosed
	}
	if ctx.Err() != nil {
		return endError(ctx)
	}
	if err := c.transport.Ping(ctx); err != nil {
		return ended(ctx, err)
	}
	return nil
}

// ready is ping of a producer that makes progress.
func (c *core) ready(ctx context.Context) error {
	switch {
	case c.gate.Closed():
		return ErrClosed
	case c.counts.stalled.Load():
		return ErrStalled
	default:
		return c.ping(ctx)
	}
}

// stallLooks is how often a producer that has stalled is looked at.
const stallLooks = time.Second

// watch notices that the producer has stalled, and that it has recovered. While
// it works it sleeps until the earliest moment at which it can have stalled.
func (c *core) watch() {
	limit := min(c.cfg.stallTimeout, c.cfg.deliveryTimeout/2)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	stalledAt := time.Duration(0)
	for {
		select {
		case <-c.stop:
			return
		case <-timer.C:
		}
		now, last := c.registry.Now(), time.Duration(c.lastOutcome.Load())
		oldest, waits := c.registry.OldestUndecided()
		stalled := c.counts.stalled.Load()
		idle := now - max(oldest, last)
		switch {
		case stalled && (!waits || last > stalledAt):
			c.counts.stalled.Store(false)
			c.log.state(slog.LevelInfo, "producer: recovered", slog.Duration("stalled_for", now-stalledAt))
			timer.Reset(limit)
		case stalled:
			timer.Reset(min(limit, stallLooks))
		case waits && idle >= limit:
			stalledAt = now
			c.counts.stalls.Add(1)
			c.counts.stalled.Store(true)
			c.log.state(slog.LevelWarn, "producer: stalled; messages are in flight and nothing comes of them",
				slog.Int64("in_flight", c.registry.Counts().InFlight), slog.Duration("oldest", now-oldest),
				slog.Duration("since_outcome", now-last))
			timer.Reset(min(limit, stallLooks))
		case waits:
			timer.Reset(limit - idle)
		default:
			timer.Reset(limit)
		}
	}
}
