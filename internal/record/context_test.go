package record

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

type key struct{}

// sent returns a record that was sent with a ctx.
func sent(ctx context.Context, t *testing.T, home *Home) *Record {
	t.Helper()
	c, err := New(ctx, &sarama.ProducerMessage{Topic: "t"}, home)
	require.NoError(t, err)
	return c.Record
}

func TestCallContext_isMarkedOnlyWhileTheCallbacksRun(t *testing.T) {
	t.Parallel()
	home := &Home{}
	r := sent(t.Context(), t, home)
	ctx := r.BeginCalls()
	derived, cancel := context.WithCancel(ctx)
	defer cancel()
	require.True(t, InCall(ctx, home))
	require.True(t, InCall(derived, home), "also through a ctx made from it")
	r.EndCalls()
	require.False(t, InCall(ctx, home))
	require.False(t, InCall(derived, home))
}

func TestCallContext_marksItsOwnProducerOnly(t *testing.T) {
	t.Parallel()
	ctx := sent(t.Context(), t, &Home{}).BeginCalls()
	require.False(t, InCall(ctx, &Home{}))
	require.False(t, InCall(t.Context(), &Home{}))
	require.False(t, InCall(nil, &Home{})) //nolint:staticcheck // a nil ctx is what a user may pass
}

func TestCallContext_hasTheValuesOfSendAndNotItsEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
	r := sent(ctx, t, &Home{})
	cancel(errors.New("the request is over"))
	call := r.BeginCalls()
	require.Equal(t, "value", call.Value(key{}))
	require.NoError(t, call.Err())
	require.Nil(t, call.Done())
	_, ok := call.Deadline()
	require.False(t, ok)
	r.EndCalls()
	require.Equal(t, "value", call.Value(key{}), "who kept it can go on using it")
}

func TestCallContext_isTakenOffWhenItIsSentWithAgain(t *testing.T) {
	t.Parallel()
	home := &Home{}
	original := context.WithValue(t.Context(), key{}, "value")
	first := sent(original, t, home)
	ctx := first.BeginCalls()
	again := sent(ctx, t, home)
	require.Equal(t, original, again.Ctx, "a chain of re-sends must not grow")

	next := again.BeginCalls()
	again.EndCalls()
	require.False(t, InCall(next, home), "the mark of the first, whose callback still runs, is not inherited")
	require.Equal(t, "value", next.Value(key{}))
}

func TestCallContext_doesNotShowItsMessageWhenItIsPrinted(t *testing.T) {
	t.Parallel()
	r := accepted(t, &sarama.ProducerMessage{Topic: "t", Metadata: "canary", Value: sarama.StringEncoder("canary")})
	ctx := r.BeginCalls()
	derived, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, ctx := range []context.Context{ctx, derived} {
		require.Contains(t, fmt.Sprint(ctx), "producer.callback")
		require.NotContains(t, fmt.Sprintf("%+v", ctx), "canary")
	}
}
