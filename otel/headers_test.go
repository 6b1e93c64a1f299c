package otel

import (
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
)

func TestHeaders_whatIsAppendedToANameLeavesTheValueAlone(t *testing.T) {
	t.Parallel()
	var msg sarama.ProducerMessage
	headers{&msg}.Set("name", "value")
	_ = append(msg.Headers[0].Key, "more"...)
	require.Equal(t, "value", headers{&msg}.Get("name"))
}

func TestHeaders_theLastOfANameCountsAndANewOneReplacesAll(t *testing.T) {
	t.Parallel()
	msg := sarama.ProducerMessage{Headers: []sarama.RecordHeader{
		{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b"), Value: []byte("2")}, {Key: []byte("a"), Value: []byte("3")},
	}}
	require.Equal(t, "3", headers{&msg}.Get("a"))
	require.Equal(t, []string{"a", "b", "a"}, headers{&msg}.Keys())
	headers{&msg}.Set("a", "4")
	require.Equal(t, []string{"4"}, header(&msg, "a"))
	require.Equal(t, []string{"2"}, header(&msg, "b"))
	require.Empty(t, headers{&msg}.Get("A"))
}

// setLater is a propagator as the global one, which does nothing until it is set.
type setLater struct {
	propagation.TextMapPropagator
	asked int
}

func (s *setLater) Fields() []string {
	s.asked++
	return s.TextMapPropagator.Fields()
}

func TestHeaders_aPropagatorThatIsSetLaterIsAskedForItsNamesUntilItHasSome(t *testing.T) {
	t.Parallel()
	later := &setLater{TextMapPropagator: propagation.NewCompositeTextMapPropagator()}
	r := newRig(t, WithPropagator(later))
	stale := func() *sarama.ProducerMessage {
		msg := order()
		msg.Headers = []sarama.RecordHeader{{Key: []byte("tracestate"), Value: []byte("stale=1")}}
		r.message(t.Context(), msg, delivered())
		return msg
	}
	require.NotEmpty(t, header(stale(), "tracestate"))
	later.TextMapPropagator = propagation.TraceContext{}
	require.Empty(t, header(stale(), "tracestate"))
	asked := later.asked
	require.Empty(t, header(stale(), "tracestate"))
	require.Equal(t, asked, later.asked)
}
