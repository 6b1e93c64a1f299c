package producertest

import (
	"context"
	"errors"
	"time"

	"github.com/saramakit/producer"
)

// brokenChecks are about a cluster that neither stores nor answers.
func brokenChecks() []check {
	return []check{
		{name: "Send, Flush and Close end in time while the cluster is broken", run: brokenInTime},
		{name: "Send, Flush and Close end in time when the cluster breaks", run: brokenLater},
		{name: "Send of a Sync ends with its ctx while the cluster is broken", suits: onlySync, run: brokenSync},
		{name: "a message that finds no outcome fails after the delivery timeout", run: brokenTimeout},
		{name: "messages of a broken cluster are delivered when it heals", run: brokenHeals},
		{name: "Close of a broken cluster leaves no goroutine behind", run: brokenLeavesNothing},
	}
}

func brokenInTime(b *bench) { brokenEnds(b, b.open(Settings{}, nil)) }

func brokenLater(b *bench) {
	x := b.open(Settings{}, nil)
	x.mustSend(10)
	x.flush()
	brokenEnds(b, x)
}

func brokenEnds(b *bench, x *trial) {
	b.tb.Helper()
	x.breakIt()
	late := newAlarm(2 * slack)
	defer late.stop()
	sending := x.sendSome()
	if late.rang() {
		b.tb.Errorf("%d sends have waited for the cluster, longer than %v", some, 2*slack)
	}
	ctx := b.within(brief)
	err := b.do("Flush", brief+slack, func() error { return x.Producer.Flush(ctx) })
	if err == nil && !x.h.Sync { // the sends of a Sync may come after it
		b.tb.Error("Flush returned nil while the cluster is broken")
	}
	if err != nil {
		b.ranOut(ctx, "Flush", err)
	}
	ctx = b.within(brief)
	err = b.do("Close", brief+closeGrace, func() error { return x.Producer.Close(ctx) })
	if err != nil || !x.h.Sync {
		x.ranOutOfTime(ctx, err)
	}
	if err := sending.result(slack); err != nil {
		b.tb.Errorf("Send: %v", err)
	}
	x.heal()
	pause(moment) // for what comes late
	x.settle()
	given := 0
	if short := closeError(err); short != nil {
		given = short.Undelivered
	}
	if aborted := x.count(producer.ErrAborted); given != aborted {
		b.tb.Errorf("Close says that it gave %d messages up; %d have that as their outcome", given, aborted)
	}
}

// count is how many messages failed for a reason.
func (x *trial) count(reason error) (failed int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, n := range x.notes {
		for _, o := range n.outcomes {
			if errors.Is(o.err, reason) {
				failed++
			}
		}
	}
	return failed
}

func brokenSync(b *bench) {
	x := b.open(Settings{}, nil)
	x.mustSend(1)
	x.breakIt()
	ctx, cancel := context.WithTimeoutCause(b.tb.Context(), brief, errors.New("the reason of the test"))
	defer cancel()
	err := b.do("Send", brief+slack, func() error { return x.post(ctx, x.message()) })
	b.ranOut(ctx, "Send whose ctx ends", err)
	if failure := deliveryError(err); failure == nil || failure.Pending == (failure.Status == producer.NotPersisted) {
		b.tb.Errorf("Send whose ctx ends returned %#v, which is neither withdrawn nor pending", err)
	}
	x.heal()
	pause(moment) // for what comes late
	x.finish()
}

func brokenTimeout(b *bench) {
	const timeout = 3 * brief
	x := b.open(Settings{DeliveryTimeout: timeout}, nil)
	x.untilDelivered()
	before := x.toldSoFar()
	x.breakIt()
	start := time.Now()
	sending := x.sendSome()
	x.until("every message has timed out", timeout+slack, func() bool { return x.told >= before+some })
	if took := time.Since(start); took < timeout {
		b.tb.Errorf("messages with a delivery timeout of %v have failed after %v", timeout, took)
	}
	if err := sending.result(slack); err != nil {
		b.tb.Errorf("Send: %v", err)
	}
	x.heal()
	x.untilDelivered()
	x.finish()
	if late := x.count(producer.ErrDeliveryTimeout); late < some {
		b.tb.Errorf("%d of %d messages failed with ErrDeliveryTimeout", late, some)
	}
}

func (x *trial) toldSoFar() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.told
}

// untilDelivered sends one message after the other until one is delivered: with
// a short delivery timeout the first ones may not be.
func (x *trial) untilDelivered() {
	x.tb.Helper()
	end := newAlarm(patience)
	defer end.stop()
	for before := x.delivered(); x.delivered() == before; {
		_ = x.send(x.ctx(), x.message())
		x.flush()
		pause(moment)
		if end.rang() {
			x.tb.Fatalf("nothing is delivered for %v", patience)
		}
	}
}

// delivered is how many messages are.
func (x *trial) delivered() (all int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, n := range x.notes {
		d, _ := n.count()
		all += d
	}
	return all
}

func brokenHeals(b *bench) {
	x := b.open(Settings{}, nil)
	x.mustSend(1)
	x.flush()
	x.breakIt()
	sending := x.sendSome()
	pause(moment)
	x.heal()
	if err := sending.result(patience); err != nil {
		b.tb.Errorf("Send: %v", err)
	}
	x.finish()
	x.allDelivered()
}

func brokenLeavesNothing(b *bench) {
	b.watch()
	x := b.open(Settings{}, nil)
	x.mustSend(1)
	x.breakIt()
	sending := x.sendSome()
	ended := b.ended(nil)
	_ = b.do("Close", closeGrace, func() error { return x.Producer.Close(ended) })
	if err := sending.result(slack); err != nil {
		b.tb.Errorf("Send: %v", err)
	}
	x.settle()
}
