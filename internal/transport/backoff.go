package transport

import (
	"math/rand/v2"
	"time"
)

// MaxRetries bounds Producer.Retry.Max: sarama allocates 32 bytes for each
// possible retry of each partition.
const MaxRetries = 1000

// jitter is the part by which a wait may be shorter, so that producers which
// failed together do not come back together.
const jitter = 0.2

// Backoff is how long to wait before a re-send: exponentially longer from Min
// to Max. sarama's own function overflows after 37 retries.
type Backoff struct{ Min, Max time.Duration }

// wait returns the n-th wait, n >= 1.
func (b Backoff) wait(n int) time.Duration {
	d := b.Max
	// From 2^32 on the product may overflow; Max is reached long before.
	if shift := n - 1; shift < 32 && b.Min < b.Max>>shift {
		d = b.Min << shift
	}
	return d - time.Duration(rand.Float64()*jitter*float64(d))
}

// Retries returns how many retries cover the delivery timeout, whatever the
// jitter is. With more than MaxRetries the waits are stretched instead: see
// stretched.
func (b Backoff) Retries(timeout time.Duration) int {
	const climbing = 32 // the waits that are still short
	n := int64(float64(timeout)/(float64(b.Max)*(1-jitter))) + climbing
	return int(min(n, MaxRetries))
}

// stretched is wait for a retry that must not come too early: after the first
// few, so long that MaxRetries of them cover the timeout.
func (b Backoff) stretched(n int, timeout time.Duration) time.Duration {
	const prompt = 16
	d := b.wait(n)
	if n > prompt {
		d = max(d, timeout/(MaxRetries-prompt))
	}
	return d
}

// setBackoffs gives sarama's producer functions that wait themselves and return 0: what
// they return sarama would sleep, and no abort could end that.
func (t *Transport) setBackoffs() {
	conf := t.cfg.Sarama
	user := conf.Producer.Retry.BackoffFunc
	conf.Producer.Retry.BackoffFunc = func(retries, most int) time.Duration {
		if retries == 0 {
			// Asked for messages that failed without having been sent. The
			// wait was in Leader; a second one would be for each message.
			return 0
		}
		t.cfg.Home.Retries.Add(1)
		if user != nil {
			t.wait(t.sane(user(retries, most), retries))
		} else {
			t.wait(t.cfg.Backoff.stretched(retries, t.cfg.DeliveryTimeout))
		}
		return 0
	}
	// Asking for a producer id, in the constructor.
	conf.Producer.Transaction.Retry.BackoffFunc = func(retries, _ int) time.Duration {
		t.wait(t.cfg.Backoff.wait(retries + 1))
		return 0
	}
}

// askWait is how long an owned client waits before the n-th repetition of a
// look-up, n >= 1.
func (t *Transport) askWait(n int) time.Duration {
	if f := t.cfg.Sarama.Metadata.Retry.BackoffFunc; f != nil {
		return t.sane(f(n-1, 0), n)
	}
	return t.cfg.Backoff.wait(n)
}

// sane is the wait that a user's function asks for, unless that is none after
// many tries: sarama's own function overflows.
func (t *Transport) sane(d time.Duration, n int) time.Duration {
	const tries = 16
	if d <= 0 && n > tries {
		return t.cfg.Backoff.wait(n)
	}
	return d
}

// wait waits for d, or until the transport is aborted: then it reports false.
func (t *Transport) wait(d time.Duration) bool {
	if d <= 0 {
		return t.aborted.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.aborted.Done():
		return false
	}
}
