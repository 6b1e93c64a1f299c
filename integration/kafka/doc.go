// Package kafka runs Apache Kafka itself, in KRaft mode, for tests: one node or
// three, as plain Java processes on this machine, without containers. Its jars
// come from Maven, once.
//
// It needs Java 17 or later, Maven for the first run, and Linux or another Unix.
//
//	cluster := kafka.Run(t, kafka.Options{Nodes: 3})
//	err := cluster.CreateTopic(ctx, "orders", 6, nil)
//	…
//	err = cluster.Kill(2)
//	…
//	records, err := cluster.Records(ctx, "orders")
//
// Nodes are numbered from 1, and their number is their broker's id. Each is a
// broker and a controller at once, so a cluster of three needs two of them for
// its controllers: without, leaders do not move and no replica leaves the ISR.
// A crash is noticed after about 3 s.
package kafka
