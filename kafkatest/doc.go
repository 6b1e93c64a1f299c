// Package kafkatest runs a Kafka cluster inside the test process, and breaks
// it on request.
//
// The cluster speaks the Kafka protocol on loopback sockets, so the code under
// test connects to it with the client it uses in production. It starts in
// well under a millisecond, needs no container, and keeps everything in memory:
//
//	func TestCheckout(t *testing.T) {
//		cluster := kafkatest.Start(t, kafkatest.WithTopic("orders", 3))
//		// run the service against cluster.Addrs()
//		records, err := cluster.Records(t.Context(), "orders")
//		// check what was stored
//	}
//
// # Starting
//
// [Start] is for tests: it fails the test if the cluster does not start and
// closes the cluster when the test ends. [New] is for programs and demos.
// Clusters share nothing, so tests that each start their own run in parallel.
//
// # What is stored
//
// [Cluster.Records] reads a topic with a client that is independent of the one
// under test. It takes a path of its own into the cluster: it works during an
// outage, with a broker frozen and on a topic that is hidden from clients.
//
// # Breaking things
//
// A [Fault] changes how the brokers and the network behave until it is removed;
// [Times], [OnTopic], [OnPartition], [OnBroker] and [OnKey] narrow it down. What a
// broker does:
//
//   - [Cluster.FailProduce]: an error code, nothing stored
//   - [Cluster.FailProduceAfterAppend]: an error code, but stored
//   - [Cluster.LoseProduceResponse]: stored, the connection closes instead of an answer
//   - [Cluster.DropProduce]: not stored, the connection closes
//   - [Cluster.IgnoreProduce]: not stored, never answered, the connection stays open
//   - [Cluster.Freeze]: no request of any kind is answered
//   - [Cluster.FailMetadata] and [Cluster.HideTopic]: the topic cannot be looked up
//   - [Cluster.ThrottleProduce]: stored, the client is asked to wait
//   - [Cluster.ChangeClusterID]: metadata as of another cluster
//   - [Cluster.GarbleResponses]: stored, something else is sent in place of the answer
//
// What the network does, to requests and answers of every kind:
//
//   - [Cluster.DelayRequests] and [Cluster.DelayResponses]: they arrive later
//   - [Cluster.HoldRequests]: not stored until the test says so
//   - [Cluster.HoldResponses]: stored, not answered until the test says so
//   - [Cluster.TrickleResponses]: answers arrive bit by bit
//   - [Cluster.CutRequests]: not stored, the connection closes within the request
//   - [Cluster.CutResponses]: stored, the connection closes within the answer
//   - [Cluster.CloseIdle]: connections without traffic are closed
//   - [Cluster.ForgetIdle]: they stay open, and nothing passes any more
//   - [Cluster.Unplug]: nothing passes until the fault is removed
//
// Whatever closes a connection does so with a FIN, or with a RST given [Reset].
//
// The cluster itself changes by [Cluster.MoveLeader], [Cluster.ShuffleLeaders],
// [Cluster.StopBroker] and [Cluster.StartBroker], [Cluster.Outage] and
// [Cluster.Return]. Faults live on through all of these.
//
// When several faults match a request, the network comes first: Unplug,
// CutRequests, then delays and holds. A request that the broker gets meets the
// faults under which it never reaches the log (Freeze, IgnoreProduce,
// DropProduce), then those of the append. Its answer, if LoseProduceResponse does
// not lose it, is garbled, then cut, then delayed or held, and goes out in slices
// at last. Within a group faults are tried in the order in which they were made. A
// code is answered per partition: each partition gets the code of the first fault
// that matches it.
//
// # What it is not
//
// It is a stand-in for Kafka 4.0 in one process, not Kafka. It checks what
// brokers check of a record batch, of producer ids and sequence numbers, and of
// leadership. It has no replication (min.insync.replicas is not enforced), no
// quotas and no log append time, and serves one request of a connection at a
// time. Nothing is removed from memory before Close: 10 million messages of
// 100 bytes take about 1.5 GB.
//
// It keeps one epoch per producer id, where Kafka keeps one per partition. When an
// idempotent producer raises its epoch after an error in one partition, batches
// of the old epoch for another partition are refused with
// INVALID_PRODUCER_EPOCH (47); Kafka takes them.
//
// Its sockets are real: in a bubble of testing/synctest time stands still while a
// goroutine waits for one of them, so the cluster does not work in there. Delays
// are measured by the clock of the machine. A broker that is away, in an outage or
// by StopBroker, does not keep its port: another program can take it, and
// StartBroker and Return wait for it to be free again.
//
// A broker that is stopped keeps its role as controller (the broker with the
// highest id) and as coordinator of groups and transactions, so clients cannot
// create topics, and groups and transactions may stand still, until it is back.
// [Cluster.CreateTopic] works at any time.
package kafkatest
