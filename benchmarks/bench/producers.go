package bench

import "runtime/debug"

// Producers are all that need no C compiler, ours first after the one that the
// others are compared with.
func Producers() []Producer {
	sarama, franz, kafkaGo := version("github.com/IBM/sarama"), version("github.com/twmb/franz-go"), version("github.com/segmentio/kafka-go")
	return []Producer{
		{Name: "sarama", Version: sarama, Open: openSaramaAsync},
		{Name: "Async", Ours: true, Open: openOurAsyncSilent},
		{Name: "Async, OnSuccess", Ours: true, Open: openOurAsync},
		{Name: "franz-go", Version: franz, Open: openFranz},
		{Name: "kafka-go", Version: kafkaGo, Open: openKafkaGo},
		{Name: "sarama", Version: sarama, Sync: true, Open: openSaramaSync},
		{Name: "Sync", Ours: true, Sync: true, Open: openOurSync},
		{Name: "Sync, OnSuccess", Ours: true, Sync: true, Open: openOurSyncTold},
		{Name: "franz-go", Version: franz, Sync: true, Open: openFranzSync},
		{Name: "kafka-go", Version: kafkaGo, Sync: true, Open: openKafkaGoSync},
	}
}

// version is that of a module in this program.
func version(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "unknown"
}
