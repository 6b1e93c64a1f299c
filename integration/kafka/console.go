package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// consoleWait is how long the console consumer waits for a record before it
// gives up, in milliseconds.
const consoleWait = "60000"

// noneLiteral is what the console consumer is told to print for a key or a value
// that is not there. One that is these bytes would be taken for none.
const noneLiteral = "none-of-f3b1c9d07a52"

// ConsoleRecords is [Cluster.Records], read by Kafka's own console consumer, which
// shares nothing with this package or with any Go client. It has no headers and
// no timestamps. It starts a Java process: a few seconds. It leaves the topic of
// consumer offsets behind.
func (c *Cluster) ConsoleRecords(ctx context.Context, topic string) ([]Record, error) {
	spans, err := c.spans(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("kafka: read topic %s: %w", topic, err)
	}
	var want int64
	for _, s := range spans {
		want += s.end - s.start
	}
	if want == 0 {
		return nil, nil
	}
	// This deserializer's text is ASCII, with everything else as \xNN.
	const deserializer = "org.apache.kafka.common.serialization.BytesDeserializer"
	args := []string{
		"--bootstrap-server", c.seed(), "--topic", topic, "--from-beginning",
		"--max-messages", strconv.FormatInt(want, 10), "--timeout-ms", consoleWait,
	}
	for _, property := range []string{
		"print.partition=true", "print.offset=true", "print.key=true",
		"null.literal=" + noneLiteral, "key.deserializer=" + deserializer, "value.deserializer=" + deserializer,
	} {
		args = append(args, "--formatter-property", property)
	}
	var out, complaints bytes.Buffer
	if c.foreign != nil {
		if c.dist, err = find(ctx); err != nil {
			return nil, err
		}
	}
	cmd := c.tool(ctx, "org.apache.kafka.tools.consumer.ConsoleConsumer", args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := run(cmd); err != nil {
		return nil, fmt.Errorf("kafka: the console consumer of %s: %w: %s", topic, err, &complaints)
	}
	var records []Record
	for {
		line, err := out.ReadString('\n')
		if errors.Is(err, io.EOF) {
			slices.SortFunc(records, byPlace)
			return records, nil
		}
		record, err := parseConsole(topic, strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
}

// seed is the address of a node that answers.
func (c *Cluster) seed() string {
	for _, n := range c.nodes {
		if n.answers() {
			return c.ports.addr(n.id, plaintextPort)
		}
	}
	return c.Addrs()[0]
}

// parseConsole reads a line such as "Partition:0	Offset:5	key	value".
func parseConsole(topic, line string) (Record, error) {
	r := Record{Topic: topic}
	fields := strings.Split(line, "\t")
	if len(fields) != 4 {
		return r, fmt.Errorf("kafka: the console consumer printed %q", line)
	}
	partition, err1 := strconv.ParseInt(strings.TrimPrefix(fields[0], "Partition:"), 10, 32)
	offset, err2 := strconv.ParseInt(strings.TrimPrefix(fields[1], "Offset:"), 10, 64)
	key, err3 := unescape(fields[2])
	value, err4 := unescape(fields[3])
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return r, fmt.Errorf("kafka: the console consumer printed %q: %w", line, err)
	}
	r.Partition, r.Offset, r.Key, r.Value = int32(partition), offset, key, value
	return r, nil
}

// unescape reads what Kafka's BytesDeserializer prints.
func unescape(s string) ([]byte, error) {
	if s == noneLiteral {
		return nil, nil
	}
	b := []byte{}
	for len(s) > 0 {
		if s[0] != '\\' {
			b, s = append(b, s[0]), s[1:]
			continue
		}
		if len(s) < 4 || s[1] != 'x' {
			return nil, fmt.Errorf("%q is no byte", s)
		}
		code, err := strconv.ParseUint(s[2:4], 16, 8)
		if err != nil {
			return nil, err
		}
		b, s = append(b, byte(code)), s[4:]
	}
	return b, nil
}
