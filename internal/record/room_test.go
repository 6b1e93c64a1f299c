package record

import (
	"bytes"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

func TestRoom_isEnoughAndWastesAFifthAtMost(t *testing.T) {
	t.Parallel()
	var free rooms
	sizes := map[int]bool{}
	for n := smallestRoom; n < largestRoom; n += 997 {
		got := cap(free.take(n))
		require.GreaterOrEqual(t, got, n)
		require.LessOrEqual(t, got, n+n/4)
		sizes[got] = true
	}
	require.Equal(t, largestRoom, cap(free.take(largestRoom)))
	require.Len(t, sizes, roomSizes)
}

func TestRelease_onlyOfALargeValueIsItsRoomUsedAgain(t *testing.T) {
	t.Parallel()
	for size, again := range map[int]bool{
		0: false, 1: false, smallestRoom - 1: false, smallestRoom: true, 10_240: true, largestRoom: true, largestRoom + 1: false,
	} {
		r := accepted(t, &sarama.ProducerMessage{Topic: "t", Key: sarama.StringEncoder("k"), Value: sarama.ByteEncoder(make([]byte, size))})
		require.Len(t, r.value, size)
		r.Release()
		if again {
			require.Nil(t, r.value, size)
		} else {
			require.Len(t, r.value, size)
		}
		require.Equal(t, "k", string(r.key), "the key is not in the room")
		r.Release() // has nothing left to give back
	}
}

func TestRelease_noTwoRecordsShareARoom(t *testing.T) {
	t.Parallel()
	var kept []*Record
	for i := range 2000 {
		value := bytes.Repeat([]byte{byte(i)}, smallestRoom+i)
		r := accepted(t, &sarama.ProducerMessage{
			Topic: "t", Value: sarama.ByteEncoder(value), Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte{byte(i)}}},
		})
		if i%3 == 0 {
			r.Release()
			continue
		}
		kept = append(kept, r)
	}
	for _, r := range kept {
		i := len(r.value) - smallestRoom
		require.Equal(t, bytes.Repeat([]byte{byte(i)}, len(r.value)), []byte(r.value))
		require.Equal(t, []byte{byte(i)}, r.Msg.Headers[0].Value)
	}
}
