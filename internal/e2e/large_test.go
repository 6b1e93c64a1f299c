package e2e

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer"
	"github.com/saramakit/producer/kafkatest"
)

// large is a value of its own for each n, of 4 to 20 KiB.
func large(n uint32) []byte {
	return slices.Repeat(binary.BigEndian.AppendUint32(nil, n), 1<<10+int(n)*101%(4<<10))
}

// openUntold makes a producer that tells nobody what was delivered.
func openUntold(t *testing.T, m mode, cluster *kafkatest.Cluster, borrowed bool, more ...producer.Option) producer.Producer {
	t.Helper()
	opts := append(quick(m), more...)
	var p producer.Producer
	var err error
	switch {
	case borrowed && m.sync:
		p, err = producer.NewSyncFromClient(lend(t, cluster), opts)
	case borrowed:
		p, err = producer.NewAsyncFromClient(lend(t, cluster), opts)
	case m.sync:
		p, err = producer.NewSync(bounded(t), cluster.Addrs(), opts)
	default:
		p, err = producer.NewAsync(bounded(t), cluster.Addrs(), opts)
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close(t.Context()) }) // aborts, if the test has not closed it
	return p
}

// spoil disturbs some requests, one after the other, until done is closed.
func spoil(t *testing.T, cluster *kafkatest.Cluster, done <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	go func() {
		<-done
		cancel()
	}()
	for i := 0; i < 12 && ctx.Err() == nil; i++ {
		var f *kafkatest.Fault
		switch once := kafkatest.Times(1); i % 4 {
		case 0:
			f = cluster.LoseProduceResponse(once)
		case 1:
			f = cluster.FailProduce(int16(sarama.ErrNotLeaderForPartition), once)
		case 2:
			f = cluster.DropProduce(once)
		default:
			f = cluster.CutRequests(5000, once)
		}
		_ = f.Wait(ctx, 1) // or done
		f.Remove()
	}
}

// The room of a large value is used again once its message is delivered, if nobody
// is told. Were that too soon, somebody else's bytes would be stored.
func TestMessages_largeOnesThatNobodyIsToldOfAreStoredAsTheyWereSent(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 50
	run := func(t *testing.T, m mode, borrowed bool, acks sarama.RequiredAcks) {
		t.Helper()
		cluster := startCluster(t)
		p := openUntold(t, m, cluster, borrowed, producer.WithAcks(acks))
		done, spoiled := make(chan struct{}), make(chan struct{})
		go func() { defer close(spoiled); spoil(t, cluster, done) }()
		var all sync.WaitGroup
		for sender := range uint32(senders) {
			all.Go(func() {
				for i := range uint32(each) {
					n := sender*each + i
					err := p.Send(bounded(t), &sarama.ProducerMessage{
						Topic: topic, Key: sarama.ByteEncoder(binary.BigEndian.AppendUint32(nil, n)), Value: sarama.ByteEncoder(large(n)),
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		err := p.Flush(bounded(t))
		close(done)
		<-spoiled
		require.NoError(t, err)
		require.NoError(t, p.Close(bounded(t)))

		records, err := cluster.Records(bounded(t), topic)
		require.NoError(t, err)
		stored := map[uint32]int{}
		for _, r := range records {
			n := binary.BigEndian.Uint32(r.Key)
			stored[n]++
			if !slices.Equal(large(n), r.Value) {
				t.Fatalf("message %d of %d bytes was stored as one of %d bytes that begins with %.8x", n, len(large(n)), len(r.Value), r.Value)
			}
		}
		if acks != sarama.NoResponse { // else what is lost is not known
			require.Equal(t, senders*each, len(stored)) //nolint:testifylint // it would print all of them
		}
		if m.idempotent {
			require.Equal(t, senders*each, len(records)) //nolint:testifylint // the same
		}
	}
	inModes(t, modes, func(t *testing.T, m mode) {
		for name, borrowed := range map[string]bool{"own client": false, "client of the caller": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(t, m, borrowed, sarama.WaitForAll)
				if !m.idempotent {
					run(t, m, borrowed, sarama.NoResponse)
				}
			})
		}
	})
}
