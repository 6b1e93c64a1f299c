package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// subject is a producer whose figures a test can read.
type subject interface {
	Producer
	Stats() Stats
}

// opener makes the producer of a property.
type opener func(opts ...Option) (subject, *fake)

// both runs a property on a Sync and on an Async, each in a bubble.
func both(t *testing.T, property func(t *testing.T, open opener)) {
	t.Helper()
	implementations(t, func(t *testing.T, open func(*testing.T, ...Option) (Producer, *fake)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			property(t, func(opts ...Option) (subject, *fake) {
				p, f := open(t, opts...)
				closeLast(t, p)
				return p.(subject), f //nolint:errcheck,forcetypeassert // both are
			})
		})
	})
}

// openSync and openAsync are newFakeSync and newFakeAsync for producers that the
// test does not have to close.
func openSync(t *testing.T, opts ...Option) (*Sync, *fake) {
	t.Helper()
	p, f := newFakeSync(t, opts...)
	closeLast(t, p)
	return p, f
}

func openAsync(t *testing.T, opts ...Option) (*Async, *fake) {
	t.Helper()
	p, f := newFakeAsync(t, opts...)
	closeLast(t, p)
	return p, f
}

// closeLast ends a producer with its test, whatever it still holds: the ctx of a
// test has ended when its cleanup runs, so this aborts.
func closeLast(t *testing.T, p Producer) {
	t.Helper()
	t.Cleanup(func() { _ = p.Close(t.Context()) })
}

// call is a call that may take its time.
type call struct {
	t   *testing.T
	end chan error
}

// begin makes a call from a goroutine of its own, and returns when it has
// returned or waits.
func begin(t *testing.T, f func() error) call {
	t.Helper()
	c := call{t, make(chan error, 1)}
	go func() { c.end <- f() }()
	synctest.Wait()
	return c
}

// beginSend begins a Send.
func beginSend(t *testing.T, p Producer, msg *sarama.ProducerMessage) call {
	t.Helper()
	return begin(t, func() error { return p.Send(t.Context(), msg) })
}

// requireWaits fails the test if the call has returned.
func (c call) requireWaits() {
	c.t.Helper()
	synctest.Wait()
	require.Empty(c.t, c.end, "the call has returned")
}

// result is what the call returned. It fails the test if the call still waits.
func (c call) result() error {
	c.t.Helper()
	synctest.Wait()
	require.NotEmpty(c.t, c.end, "the call has not returned")
	return <-c.end
}

// first waits until nothing moves and returns the oldest record that the
// transport holds.
func (f *fake) first(t *testing.T) *record.Record {
	t.Helper()
	synctest.Wait()
	held := f.holding()
	require.NotEmpty(t, held, "nothing has reached the transport")
	return held[0]
}

// report is what a callback was told.
type report struct {
	ctx context.Context //nolint:containedctx // it is what the callback got
	msg *sarama.ProducerMessage
	err error
}

// reports collects what the callbacks of a producer are told.
type reports struct {
	mu   sync.Mutex
	list []report
}

// options are the callbacks.
func (r *reports) options() Option {
	return Options{
		WithOnSuccess(func(ctx context.Context, msg *sarama.ProducerMessage) { r.add(ctx, msg, nil) }),
		WithOnError(r.add),
	}
}

func (r *reports) add(ctx context.Context, msg *sarama.ProducerMessage, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, report{ctx, msg, err})
}

// all waits until nothing moves and returns what was told until then.
func (r *reports) all() []report {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]report(nil), r.list...)
}

// valueOf is the value of a message as text.
func valueOf(t *testing.T, msg *sarama.ProducerMessage) string {
	t.Helper()
	b, err := msg.Value.Encode()
	require.NoError(t, err)
	return string(b)
}

// tagged is a message that a test can tell from others wherever it sees it.
func tagged(topic, tag string) *sarama.ProducerMessage {
	msg := text(topic, tag)
	msg.Metadata = tag
	return msg
}

// tagsOf are the tags of records, in their order.
func tagsOf(records []*record.Record) (tags []string) {
	for _, r := range records {
		tags = append(tags, fmt.Sprint(r.Msg.Metadata))
	}
	return tags
}

// numbered are n tags in order.
func numbered(n int) (tags []string) {
	for i := range n {
		tags = append(tags, fmt.Sprint(i))
	}
	return tags
}

func requireBalanced(t *testing.T, s Stats) { //nolint:gocritic // large, but a value is what Stats gives
	t.Helper()
	require.Equal(t, s.Accepted, s.Delivered+s.Failed+s.InFlight, "%+v", s)
	require.GreaterOrEqual(t, s.InFlight, int64(0))
}

// failureOf returns the DeliveryError of an error.
func failureOf(t *testing.T, err error) *DeliveryError {
	t.Helper()
	var failure *DeliveryError
	require.ErrorAs(t, err, &failure)
	return failure
}

// requireNothingAccepted checks what holds of an error that wraps no
// DeliveryError.
func requireNothingAccepted(t *testing.T, p subject, f *fake, err error) {
	t.Helper()
	require.Error(t, err)
	var failure *DeliveryError
	require.NotErrorAs(t, err, &failure, "a DeliveryError says that it was accepted")
	require.Empty(t, f.submitted())
	s := p.Stats()
	require.Zero(t, s.Accepted)
	require.Zero(t, s.Buffered, "room was kept")
	require.Zero(t, s.BufferedBytes, "room was kept")
}

func TestSend_afterCloseReturnsErrClosed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options())
		require.NoError(t, p.Close(t.Context()))
		err := p.Send(t.Context(), text("t", "v"))
		require.ErrorIs(t, err, ErrClosed)
		requireNothingAccepted(t, p, f, err)
		require.Empty(t, told.all())
	})
}

func TestSend_afterCloseHasBegunReturnsErrClosed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		p, f := open()
		send := beginSend(t, p, text("t", "before"))
		closing := begin(t, func() error { return p.Close(t.Context()) })
		closing.requireWaits()
		require.ErrorIs(t, p.Send(t.Context(), text("t", "after")), ErrClosed)
		f.deliver(f.first(t))
		require.NoError(t, send.result(), "what was accepted before is delivered")
		require.NoError(t, closing.result())
		require.Len(t, f.submitted(), 1)
	})
}

func TestSend_duringCloseReturnsErrClosedOrIsDelivered(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		for range 100 {
			var told reports
			p, f := open(told.options())
			f.auto = true
			var accepted, refused, other int64
			var mu sync.Mutex
			var senders sync.WaitGroup
			for range 8 {
				senders.Go(func() {
					for {
						err := p.Send(t.Context(), text("t", "v"))
						mu.Lock()
						switch {
						case err == nil:
							accepted++
						case errors.Is(err, ErrClosed):
							refused++
						default:
							other++
						}
						mu.Unlock()
						if err != nil {
							return
						}
					}
				})
			}
			require.NoError(t, p.Close(t.Context()))
			senders.Wait()
			require.Zero(t, other)
			require.EqualValues(t, 8, refused)
			require.Equal(t, accepted, p.Stats().Delivered)
			require.Len(t, told.all(), int(accepted))
		}
	})
}

func TestProducer_theZeroValueIsClosed(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]subject{
		"Sync": &Sync{}, "Async": &Async{}, "NilSync": (*Sync)(nil), "NilAsync": (*Async)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, p.Send(t.Context(), text("t", "v")), ErrClosed)
			require.NoError(t, p.Flush(t.Context()))
			require.NoError(t, p.Close(t.Context()))
			require.Zero(t, p.Stats())
		})
	}
	require.ErrorIs(t, (&Async{}).TrySend(t.Context(), nil), ErrClosed)
	require.ErrorIs(t, (&Async{}).SendFunc(t.Context(), nil, nil), ErrClosed)
	require.ErrorIs(t, (&Sync{}).SendAll(t.Context(), []*sarama.ProducerMessage{nil}), ErrClosed)
}

func TestProducer_reportsEachAcceptedMessageOnceWhenTheTransportReportsItTwice(t *testing.T) {
	t.Parallel()
	first, second := sarama.ErrNotLeaderForPartition, sarama.ErrRequestTimedOut
	for _, c := range []struct {
		name          string
		first, second error
	}{
		{"successThenSuccess", nil, nil},
		{"successThenFailure", nil, second},
		{"failureThenSuccess", first, nil},
		{"failureThenFailure", first, second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				var told reports
				p, f := open(told.options())
				send := beginSend(t, p, text("t", "v"))
				r := f.first(t)
				for _, err := range []error{c.first, c.second} {
					if err == nil {
						f.deliver(r)
					} else {
						f.fail(r, err)
					}
				}
				err := send.result()
				if _, ok := p.(*Async); ok {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.first)
				}
				require.Len(t, told.all(), 1)
				require.ErrorIs(t, told.all()[0].err, c.first)
				s := p.Stats()
				requireBalanced(t, s)
				require.Zero(t, s.InFlight)
				require.Zero(t, s.Held)
				require.Zero(t, s.Late)
				require.Zero(t, s.Buffered)
				require.Zero(t, s.BufferedBytes)
			})
		})
	}
}

func TestProducer_reportsBrokerAndPartitionerTroubleAsDeliveryError(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options())
		send := beginSend(t, p, text("orders", "v"))
		r := f.first(t)
		require.True(t, f.batch(r))
		f.fail(r, sarama.ErrNotEnoughReplicasAfterAppend)
		err := send.result()
		if _, ok := p.(*Async); ok {
			require.NoError(t, err)
			err = told.all()[0].err
		}
		require.Equal(t, told.all()[0].err, err)
		failure := failureOf(t, err)
		require.Equal(t, "orders", failure.Topic)
		require.EqualValues(t, 3, failure.Partition)
		require.Equal(t, PossiblyPersisted, failure.Status)
		require.Equal(t, 1, failure.Attempts)
		require.False(t, failure.Pending)
		require.ErrorIs(t, err, sarama.ErrNotEnoughReplicasAfterAppend)
	})
}

func TestProducer_aFailedMessageHasNoPlausiblePlace(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(told.options())
		msg := text("t", "v") // its Partition and Offset are 0
		send := beginSend(t, p, msg)
		f.fail(f.first(t), sarama.ErrOutOfBrokers) // never placed
		_ = send.result()
		require.EqualValues(t, -1, failureOf(t, told.all()[0].err).Partition)
		require.Equal(t, NotPersisted, failureOf(t, told.all()[0].err).Status)
		require.EqualValues(t, -1, told.all()[0].msg.Partition)
		require.EqualValues(t, -1, told.all()[0].msg.Offset)
	})
}

// canary stands for what nobody but the receiver of a message may see.
const canary = "hunter2"

// requireSecret fails the test if an error shows the canary.
func requireSecret(t *testing.T, err error) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%q"} {
		require.NotContains(t, fmt.Sprintf(verb, err), canary)
	}
}

// coreOf is the machinery of a producer.
func coreOf(p subject) *core {
	if s, ok := p.(*Sync); ok {
		return s.core
	}
	return p.(*Async).core //nolint:errcheck,forcetypeassert // there are two
}
