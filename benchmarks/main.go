// Command benchmarks compares the library with bare sarama and other clients.
// README.md says how to read what it prints.
package main

import "github.com/saramakit/producer/benchmarks/bench"

func main() { bench.Main(bench.Producers()) }
