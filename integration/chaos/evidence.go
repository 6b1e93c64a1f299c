package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/saramakit/producer/integration/kafka"
	"github.com/saramakit/producer/internal/judge"
)

// keep writes what a run was judged by to a file in dir, a line of JSON each: the
// result, every message with what was said of it, every record.
func keep(dir string, r *Result, history []judge.Message, stored []kafka.Record) (path string, err error) {
	path = filepath.Join(dir, fmt.Sprintf("evidence-%d.jsonl", r.Seed))
	f, err := os.Create(path) //nolint:gosec // the folder is ours
	if err != nil {
		return "", err
	}
	buffered := bufio.NewWriter(f)
	lines := json.NewEncoder(buffered)
	defer func() { err = errors.Join(err, buffered.Flush(), f.Close()) }()
	if err := lines.Encode(map[string]any{
		"scenario": r.Scenario, "producer": r.Subject, "seed": r.Seed, "broken": r.Broken,
	}); err != nil {
		return "", err
	}
	for i := range history {
		if err := lines.Encode(written(&history[i])); err != nil {
			return "", err
		}
	}
	for i := range stored {
		if err := lines.Encode(&stored[i]); err != nil {
			return "", err
		}
	}
	return path, nil
}

// written is a message as it is written down: errors are texts.
func written(m *judge.Message) map[string]any {
	outcomes := make([]map[string]any, len(m.Outcomes))
	for i, o := range m.Outcomes {
		outcomes[i] = map[string]any{"error": text(o.Err), "partition": o.Partition, "offset": o.Offset, "order": o.Order}
	}
	return map[string]any{
		"id": m.ID, "sender": m.Sender, "key": string(m.Key), "value": string(m.Value),
		"answered": m.Answered, "returned": text(m.Returned), "outcomes": outcomes,
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
