package producer

import (
	"bytes"
	"fmt"

	"github.com/IBM/sarama"
)

// intercept runs the interceptors of the sarama configuration on a copy of msg,
// once for each message. Sarama would run them again for every retry, and on
// markers of its own.
func (c *core) intercept(msg *sarama.ProducerMessage) (_ *sarama.ProducerMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("an interceptor panicked with a %T", p)
		}
	}()
	changed := &sarama.ProducerMessage{
		Topic: msg.Topic, Key: msg.Key, Value: msg.Value, Metadata: msg.Metadata,
		Headers:   make([]sarama.RecordHeader, len(msg.Headers), len(msg.Headers)+1),
		Partition: msg.Partition, Timestamp: msg.Timestamp,
	}
	for i, h := range msg.Headers {
		// The bytes too: an interceptor may write into them.
		changed.Headers[i] = sarama.RecordHeader{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)}
	}
	for _, interceptor := range c.cfg.interceptors {
		interceptor.OnSend(changed)
	}
	return changed, nil
}
