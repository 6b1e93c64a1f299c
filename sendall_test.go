package producer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/internal/record"
)

// batchOf are n tagged messages.
func batchOf(n int) (msgs []*sarama.ProducerMessage) {
	for _, tag := range numbered(n) {
		msgs = append(msgs, tagged("t", tag))
	}
	return msgs
}

func beginSendAll(t *testing.T, p *Sync, msgs []*sarama.ProducerMessage) call {
	t.Helper()
	return begin(t, func() error { return p.SendAll(t.Context(), msgs) })
}

// errsOf are the entries of a BatchError.
func errsOf(t *testing.T, err error) []error {
	t.Helper()
	var batch *BatchError
	require.ErrorAs(t, err, &batch)
	return batch.Errs
}

func TestSync_SendAll_sendsInOrderAndReturnsWhenAllAreStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t)
		msgs := batchOf(5)
		all := beginSendAll(t, p, msgs)
		require.Equal(t, numbered(5), tagsOf(f.submitted()), "one does not wait for the other")
		for _, i := range []int{4, 0, 3, 1, 2} {
			all.requireWaits()
			f.deliver(f.submitted()[i])
		}
		require.NoError(t, all.result())
		for i, offset := range []int64{1, 3, 4, 2, 0} {
			require.EqualValues(t, 3, msgs[i].Partition)
			require.Equal(t, offset, msgs[i].Offset)
			require.False(t, msgs[i].Timestamp.IsZero())
		}
	})
}

func TestSync_SendAll_saysWhichFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t)
		msgs := batchOf(4)
		msgs[2].Offset = 77
		all := beginSendAll(t, p, msgs)
		for i, r := range f.submitted() {
			require.True(t, f.batch(r))
			switch i {
			case 1:
				f.fail(r, sarama.ErrNotLeaderForPartition)
			case 2:
				f.fail(r, sarama.ErrMessageSizeTooLarge)
			default:
				f.deliver(r)
			}
		}
		err := all.result()
		errs := errsOf(t, err)
		require.Len(t, errs, 4)
		require.NoError(t, errs[0])
		require.ErrorIs(t, failureOf(t, errs[1]), sarama.ErrNotLeaderForPartition)
		require.ErrorIs(t, failureOf(t, errs[2]), sarama.ErrMessageSizeTooLarge)
		require.NoError(t, errs[3])
		require.ErrorIs(t, err, sarama.ErrNotLeaderForPartition)
		require.ErrorIs(t, err, sarama.ErrMessageSizeTooLarge)
		require.EqualValues(t, 77, msgs[2].Offset, "only success sets it")
		require.EqualValues(t, 1, msgs[3].Offset)
	})
}

func TestSync_SendAll_sendsTheOthersWhenOneCannotBeAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t, WithMaxMessageBytes(100))
		f.auto = true
		err := p.SendAll(t.Context(), []*sarama.ProducerMessage{
			nil, tagged("t", "a"), text("", "no topic"), text("t", string(make([]byte, 100))), tagged("t", "b"), nil,
		})
		errs := errsOf(t, err)
		require.Len(t, errs, 6)
		require.ErrorIs(t, errs[0], ErrInvalidMessage)
		require.NoError(t, errs[1])
		require.ErrorIs(t, errs[2], ErrInvalidMessage)
		require.ErrorIs(t, errs[3], ErrMessageTooLarge)
		require.NoError(t, errs[4])
		require.ErrorIs(t, errs[5], ErrInvalidMessage)
		require.Equal(t, []string{"a", "b"}, tagsOf(f.submitted()))
	})
}

func TestSync_SendAll_mayBeLargerThanTheBuffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t, WithMaxBuffered(2))
		all := beginSendAll(t, p, batchOf(10))
		for i := range 10 {
			require.LessOrEqual(t, len(f.holding()), 2)
			all.requireWaits()
			require.Equal(t, numbered(min(i+2, 10)), tagsOf(f.submitted()))
			f.deliver(f.first(t))
			synctest.Wait()
		}
		require.NoError(t, all.result())
	})
}

func TestSync_SendAll_takesTheSamePointerTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t)
		f.auto = true
		msg := text("t", "v")
		require.NoError(t, p.SendAll(t.Context(), []*sarama.ProducerMessage{msg, msg, msg}))
		require.Len(t, f.submitted(), 3)
		require.EqualValues(t, 3, p.Stats().Delivered)
		require.EqualValues(t, 2, msg.Offset, "the last one's")
	})
}

func TestSync_SendAll_saysOfEachMessageWhereTheEndOfCtxFoundIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t, WithMaxBuffered(3))
		ctx, cancel := context.WithCancel(t.Context())
		all := begin(t, func() error { return p.SendAll(ctx, batchOf(5)) })
		held := f.holding()
		require.Len(t, held, 3)
		f.deliver(held[0]) // makes room for the fourth
		synctest.Wait()
		require.True(t, f.batch(held[1]))
		all.requireWaits()

		cancel()
		err := all.result()
		errs := errsOf(t, err)
		require.NoError(t, errs[0], "delivered before")
		require.True(t, failureOf(t, errs[1]).Pending, "in a batch")
		for i := 2; i < 4; i++ {
			failure := failureOf(t, errs[i])
			require.False(t, failure.Pending, "withdrawn")
			require.Equal(t, NotPersisted, failure.Status)
		}
		require.ErrorIs(t, errs[4], ErrBufferFull, "waited for room")
		require.ErrorIs(t, errs[4], context.Canceled)
		var failure *DeliveryError
		require.NotErrorAs(t, errs[4], &failure, "not accepted")
		require.True(t, MayHaveBeenWritten(err), "one of them")
		require.EqualValues(t, 4, p.Stats().Accepted)
		require.EqualValues(t, 1, p.Stats().Rejected)
	})
}

func TestSync_SendAll_withAnEndedCtxAcceptsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t)
		f.auto = true
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			err := p.SendAll(ctx, batchOf(3))
			for _, e := range errsOf(t, err) {
				require.ErrorIs(t, e, context.Canceled)
			}
			requireNothingAccepted(t, p, f, err)
		}
	})
}

func TestSync_SendAll_returnsOutcomesThatAreThereWhenCtxEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t, WithTopics("t"))
		var cancel context.CancelFunc
		f.submit = func(r *record.Record) {
			f.deliver(r)
			if r.Msg.Metadata == "4" {
				cancel()
			}
		}
		for range 500 {
			ctx, end := context.WithCancel(t.Context())
			cancel = end
			require.NoError(t, p.SendAll(ctx, batchOf(5)))
			end()
		}
	})
}

func TestSync_SendAll_ofNothingIsNil(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _ := openSync(t)
		require.NoError(t, p.SendAll(t.Context(), nil))
		require.NoError(t, p.SendAll(t.Context(), []*sarama.ProducerMessage{}))
		require.NoError(t, p.Close(t.Context()))
		require.NoError(t, p.SendAll(t.Context(), nil))
		require.NoError(t, (&Sync{}).SendAll(t.Context(), nil))
	})
}

func TestSync_SendAll_afterCloseReturnsErrClosedForEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t)
		require.NoError(t, p.Close(t.Context()))
		err := p.SendAll(t.Context(), batchOf(3))
		for _, e := range errsOf(t, err) {
			require.ErrorIs(t, e, ErrClosed)
		}
		requireNothingAccepted(t, p, f, err)
	})
}

func TestSync_SendAll_withoutACtxIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := openSync(t)
		err := p.SendAll(nil, batchOf(2)) //nolint:staticcheck // a caller's bug must not be a crash
		require.ErrorIs(t, err, ErrInvalidMessage)
		requireNothingAccepted(t, p, f, err)
	})
}

func TestSync_SendAll_waitsForRoomForMaxBlockAltogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := newFakeSync(t, WithMaxBuffered(1), WithMaxBlock(time.Minute))
		msgs := make([]*sarama.ProducerMessage, 10)
		for i := range msgs {
			msgs[i] = text("t", "v")
		}
		began := time.Now()
		done := make(chan error, 1)
		go func() { done <- p.SendAll(context.Background(), msgs) }()
		advance(time.Minute)
		require.Len(t, f.submitted(), 1)
		f.deliver(f.holding()[0])
		synctest.Wait()
		var batch *BatchError
		require.ErrorAs(t, <-done, &batch)
		require.Equal(t, time.Minute, time.Since(began), "not a minute for each")
		require.NoError(t, batch.Errs[0])
		for _, err := range batch.Errs[1:] {
			require.ErrorIs(t, err, ErrBufferFull)
		}
		require.NoError(t, p.Close(context.Background()))
	})
}
