// Command chaos lets this library and its peers send while Apache Kafka is
// killed, frozen, restarted and moved about, and says what it cost.
package main

import (
	"github.com/saramakit/producer/integration/chaos"
	"github.com/saramakit/producer/integration/chaos/command"
)

func main() { command.Main(chaos.Subjects()) }
