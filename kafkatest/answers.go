package kafkatest

import (
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// response decides what becomes of the answer to a marked request. Faults are
// counted here, before the client can see their effect.
func (w *wire) response(broker int32, m *mark, answer []byte) outgoing {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.prune()
	for _, f := range m.hits {
		f.hit()
	}
	out := outgoing{bytes: answer}
	switch kmsg.Key(m.key) {
	case kmsg.Metadata:
		out.bytes = w.metadataAnswer(broker, m, answer)
	case kmsg.Produce:
		out.bytes, out.cut = w.produceAnswer(broker, m, answer)
	default:
	}
	if out.cut == nil {
		w.depart(broker, m, &out)
	}
	return out
}

// produceAnswer returns the answer to send, or the fault that loses it.
func (w *wire) produceAnswer(broker int32, m *mark, answer []byte) (rewritten []byte, lost *Fault) {
	if len(m.failed) == 0 && !w.any(failAfter|lose|throttle, broker) {
		return answer, nil
	}
	resp := kmsg.NewPtrProduceResponse()
	header, ok := decodeAnswer(resp, m.version, answer)
	if !ok {
		return answer, nil
	}

	// Partitions whose records are in the log, by whether their code is to be
	// replaced.
	stored := make(map[partitionID]*kmsg.ProduceResponseTopicPartition)
	for i := range resp.Topics {
		topic := &resp.Topics[i]
		for j := range topic.Partitions {
			part := &topic.Partitions[j]
			id := partitionID{topic.Topic, part.Partition}
			if code, failed := m.failed[id]; failed {
				refuse(part, code)
			} else if part.ErrorCode == 0 {
				stored[id] = part
			}
		}
	}

	claimed := make(map[partitionID]bool)
	for _, f := range w.faults {
		if f.kinds&(failAfter|lose) == 0 || !f.onBroker(broker) {
			continue
		}
		var matching []partitionID
		for id := range stored {
			if f.matches(id.topic, id.partition) && (f.kinds&lose != 0 || !claimed[id]) {
				matching = append(matching, id)
			}
		}
		if len(matching) == 0 || !f.take() {
			continue
		}
		f.hit()
		if f.kinds&lose != 0 {
			return nil, f
		}
		for _, id := range matching {
			claimed[id] = true
			refuse(stored[id], f.code)
		}
	}
	w.throttleAnswer(broker, m, resp)
	return encodeAnswer(header, resp), nil
}

// throttleAnswer sets the time for which the client is asked to wait.
func (w *wire) throttleAnswer(broker int32, m *mark, resp *kmsg.ProduceResponse) {
	for _, f := range w.faults {
		if f.kinds&throttle == 0 || !f.onBroker(broker) || !f.matchesAny(m.partitions) || !f.take() {
			continue
		}
		f.hit()
		resp.ThrottleMillis = max(resp.ThrottleMillis, int32(min(f.delay.Milliseconds(), math.MaxInt32)))
	}
}

// refuse makes the answer for one partition that of a broker which did not
// store the records.
func refuse(part *kmsg.ProduceResponseTopicPartition, code int16) {
	answer := kmsg.NewProduceResponseTopicPartition()
	answer.Partition = part.Partition
	answer.ErrorCode = code
	answer.BaseOffset = -1
	*part = answer
}

func (w *wire) metadataAnswer(broker int32, m *mark, answer []byte) []byte {
	resp := kmsg.NewPtrMetadataResponse()
	header, ok := decodeAnswer(resp, m.version, answer)
	if !ok {
		return answer
	}
	for _, f := range w.faults {
		if f.kinds&metadata == 0 || !f.onBroker(broker) {
			continue
		}
		taken := false
		for i := range resp.Topics {
			topic := &resp.Topics[i]
			if topic.Topic == nil || !f.onTopic(*topic.Topic) {
				continue
			}
			if !taken && !f.take() {
				break
			}
			taken = true
			topic.ErrorCode = f.code
			topic.Partitions = nil
			if f.code == unknownTopic {
				topic.TopicID = [16]byte{}
			}
		}
		if taken {
			f.hit()
		}
	}
	if m.allTopics {
		// A list of all topics does not have those that are unknown.
		resp.Topics = slices.DeleteFunc(resp.Topics, func(t kmsg.MetadataResponseTopic) bool {
			return t.ErrorCode == unknownTopic
		})
	}
	w.hideStopped(resp)
	w.renameCluster(broker, resp)
	return encodeAnswer(header, resp)
}

// renameCluster puts another cluster id into metadata, if its version has one.
func (w *wire) renameCluster(broker int32, resp *kmsg.MetadataResponse) {
	if resp.ClusterID == nil {
		return
	}
	for _, f := range w.faults {
		if f.kinds&clusterID != 0 && f.onBroker(broker) && f.take() {
			f.hit()
			resp.ClusterID = &f.text
			return
		}
	}
}

// hideStopped removes stopped brokers from metadata. kfake could remove them
// itself, but not their connections, would shuffle the leaders of all
// partitions, and could not bring the controller back.
func (w *wire) hideStopped(resp *kmsg.MetadataResponse) {
	if len(w.stopped) == 0 {
		return
	}
	resp.Brokers = slices.DeleteFunc(resp.Brokers, func(b kmsg.MetadataResponseBroker) bool {
		return w.stopped[b.NodeID]
	})
	if w.stopped[resp.ControllerID] {
		resp.ControllerID = -1
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			part := &resp.Topics[i].Partitions[j]
			var inSync []int32
			for _, id := range part.Replicas {
				if w.stopped[id] {
					part.OfflineReplicas = append(part.OfflineReplicas, id)
				} else {
					inSync = append(inSync, id)
				}
			}
			part.ISR = inSync
			if w.stopped[part.Leader] {
				// A topic that a client created just now.
				part.Leader = -1
				part.ErrorCode = leaderNotAvailable
			}
		}
	}
}
