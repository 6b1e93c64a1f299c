package kafkatest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
)

func TestFaultOptions_narrowAFaultDown(t *testing.T) {
	t.Parallel()
	const code = int16(sarama.ErrTopicAuthorizationFailed)
	tests := map[string]struct {
		opts []kafkatest.FaultOption
		hits bool
	}{
		"None":           {hits: true},
		"Topic":          {opts: []kafkatest.FaultOption{kafkatest.OnTopic("x", topic)}, hits: true},
		"OtherTopic":     {opts: []kafkatest.FaultOption{kafkatest.OnTopic("x")}},
		"Partition":      {opts: []kafkatest.FaultOption{kafkatest.OnPartition(0), kafkatest.OnPartition(1)}, hits: true},
		"OtherPartition": {opts: []kafkatest.FaultOption{kafkatest.OnPartition(0, 2)}},
		"Broker":         {opts: []kafkatest.FaultOption{kafkatest.OnBroker(0, 1)}, hits: true},
		"OtherBroker":    {opts: []kafkatest.FaultOption{kafkatest.OnBroker(0, 2)}},
		"AllOfThem":      {opts: []kafkatest.FaultOption{kafkatest.OnTopic(topic), kafkatest.OnPartition(1), kafkatest.OnBroker(1)}, hits: true},
		"NotAllOfThem":   {opts: []kafkatest.FaultOption{kafkatest.OnTopic(topic), kafkatest.OnPartition(1), kafkatest.OnBroker(2)}},
		"Never":          {opts: []kafkatest.FaultOption{kafkatest.Times(0)}},
		"LessThanNever":  {opts: []kafkatest.FaultOption{kafkatest.Times(-1)}},
	}
	for kind, makeFault := range map[string]func(*kafkatest.Cluster, ...kafkatest.FaultOption) *kafkatest.Fault{
		"FailProduce": func(c *kafkatest.Cluster, opts ...kafkatest.FaultOption) *kafkatest.Fault {
			return c.FailProduce(code, opts...)
		},
		"FailProduceAfterAppend": func(c *kafkatest.Cluster, opts ...kafkatest.FaultOption) *kafkatest.Fault {
			return c.FailProduceAfterAppend(code, opts...)
		},
		"LoseProduceResponse": (*kafkatest.Cluster).LoseProduceResponse,
		"DropProduce":         (*kafkatest.Cluster).DropProduce,
		"IgnoreProduce":       (*kafkatest.Cluster).IgnoreProduce,
		"ThrottleProduce": func(c *kafkatest.Cluster, opts ...kafkatest.FaultOption) *kafkatest.Fault {
			return c.ThrottleProduce(time.Millisecond, opts...)
		},
		"GarbleResponses": func(c *kafkatest.Cluster, opts ...kafkatest.FaultOption) *kafkatest.Fault {
			return c.GarbleResponses(kafkatest.WrongLength(-1), opts...)
		},
		"DelayRequests": func(c *kafkatest.Cluster, opts ...kafkatest.FaultOption) *kafkatest.Fault {
			return c.DelayRequests(time.Hour, opts...)
		},
		"DelayResponses": func(c *kafkatest.Cluster, opts ...kafkatest.FaultOption) *kafkatest.Fault {
			return c.DelayResponses(time.Hour, opts...)
		},
		"HoldRequests":  (*kafkatest.Cluster).HoldRequests,
		"HoldResponses": (*kafkatest.Cluster).HoldResponses,
		"TrickleResponses": func(c *kafkatest.Cluster, opts ...kafkatest.FaultOption) *kafkatest.Fault {
			return c.TrickleResponses(1, time.Hour, opts...)
		},
		"CutRequests": func(c *kafkatest.Cluster, opts ...kafkatest.FaultOption) *kafkatest.Fault {
			return c.CutRequests(20, opts...)
		},
		"CutResponses": func(c *kafkatest.Cluster, opts ...kafkatest.FaultOption) *kafkatest.Fault {
			return c.CutResponses(20, opts...)
		},
	} {
		for name, tt := range tests {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				cluster := start(t)
				fault := makeFault(cluster, tt.opts...)
				client := dialRaw(t, cluster, 1)
				client.send(produceFrame(1, 1, "a"))
				if tt.hits {
					require.NoError(t, fault.Wait(testContext(t), 1))
					require.Equal(t, 1, fault.Hits())
				} else {
					client.acknowledged(1)
					require.Zero(t, fault.Hits())
				}
			})
		}
	}
}

func TestFault_Wait_endsWithTheContext(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	fault := cluster.FailProduce(2, kafkatest.Times(1))
	require.Error(t, send(newProducer(t, cluster, once()), 0, "a"))
	require.NoError(t, fault.Wait(testContext(t), 1))
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	require.ErrorIs(t, fault.Wait(ctx, 2), reason)
}

func TestFault_Remove_canBeRepeatedAndKeepsTheHits(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, once())
	fault := cluster.FailProduce(2)
	require.Error(t, send(producer, 0, "a"))
	fault.Remove()
	fault.Remove()
	require.NoError(t, send(producer, 0, "b"))
	require.Equal(t, 1, fault.Hits())
}

func TestFaults_outrankEachOtherAsDocumented(t *testing.T) {
	t.Parallel()
	cluster := start(t)
	producer := newProducer(t, cluster, once())
	code := cluster.FailProduce(int16(sarama.ErrTopicAuthorizationFailed))
	later := cluster.FailProduce(int16(sarama.ErrNotEnoughReplicas))
	dropped := cluster.DropProduce(kafkatest.Times(1))

	var kerr sarama.KError
	require.NotErrorAs(t, send(producer, 0, "a"), &kerr)
	require.Equal(t, []int{0, 0, 1}, []int{code.Hits(), later.Hits(), dropped.Hits()})
	require.ErrorIs(t, send(producer, 0, "b"), sarama.ErrTopicAuthorizationFailed)
	require.Equal(t, []int{1, 0, 1}, []int{code.Hits(), later.Hits(), dropped.Hits()})
}
