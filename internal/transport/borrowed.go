package transport

import (
	"context"
	"time"

	"github.com/IBM/sarama"

	"github.com/saramakit/producer/internal/lane"
)

// maxRefreshes bounds the look-ups of a borrowed client that hang, of all topics
// together.
const maxRefreshes = 64

// askBorrowed asks the brokers of a borrowed client whether a topic exists.
func (t *Transport) askBorrowed(ctx context.Context, topic string) error {
	err := t.eachBorrowed(ctx, func(b *sarama.Broker) error { return t.askOne(b, topic) })
	if err == nil {
		t.refreshBorrowed(ctx, topic)
	}
	return err
}

// eachBorrowed asks the brokers of a borrowed client something, over the
// connections that it has: one after the other, and a further one when one gives
// no answer, which ask says with lane.ErrNoAnswer, or is slow.
func (t *Transport) eachBorrowed(ctx context.Context, ask func(b *sarama.Broker) error) error {
	brokers := t.client.Brokers()
	if len(brokers) == 0 {
		if b := t.client.LeastLoadedBroker(); b != nil {
			brokers = append(brokers, b)
		}
	}
	answers := make(chan error, len(brokers)) // as many as may come, so that none waits
	next := time.NewTimer(0)
	defer next.Stop()
	for asked, failed := 0, 0; asked < len(brokers) || failed < asked; {
		select {
		case err := <-answers:
			if err == lane.ErrNoAnswer { //nolint:errorlint // nobody wraps it
				failed++
				next.Reset(0)
				continue
			}
			return err
		case <-next.C:
			if asked == len(brokers) {
				continue
			}
			b := brokers[asked]
			asked++
			if !t.spawn(func() { answers <- t.askCurrent(b, ask) }) {
				return lane.ErrNoAnswer
			}
			next.Reset(hedge)
		case <-ctx.Done():
			return lane.ErrNoAnswer
		}
	}
	return lane.ErrNoAnswer
}

// askCurrent asks a broker of a borrowed client.
func (t *Transport) askCurrent(b *sarama.Broker, ask func(b *sarama.Broker) error) error {
	if b.ID() >= 0 { // else it is one of the seeds, which the client has opened
		// The client may have replaced it meanwhile. It opens only what it will
		// close.
		var err error
		if b, err = t.client.Broker(b.ID()); err != nil {
			return lane.ErrNoAnswer
		}
	}
	return ask(b)
}

// unanswering closes the connection to a broker that gave no answer, as sarama
// does: a broken one that is not closed is never opened again.
func unanswering(b *sarama.Broker) error {
	_ = b.Close()
	return lane.ErrNoAnswer
}

// askOne asks one broker whether a topic exists.
func (t *Transport) askOne(b *sarama.Broker, topic string) error {
	response, err := t.metadata(b, t.client.Config(), []string{topic})
	if err != nil {
		return unanswering(b)
	}
	for _, of := range response.Topics {
		if of.Name == topic {
			return existence(of.Err)
		}
	}
	return lane.ErrNoAnswer
}

// refreshing is how long sarama is kept waiting for metadata.
const refreshing = 2 * hedge

// refresh sees to it that the metadata of topics is fetched. It returns when
// that has succeeded or failed once, or ctx ends, and soon in any case: what
// comes later is taken in all the same.
func (t *Transport) refresh(ctx context.Context, topics ...string) {
	ctx, cancel := context.WithTimeout(ctx, refreshing)
	defer cancel()
	t.refreshBorrowed(ctx, topics...)
}

// refreshBorrowed makes a borrowed client fetch metadata, and returns soon: what
// comes later is in the client's cache all the same. The client may ask a broker
// that answers nothing, and would wait for that until its read timeout, so it is
// made to ask again.
func (t *Transport) refreshBorrowed(ctx context.Context, topics ...string) {
	const most = 2
	done := make(chan struct{}, most) // as many as may come, so that none waits
	timer := time.NewTimer(hedge)
	defer timer.Stop()
	for range most {
		if t.refreshes.Add(1) > maxRefreshes || !t.spawn(func() {
			defer t.refreshes.Add(-1)
			_ = t.client.RefreshMetadata(topics...) // whoever needs it looks into the cache
			done <- struct{}{}
		}) {
			t.refreshes.Add(-1)
		}
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-t.aborted.Done():
			return
		case <-timer.C:
		}
		timer.Reset(hedge)
	}
}
