package kafkatest_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/kafkatest"
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

// Whoever looks for a fault finds all of them in both places.
func TestREADME_andThePackageDocumentationListEveryFault(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	methods := reflect.TypeFor[*kafkatest.Cluster]()
	faults := 0
	for method := range methods.Methods() {
		if method.Type.NumOut() == 1 && method.Type.Out(0) == reflect.TypeFor[*kafkatest.Fault]() {
			faults++
			require.Contains(t, string(readme), "`"+method.Name+"(")
			require.Contains(t, string(doc), "[Cluster."+method.Name+"]")
		}
	}
	require.Positive(t, faults)
}
