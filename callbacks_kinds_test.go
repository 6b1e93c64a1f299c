package producer

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// callbackKind is a function of the user's, and what makes it run.
type callbackKind struct {
	name string
	// result: SendFunc's, else OnSuccess or OnError, whichever is told.
	result bool
	decide func(t *testing.T, f *fake)
}

func callbackKinds() []callbackKind {
	deliver := func(t *testing.T, f *fake) { t.Helper(); f.deliver(f.first(t)) }
	fail := func(t *testing.T, f *fake) { t.Helper(); f.fail(f.first(t), sarama.ErrRequestTimedOut) }
	expire := func(*testing.T, *fake) { advance(time.Minute) }
	return []callbackKind{
		{"onSuccess", false, deliver},
		{"onErrorOfAFailure", false, fail},
		{"onErrorOfAnExpiry", false, expire},
		{"resultOfADelivery", true, deliver},
		{"resultOfAFailure", true, fail},
		{"resultOfAnExpiry", true, expire},
	}
}

// inEachKind runs a property with an Async whose next callback is do, whatever
// its kind. run sends a message and decides its outcome.
func inEachKind(t *testing.T, property func(t *testing.T, start func(do func(ctx context.Context, p *Async), opts ...Option) (p *Async, f *fake, run func()))) {
	t.Helper()
	for _, kind := range callbackKinds() {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				property(t, func(do func(context.Context, *Async), opts ...Option) (*Async, *fake, func()) {
					var p *Async
					var once sync.Once // what it sends has callbacks too
					call := func(ctx context.Context) { once.Do(func() { do(ctx, p) }) }
					set := Options{WithDeliveryTimeout(time.Minute), known, Options(opts)}
					if !kind.result {
						set = append(set,
							WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) { call(ctx) }),
							WithOnError(func(ctx context.Context, _ *sarama.ProducerMessage, _ error) { call(ctx) }))
					}
					p, f := openAsync(t, set)
					return p, f, func() {
						t.Helper()
						require.NoError(t, p.SendFunc(t.Context(), text("t", "v"),
							func(ctx context.Context, _ *sarama.ProducerMessage, _ error) {
								if kind.result {
									call(ctx)
								}
							}))
						kind.decide(t, f)
						synctest.Wait()
					}
				})
			})
		})
	}
}

// The buffer has one place, which the message of the callback still takes.
func TestCallbacks_ofEveryKindMayCallEveryMethod(t *testing.T) {
	t.Parallel()
	inEachKind(t, func(t *testing.T, start func(func(context.Context, *Async), ...Option) (*Async, *fake, func())) {
		var errs []error
		p, f, run := start(func(ctx context.Context, p *Async) {
			errs = append(errs,
				p.Send(ctx, text("t", "from a callback")),
				p.Send(context.Background(), text("t", "the room is overdrawn by now")),
				p.TrySend(ctx, text("t", "v")),
				p.SendFunc(ctx, nil, nil),
				p.Flush(ctx), p.Flush(context.Background()))
			p.Stats()
			errs = append(errs, p.Close(ctx), p.Send(ctx, text("t", "v")))
		}, WithMaxBuffered(1))
		run()
		require.Len(t, errs, 8, "a call waits")
		require.NoError(t, errs[0])
		for i, want := range map[int]error{
			1: ErrBufferFull, 2: ErrBufferFull, 3: ErrInvalidMessage,
			4: ErrInCallback, 5: ErrInCallback, 6: ErrInCallback, 7: ErrClosed,
		} {
			require.ErrorIs(t, errs[i], want, "call %d", i)
		}
		f.deliverAll()
		require.NoError(t, p.Close(t.Context()))
		require.Zero(t, p.Stats().InFlight)
	})
}

func TestCallbacks_ofEveryKindThatDoNotReturnNormallyAreContained(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic(canary) }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inEachKind(t, func(t *testing.T, start func(func(context.Context, *Async), ...Option) (*Async, *fake, func())) {
				p, f, run := start(func(context.Context, *Async) { end() })
				run()
				require.EqualValues(t, 1, p.Stats().CallbackPanics)
				f.deliverAll()
				require.NoError(t, p.Send(t.Context(), text("t", "v")), "others go on")
				require.NoError(t, p.Flush(t.Context()))
				s := p.Stats()
				requireBalanced(t, s)
				require.Zero(t, s.InFlight+s.Buffered)
			})
		})
	}
}

// The worker is gone for as long as it takes; senders and outcomes are not.
func TestCallbacks_ofEveryKindThatBlockHoldUpNobodyButTheCallbacksBehindThem(t *testing.T) {
	t.Parallel()
	inEachKind(t, func(t *testing.T, start func(func(context.Context, *Async), ...Option) (*Async, *fake, func())) {
		release := make(chan struct{})
		p, f, run := start(func(context.Context, *Async) { <-release })
		run()
		require.EqualValues(t, 1, p.Stats().CallbacksRunning)
		f.deliverAll()
		for range 100 {
			require.NoError(t, p.Send(t.Context(), text("t", "v")))
		}
		require.Empty(t, f.holding(), "results are read")
		flush := begin(t, func() error { return p.Flush(context.Background()) })
		flush.requireWaits()
		close(release)
		require.NoError(t, flush.result())
		require.Zero(t, p.Stats().InFlight)
	})
}
