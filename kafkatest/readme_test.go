package kafkatest_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Code in the README compiles because it is part of an example.
func TestREADME_codeIsPartOfAnExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		require.Contains(t, unindented(examples), unindented(block[1]))
	}
}

func unindented(code []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(code)) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}
