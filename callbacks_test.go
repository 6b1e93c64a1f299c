package producer

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
	"github.com/saramakit/producer/internal/transport"
)

// known lets messages for "t" straight through, and gives the callbacks time to
// be in the way: no test here is about the watchdog.
var known = Options{WithTopics("t"), WithSlowCallback(24 * time.Hour)} //nolint:gochecknoglobals // a constant

// deliverTo stores a record in a partition of the test's choice.
func (f *fake) deliverTo(r *record.Record, partition int32) {
	r.Msg.Partition, r.Placed = partition, true
	_, _ = r.Msg.Value.Encode()
	f.deliver(r)
}

// Whoever has the ctx of a callback, or runs on its goroutine, is known.
var fromCallback = map[string]func(ctx context.Context, f func(context.Context) error) error{ //nolint:gochecknoglobals // a table
	"ItsCtx":     func(ctx context.Context, f func(context.Context) error) error { return f(ctx) },
	"Background": func(_ context.Context, f func(context.Context) error) error { return f(context.Background()) },
	"AnotherGoroutineWithItsCtx": func(ctx context.Context, f func(context.Context) error) error {
		result := make(chan error)
		go func() { result <- f(ctx) }()
		return <-result
	},
}

func TestCallbacks_mayCallEveryMethodOfTheirProducer(t *testing.T) {
	t.Parallel()
	msg := func() *sarama.ProducerMessage { return text("t", "from a callback") }
	for name, tc := range map[string]struct {
		call func(ctx context.Context, p subject) error
		want error
	}{
		"Send": {func(ctx context.Context, p subject) error { return p.Send(ctx, msg()) }, nil},
		"TrySend": {func(ctx context.Context, p subject) error {
			if p, ok := p.(*Async); ok {
				return p.TrySend(ctx, msg())
			}
			return nil
		}, nil},
		"SendFunc": {func(ctx context.Context, p subject) error {
			if p, ok := p.(*Async); ok {
				return p.SendFunc(ctx, msg(), nil)
			}
			return nil
		}, nil},
		"SendAll": {func(ctx context.Context, p subject) error {
			if p, ok := p.(*Sync); ok {
				return p.SendAll(ctx, []*sarama.ProducerMessage{msg(), msg()})
			}
			return nil
		}, nil},
		"Stats": {func(_ context.Context, p subject) error { p.Stats(); return nil }, nil},
		"Flush": {func(ctx context.Context, p subject) error { return p.Flush(ctx) }, ErrInCallback},
		"Close": {func(ctx context.Context, p subject) error { return p.Close(ctx) }, ErrInCallback},
	} {
		for from, caller := range fromCallback {
			t.Run(name+from, func(t *testing.T) {
				t.Parallel()
				both(t, func(t *testing.T, open opener) {
					var p subject
					results := make(chan error, 1)
					first := sync.Once{}
					p, f := open(known, WithOnSuccess(func(ctx context.Context, _ *sarama.ProducerMessage) {
						first.Do(func() {
							results <- caller(ctx, func(ctx context.Context) error { return tc.call(ctx, p) })
						})
					}))
					f.auto = true
					require.NoError(t, p.Send(t.Context(), text("t", "v")))
					synctest.Wait()
					require.Len(t, results, 1, "the call waits")
					require.Equal(t, tc.want, <-results)
				})
			})
		}
	}
}

func TestCallbacks_aBlockedOneHoldsUpNoOtherWorker(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		release := make(chan struct{})
		defer close(release)
		entered := make(chan struct{}, 100)
		p, f := open(known, WithCallbackWorkers(2), WithOnSuccess(func(context.Context, *sarama.ProducerMessage) {
			entered <- struct{}{}
			<-release
		}))
		for partition := range int32(20) {
			send := beginSend(t, p, text("t", "v"))
			f.deliverTo(f.first(t), partition)
			require.NoError(t, send.result())
		}
		require.Len(t, entered, 2)
		require.EqualValues(t, 2, p.Stats().CallbacksRunning)
	})
}

func TestCallbacks_oneThatDoesNotReturnNormallyIsContained(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){
		"Panic":    func() { panic("boom") },
		"Goexit":   runtime.Goexit,
		"PanicNil": func() { panic(nil) }, //nolint:govet // what users write
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, open opener) {
				told := 0
				p, f := open(known,
					WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { told++; end() }),
					WithOnError(func(context.Context, *sarama.ProducerMessage, error) { told++; end() }))
				for range 3 {
					send := beginSend(t, p, text("t", "v"))
					f.deliver(f.first(t))
					require.NoError(t, send.result())
					send = beginSend(t, p, text("t", "v"))
					f.fail(f.first(t), sarama.ErrRequestTimedOut)
					_ = send.result()
				}
				require.NoError(t, p.Flush(t.Context()))
				require.Equal(t, 6, told)
				s := p.Stats()
				require.Equal(t, Stats{Accepted: 6, Delivered: 3, Failed: 3, CallbackPanics: 6}, s)
			})
		})
	}
}

func TestCallbacks_aResultFuncThatEndsItsGoroutineDoesNotHideTheOutcome(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"Panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var told reports
				p, f := openAsync(t, known, told.options())
				f.auto = true
				require.NoError(t, p.SendFunc(t.Context(), text("t", "v"),
					func(context.Context, *sarama.ProducerMessage, error) { end() }))
				require.Len(t, told.all(), 1)
			})
		})
	}
}

func TestCallbacks_SendFuncsFunctionComesFirst(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{"Delivered": nil, "Failed": sarama.ErrRequestTimedOut} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var order []string
				var errs []error
				p, f := openAsync(t, known,
					WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { order = append(order, "OnSuccess") }),
					WithOnError(func(_ context.Context, _ *sarama.ProducerMessage, err error) {
						order, errs = append(order, "OnError"), append(errs, err)
					}))
				require.NoError(t, p.SendFunc(t.Context(), text("t", "v"),
					func(_ context.Context, _ *sarama.ProducerMessage, err error) {
						order, errs = append(order, "SendFunc"), append(errs, err)
					}))
				if cause == nil {
					f.deliver(f.first(t))
					synctest.Wait()
					require.Equal(t, []string{"SendFunc", "OnSuccess"}, order)
					require.Equal(t, []error{nil}, errs)
					return
				}
				f.fail(f.first(t), cause)
				synctest.Wait()
				require.Equal(t, []string{"SendFunc", "OnError"}, order)
				for _, err := range errs {
					require.ErrorIs(t, failureOf(t, err), cause)
				}
			})
		})
	}
}

func TestCallbacks_withOneWorkerRunInTheOrderOfTheOutcomes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told reports
		p, f := openAsync(t, known, told.options())
		for _, tag := range numbered(50) {
			require.NoError(t, p.Send(t.Context(), tagged("t", tag)))
		}
		var want []string
		held := f.holding()
		for i := range held {
			r := held[(i*7)%len(held)]
			want = append(want, valueOf(t, &sarama.ProducerMessage{Value: sarama.StringEncoder(r.Msg.Metadata.(string))})) //nolint:errcheck,forcetypeassert // tagged
			f.deliverTo(r, int32(i%5))
		}
		var got []string
		for _, r := range told.all() {
			got = append(got, valueOf(t, r.msg))
		}
		require.Equal(t, want, got)
	})
}

func TestCallbacks_withManyWorkersKeepTheOrderOfAPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const partitions = 6
		var told reports
		p, f := openAsync(t, known, told.options(), WithCallbackWorkers(4))
		for _, tag := range numbered(120) {
			require.NoError(t, p.Send(t.Context(), tagged("t", tag)))
		}
		want, got := make([][]string, partitions), make([][]string, partitions)
		for i, r := range f.holding() {
			want[i%partitions] = append(want[i%partitions], tagsOf([]*record.Record{r})...)
			f.deliverTo(r, int32(i%partitions))
		}
		for _, r := range told.all() {
			got[r.msg.Partition] = append(got[r.msg.Partition], valueOf(t, r.msg))
		}
		require.Equal(t, want, got)
	})
}

func TestCallbacks_theirCtxHasTheValuesOfSendAndNoEnd(t *testing.T) {
	t.Parallel()
	type key struct{}
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(known, told.options())
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
		defer cancel(nil)
		send := begin(t, func() error { return p.Send(ctx, text("t", "v")) })
		f.batch(f.first(t)) // so that the end of ctx does not withdraw it
		cancel(errors.New("the request is over"))
		synctest.Wait()
		f.deliver(f.first(t))
		_ = send.result()
		got := told.all()[0].ctx
		require.Equal(t, "value", got.Value(key{}))
		require.NoError(t, got.Err())
		_, ok := got.Deadline()
		require.False(t, ok)
	})
}

func TestCallbacks_theirMessageMayBeKept(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(known, told.options())
		f.auto = true
		for _, tag := range numbered(20) {
			require.NoError(t, p.Send(t.Context(), tagged("t", tag)))
		}
		for i, r := range told.all() {
			require.Equal(t, numbered(20)[i], valueOf(t, r.msg))
			require.Equal(t, numbered(20)[i], r.msg.Metadata)
			require.EqualValues(t, 3, r.msg.Partition)
			require.EqualValues(t, i, r.msg.Offset)
			require.False(t, r.msg.Timestamp.IsZero())
		}
	})
}

func TestCallbacks_aSyncSendDoesNotWaitForThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		p, f := openSync(t, known, WithOnSuccess(func(context.Context, *sarama.ProducerMessage) { <-release }))
		f.auto = true
		for range 3 {
			require.NoError(t, p.Send(t.Context(), text("t", "v")))
		}
		require.EqualValues(t, 3, p.Stats().InFlight)
	})
}

func TestCallbacks_areToldOnceOfARecordThatIsReportedTwice(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, open opener) {
		var told reports
		p, f := open(known, told.options())
		beginSend(t, p, text("t", "v"))
		r := f.first(t)
		f.deliver(r)
		f.giveBack(transport.Outcome{Record: r})
		f.giveBack(transport.Outcome{Record: r, Err: sarama.ErrRequestTimedOut})
		require.Len(t, told.all(), 1)
		require.Equal(t, Stats{Accepted: 1, Delivered: 1}, p.Stats(), "nor is its room given back twice")
	})
}
