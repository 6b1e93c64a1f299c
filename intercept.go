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
	changed := ownHeaders(msg)
	for _, interceptor := range c.cfg.interceptors {
		interceptor.OnSend(changed)
	}
	return changed, nil
}

// ownHeaders copies a message with its headers and their bytes, for functions
// that may write into them.
func ownHeaders(msg *sarama.ProducerMessage) *sarama.ProducerMessage {
	return shallow(msg, appendHeaders(nil, msg.Headers))
}

// appendHeaders appends copies of headers, with their bytes.
func appendHeaders(to, headers []sarama.RecordHeader) []sarama.RecordHeader {
	for _, h := range headers {
		to = append(to, sarama.RecordHeader{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)})
	}
	return to
}

// shallow copies what a user sets of a message, with other headers.
func shallow(msg *sarama.ProducerMessage, headers []sarama.RecordHeader) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{
		Topic: msg.Topic, Key: msg.Key, Value: msg.Value, Metadata: msg.Metadata,
		Headers: headers, Partition: msg.Partition, Timestamp: msg.Timestamp,
	}
}
