package producertest

import (
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// note is the Metadata of a message: what was sent, what the sends of it
// returned and what was told of it. All but the first three is guarded by the
// trial's mu.
type note struct {
	number    int
	content   string    // "" if it has none: it cannot be sent
	timestamp time.Time // that the message was given

	made, returned time.Time // before the first send, after the last

	// How many sends returned what. With an Async an accepted message is one
	// whose send returned nil.
	accepted int // nil
	refused  int // an error without a DeliveryError
	failed   int // a DeliveryError that is final
	pending  int // a DeliveryError that is not

	outcomes []outcome
}

// outcome is what one callback was told.
type outcome struct {
	msg   *sarama.ProducerMessage // kept, and looked at only in the end
	err   error
	order int // among all callbacks
}

// noteOf is the note of a message, nil if its Metadata is something else.
func noteOf(msg *sarama.ProducerMessage) *note {
	if msg == nil {
		return nil
	}
	n, _ := msg.Metadata.(*note)
	return n
}

// taken is how many sends took the message over.
func (n *note) taken() int { return n.accepted + n.failed + n.pending }

// count is how many outcomes there are of which kind.
func (n *note) count() (delivered, failed int) {
	for _, o := range n.outcomes {
		if o.err == nil {
			delivered++
		} else {
			failed++
		}
	}
	return delivered, failed
}

// contentOf is what is stored of a message, as text; "" if an Encoder does not
// give its bytes.
func contentOf(msg *sarama.ProducerMessage) string {
	key, ok := bytesOf(msg.Key)
	if !ok {
		return ""
	}
	value, ok := bytesOf(msg.Value)
	if !ok {
		return ""
	}
	headers := make([]*sarama.RecordHeader, len(msg.Headers))
	for i := range msg.Headers {
		headers[i] = &msg.Headers[i]
	}
	return content(key, value, headers)
}

// content writes nil and empty differently, but for the values of headers.
func content(key, value []byte, headers []*sarama.RecordHeader) string {
	var text strings.Builder
	for _, part := range [][]byte{key, value} {
		if part == nil {
			text.WriteString("null ")
		} else {
			fmt.Fprintf(&text, "%q ", part)
		}
	}
	for _, h := range headers {
		fmt.Fprintf(&text, "%q=%q ", h.Key, h.Value)
	}
	return strings.TrimSuffix(text.String(), " ")
}

// bytesOf asks an Encoder, which may be one of those that panic.
func bytesOf(e sarama.Encoder) (b []byte, ok bool) {
	if e == nil {
		return nil, true
	}
	defer func() {
		if recover() != nil {
			b, ok = nil, false
		}
	}()
	b, err := e.Encode()
	return b, err == nil
}
