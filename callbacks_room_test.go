package producer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

func TestCallbacks_slowOnesPushBackOnSendWhileResultsAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p, f := openAsync(t, known, WithMaxBuffered(3),
			WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { release <- struct{}{} }))
		for range 3 {
			require.NoError(t, p.Send(t.Context(), text("t", "v")))
		}
		for range 3 {
			f.deliver(f.first(t)) // returns, though the first callback blocks
		}
		send := beginSend(t, p, text("t", "v"))
		send.requireWaits()
		require.EqualValues(t, 1, p.Stats().Waiting)
		<-release
		require.NoError(t, send.result(), "one callback has returned")
		<-release
		<-release
		f.deliver(f.first(t))
		<-release
	})
}

// overdrawn sends from one callback until it is refused, and returns how many
// messages were accepted. The callback's own message and one more are held
// before.
func overdrawn(t *testing.T, caller func(context.Context, func(context.Context) error) error, opts ...Option) (accepted int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var p *Async
		done := make(chan error, 1)
		p, f := openAsync(t, known, Options(opts), WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) {
			for {
				if err := caller(ctx, func(ctx context.Context) error { return p.Send(ctx, text("t", "v")) }); err != nil {
					done <- err
					return
				}
				accepted++
			}
		}))
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		start := time.Now()
		f.deliver(f.first(t))
		require.Equal(t, ErrBufferFull, <-done)
		require.Zero(t, time.Since(start), "it waited")
	})
	return accepted
}

func TestCallbacks_aSendMayOverdrawByAsMuchAgain(t *testing.T) {
	t.Parallel()
	const size = MessageOverhead + 1
	for name, tc := range map[string]struct {
		opt  Option
		want int
	}{
		"Messages":         {WithMaxBuffered(5), 10 - 2},
		"MessagesOfATopic": {WithMaxBufferedPerTopic(4), 8 - 2},
		// 10 and a half.
		"Bytes": {WithMaxBufferedBytes(5*size + size/4), 10 - 2},
	} {
		for from, caller := range fromCallback {
			t.Run(name+from, func(t *testing.T) {
				t.Parallel()
				require.Equal(t, tc.want, overdrawn(t, caller, tc.opt))
			})
		}
	}
}

func TestCallbacks_whatWasOverdrawnIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p *Async
		more := 3
		p, f := openAsync(t, known, WithMaxBuffered(2), WithMaxBufferedPerTopic(2),
			WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) {
				for ; more > 0; more-- {
					require.NoError(t, p.Send(ctx, text("t", "v")))
				}
			}))
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		f.deliver(f.first(t))
		synctest.Wait()
		require.EqualValues(t, 3, p.Stats().Buffered)
		waiting := beginSend(t, p, text("t", "v"))
		waiting.requireWaits()
		f.deliver(f.first(t))
		waiting.requireWaits()
		f.deliver(f.first(t))
		require.NoError(t, waiting.result())
		f.deliver(f.first(t))
		f.deliver(f.first(t))
		require.NoError(t, p.Flush(t.Context()))
		require.Zero(t, p.Stats().Buffered)
		require.Zero(t, p.Stats().BufferedBytes)
	})
}

func TestCallbacks_TrySendDoesNotOverdraw(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p *Async
		result := make(chan error, 1)
		p, f := openAsync(t, known, WithMaxBuffered(1), WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) {
			result <- p.TrySend(ctx, text("t", "v"))
		}))
		require.NoError(t, p.Send(t.Context(), text("t", "v")))
		f.deliver(f.first(t))
		require.Equal(t, ErrBufferFull, <-result)
	})
}

func TestCallbacks_theMarkInTheirCtxEndsWithThem(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(known, told.options(), WithMaxBuffered(1), WithMaxBlock(7*time.Second))
		send := beginSend(t, p, text("t", "v"))
		f.deliver(f.first(t))
		require.NoError(t, send.result())
		kept := told.all()[0].ctx
		send = beginSend(t, p, text("t", "fills the buffer"))
		start := time.Now()
		require.Equal(t, ErrBufferFull, p.Send(kept, text("t", "v")))
		require.Equal(t, 7*time.Second, time.Since(start), "like any other Send")

		flush := begin(t, func() error { return p.Flush(kept) })
		flush.requireWaits()
		f.deliver(f.first(t))
		require.NoError(t, flush.result())
		require.NoError(t, send.result())
		require.NoError(t, p.Close(kept))
	})
}

// A message that is sent with the ctx of a callback gets callbacks of its own,
// whose mark is theirs: the first one may last longer.
func TestCallbacks_theMarkIsNotHandedOnToTheNextMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p *Async
		release := make(chan struct{})
		defer close(release)
		var told reports
		p, f := openAsync(t, known, WithMaxBuffered(50), WithMaxBlock(time.Second), WithCallbackWorkers(64),
			WithOnSuccess(func(ctx context.Context, msg *sarama.ProducerMessage) {
				if msg.Partition != 0 {
					told.add(ctx, msg, nil)
					return
				}
				for range 20 { // not all of them will have the worker of this one
					_ = p.Send(ctx, text("t", "again"))
				}
				<-release // the first callback goes on
			}))
		require.NoError(t, p.Send(t.Context(), text("t", "first")))
		f.deliverTo(f.first(t), 0)
		synctest.Wait()
		for i, r := range f.holding() {
			f.deliverTo(r, int32(i+1))
		}
		ctx := told.all()[0].ctx
		for p.TrySend(t.Context(), text("t", "fills the buffer")) == nil {
			continue
		}
		start := time.Now()
		require.Equal(t, ErrBufferFull, p.Send(ctx, text("t", "v")))
		require.Equal(t, time.Second, time.Since(start), "like any other Send")
	})
}

// B's room does not depend on A's callbacks.
func TestCallbacks_areNoCallbacksOfAnotherProducer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		b, fb := open(known, WithMaxBuffered(1), WithMaxBlock(time.Second))
		results := make(chan error, 10)
		var waited time.Duration
		a, fa := open(known, WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) {
			start := time.Now()
			results <- b.Send(ctx, text("t", "v"))
			waited = time.Since(start)
			results <- b.Flush(ctx)
			results <- b.Close(ctx)
		}))
		fills := beginSend(t, b, text("t", "v"))
		fa.auto = true
		require.NoError(t, a.Send(t.Context(), text("t", "v")))
		advance(time.Second)
		require.Equal(t, ErrBufferFull, <-results)
		require.Equal(t, time.Second, waited)
		require.Empty(t, results, "Flush waits for B's message")
		fb.deliver(fb.first(t))
		require.NoError(t, <-results)
		require.NoError(t, <-results)
		require.NoError(t, fills.result())
	})
}
