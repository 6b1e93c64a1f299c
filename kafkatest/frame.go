package kafkatest

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// sizeBytes is the length in front of every frame.
	sizeBytes = 4
	// minHeader is the size of the shortest request header: key, version,
	// correlation id and the length of the client id.
	minHeader = 10
	// maxFrame is a sanity bound. Kafka's own is socket.request.max.bytes,
	// 100 MiB.
	maxFrame = 100 << 20
)

// request is a request of a client, decoded as far as somebody asks for it.
type request struct {
	frame        []byte // with its length in front
	key, version int16
	correlation  int32

	rest     kbin.Reader // what follows the header
	produced *kmsg.ProduceRequest
	decoded  bool // produced is final; nil means that it cannot be decoded
}

// newRequest reads the header. Of a frame without its end it reads the key and
// the version, if those are there.
func newRequest(frame []byte) *request {
	r := &request{frame: frame, rest: kbin.Reader{Src: frame[sizeBytes:]}}
	r.key, r.version, r.correlation = r.rest.Int16(), r.rest.Int16(), r.rest.Int32()
	r.rest.NullableString() // the client id
	return r
}

// body decodes what follows the header. A request that cannot be decoded is
// left to the broker, which knows what to do with it.
func (r *request) body(req kmsg.Request) bool {
	req.SetVersion(r.version)
	if req.IsFlexible() {
		kmsg.SkipTags(&r.rest)
	}
	return r.rest.Complete() == nil && req.ReadFrom(r.rest.Src) == nil
}

// produce returns the request as a produce request, and nil if it is not one
// that can be decoded.
func (r *request) produce() *kmsg.ProduceRequest {
	if r.decoded || r.key != int16(kmsg.Produce) {
		return r.produced
	}
	r.decoded = true
	if req := kmsg.NewPtrProduceRequest(); r.body(req) {
		r.produced = req
	}
	return r.produced
}

// partitions returns the partitions that a produce request is for.
func (r *request) partitions() []partitionID {
	req := r.produce()
	if req == nil {
		return nil
	}
	var ids []partitionID
	for _, topic := range req.Topics {
		for _, p := range topic.Partitions {
			ids = append(ids, partitionID{topic.Topic, p.Partition})
		}
	}
	return ids
}

// encode returns the frame of a body that has been decoded from the request.
func (r *request) encode(req kmsg.Request) []byte {
	header := r.frame[:len(r.frame)-len(r.rest.Src)]
	frame := req.AppendTo(slices.Clone(header))
	setSize(frame)
	return frame
}

// decodeAnswer reads an answer and returns the bytes in front of what it read.
// An answer that cannot be read goes to the client as it is.
func decodeAnswer(resp kmsg.Response, version int16, answer []byte) (header []byte, ok bool) {
	resp.SetVersion(version)
	if len(answer) < sizeBytes+4 {
		return nil, false
	}
	rest := kbin.Reader{Src: answer[sizeBytes+4:]} // length and correlation id
	if resp.IsFlexible() {
		kmsg.SkipTags(&rest)
	}
	if rest.Complete() != nil {
		return nil, false
	}
	header = answer[:len(answer)-len(rest.Src)]
	return header, resp.ReadFrom(rest.Src) == nil
}

func encodeAnswer(header []byte, resp kmsg.Response) []byte {
	answer := resp.AppendTo(slices.Clone(header))
	setSize(answer)
	return answer
}

// setSize writes the length of a frame into its front.
func setSize(frame []byte) {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-sizeBytes))
}
