package main

import (
	"context"
	"fmt"
	"time"

	"github.com/saramakit/producer/examples/internal/demo"
	"github.com/saramakit/producer/kafkatest"
)

// disturb breaks an embedded cluster in several ways, one after the other, while
// the flows send. A cluster that is not ours is left alone.
func disturb(ctx context.Context, screen *demo.Screen, cluster *demo.Cluster) error {
	k := cluster.Embedded
	if k == nil {
		return nil
	}
	const broker = 2
	steps := []func() (string, error){
		func() (string, error) {
			from, err := k.Leader(cluster.Topic, 3)
			if err != nil {
				return "", err
			}
			to := (from + 1) % int32(len(cluster.Addrs))
			return fmt.Sprintf("leader of %s/3 moved from broker %d to %d: "+
					"batches on their way are refused, and must not overtake each other", cluster.Topic, from, to),
				k.MoveLeader(cluster.Topic, 3, to)
		},
		func() (string, error) {
			return fmt.Sprintf("leaders of all %d partitions moved: the same, everywhere at once", partitions), k.ShuffleLeaders()
		},
		func() (string, error) {
			const lost = 5
			fault := k.LoseProduceResponse(kafkatest.Times(lost))
			return fmt.Sprintf("%d answers lost: those batches are stored, but the producer cannot know, "+
				"and must not store them twice", lost), fault.Wait(ctx, lost)
		},
		func() (string, error) {
			return fmt.Sprintf("broker %d stopped: its connections are cut, its partitions move", broker), k.StopBroker(broker)
		},
		func() (string, error) {
			return fmt.Sprintf("broker %d started again: it leads nothing yet", broker), k.StartBroker(broker)
		},
		func() (string, error) {
			return fmt.Sprintf("leaders of all %d partitions moved, some to broker %d", partitions, broker), k.ShuffleLeaders()
		},
	}
	for _, step := range steps {
		select {
		case <-time.After(sendFor / time.Duration(len(steps)+1)):
		case <-ctx.Done():
			return nil
		}
		text, err := step()
		if err == nil {
			screen.Say("%s", text)
		} else if ctx.Err() == nil {
			return err
		}
	}
	return nil
}
