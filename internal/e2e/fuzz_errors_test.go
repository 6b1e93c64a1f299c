package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/saramakit/producer"
)

// tree is an error that a fuzzer has made, with what it is known to mean
// because of how it was made.
type tree struct {
	err error
	// written: a message behind it may have been written.
	written bool
	// permanent: something in it is wrong for good.
	permanent bool
	// batches is how many BatchErrors are in it.
	batches int
}

func leaves() []tree {
	return []tree{
		{err: nil},
		{err: io.EOF},
		{err: producer.ErrDeliveryTimeout},
		{err: producer.ErrBufferFull},
		{err: producer.ErrAborted},
		{err: producer.ErrClosed, permanent: true},
		{err: producer.ErrInvalidMessage, permanent: true},
		{err: producer.ErrMessageTooLarge, permanent: true},
		{err: producer.ErrInvalidConfig, permanent: true},
		{err: producer.ErrUnknownTopic, permanent: true},
		{err: producer.ErrInCallback, permanent: true},
		{err: context.Canceled},
		{err: context.DeadlineExceeded},
		{err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}},
		{err: sarama.ErrOutOfBrokers},
		{err: sarama.ErrTopicAuthorizationFailed, permanent: true},
		{err: errors.New("something else")},
	}
}

// grow makes a tree.
func grow(d dice, depth int) tree {
	if depth == 0 {
		if d.chance(30) {
			code := sarama.KError(d.roll(200) - 10)
			denied := code == sarama.ErrSASLAuthenticationFailed || code == sarama.ErrTopicAuthorizationFailed ||
				code == sarama.ErrClusterAuthorizationFailed
			return tree{err: code, permanent: denied}
		}
		return pick(d, leaves()...)
	}
	kind := d.roll(7)
	if kind == 0 {
		return grow(d, 0)
	}
	parts := []tree{grow(d, depth-1)}
	if kind >= 5 {
		for range d.roll(3) {
			parts = append(parts, grow(d, depth-1))
		}
	}
	whole := tree{}
	var errs []error
	for _, part := range parts {
		errs = append(errs, part.err)
		whole.written = whole.written || part.written
		whole.permanent = whole.permanent || part.permanent
		whole.batches += part.batches
	}
	switch kind {
	case 1:
		failure := &producer.DeliveryError{
			Topic: fmt.Sprint("t", d.roll(3)), Partition: int32(d.roll(3)) - 1, Elapsed: time.Duration(d.roll(1000)),
			Status: producer.Persistence(d.roll(2)), Pending: d.chance(30), Err: errs[0],
		}
		whole.err, whole.written = failure, failure.Status != producer.NotPersisted
	case 2:
		whole.err = fmt.Errorf("in other words: %w", errs[0])
	case 3:
		whole.err = &producer.FlushError{Left: d.roll(5), Err: errs[0]}
	case 4:
		whole.err = &producer.CloseError{Undelivered: d.roll(5), Err: errs[0]}
	case 5:
		if whole.err = errors.Join(errs...); whole.err == nil {
			return tree{}
		}
	default:
		whole.err = &producer.BatchError{Errs: errs}
		whole.batches++
	}
	return whole
}

// The three questions to ask of an error agree with each other, and with how the
// error was made.
func FuzzErrors_theThreeQuestionsAgree(f *testing.F) {
	for first := range byte(7) {
		f.Add([]byte{first, first, 255, 3, 1, 2, 200, 40, 5, 6, 1, 1, 90, 17, 250, 33})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := fromBytes(data)
		made := grow(d, d.roll(5))
		err := made.err
		require.Equal(t, made.written, producer.MayHaveBeenWritten(err), "%#v", err)
		require.Equal(t, producer.IsRetriable(err) && !producer.MayHaveBeenWritten(err), producer.SafeToRetry(err), "%#v", err)
		if err == nil {
			require.False(t, producer.IsRetriable(err))
			return
		}
		_ = err.Error()
		if made.permanent && made.batches == 0 {
			require.False(t, producer.IsRetriable(err), "%#v", err)
		}
		wrapped := fmt.Errorf("in other words: %w", err)
		require.Equal(t, producer.IsRetriable(err), producer.IsRetriable(wrapped))
		require.Equal(t, producer.MayHaveBeenWritten(err), producer.MayHaveBeenWritten(wrapped))

		for _, status := range []producer.Persistence{producer.NotPersisted, producer.PossiblyPersisted} {
			failure := &producer.DeliveryError{Topic: "a", Status: status, Err: err}
			other := &producer.DeliveryError{Topic: "b", Partition: 7, Elapsed: time.Hour, Attempts: 9, Status: status, Err: err}
			require.Equal(t, status == producer.PossiblyPersisted, producer.MayHaveBeenWritten(failure))
			require.Equal(t, producer.IsRetriable(err), producer.IsRetriable(failure), "%#v", err)
			require.Equal(t, failure.Error(), other.Error(), "logs are grouped by the text")

			batch := &producer.BatchError{Errs: []error{nil, failure}}
			require.Equal(t, producer.IsRetriable(failure), producer.IsRetriable(batch), "%#v", err)
			require.Equal(t, producer.SafeToRetry(failure), producer.SafeToRetry(batch), "%#v", err)
			batch.Errs = append(batch.Errs, &producer.DeliveryError{Err: producer.ErrInvalidMessage})
			require.False(t, producer.SafeToRetry(batch), "one that cannot be sent again spoils all")
		}
	})
}

// JavaPartitioner puts every key where an independent murmur2 does.
func FuzzJavaPartitioner_isThatOfJava(f *testing.F) {
	f.Add([]byte("key"), uint16(3))
	f.Add([]byte{}, uint16(1))
	f.Add([]byte{0xff, 0x80, 0, 1, 2}, uint16(1000))
	f.Fuzz(func(t *testing.T, key []byte, n uint16) {
		partitions := int32(n%5000) + 1
		if key == nil {
			return // no key
		}
		got, err := producer.JavaPartitioner(topic).Partition(
			&sarama.ProducerMessage{Topic: topic, Key: sarama.ByteEncoder(key)}, partitions)
		require.NoError(t, err)
		want := kgo.StickyKeyPartitioner(nil).ForTopic(topic).Partition(&kgo.Record{Key: key}, int(partitions))
		require.EqualValues(t, want, got)
	})
}
