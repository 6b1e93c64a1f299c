package producer

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// read returns the files that match, as one text.
func read(t *testing.T, patterns ...string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			all.Write(text)
		}
	}
	return all.String()
}

// pages are what users and developers read.
func pages() []string {
	return []string{
		"README.md", "docs/architecture.md", "docs/performance.md", "docs/reliability.md", "docs/testing.md", "docs/observability.md",
		"benchmarks/README.md", "CONTRIBUTING.md", "kafkatest/README.md", "examples/README.md",
	}
}

func TestPages_nameTestsThatExist(t *testing.T) {
	t.Parallel()
	tests := make(map[string]bool)
	code := read(t, "*_test.go", "internal/*/*_test.go", "kafkatest/*_test.go",
		"producertest/*_test.go", "integration/*_test.go", "integration/*/*_test.go", "benchmarks/*/*_test.go")
	for _, test := range regexp.MustCompile(`func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(code, -1) {
		tests[test[1]] = true
	}
	for _, page := range pages() {
		named := regexp.MustCompile("`(Test[A-Z][A-Za-z]*_[A-Za-z0-9_]+)`").FindAllStringSubmatch(read(t, page), -1)
		if page == "README.md" {
			require.Greater(t, len(named), 10)
		}
		for _, name := range named {
			require.True(t, tests[name[1]], "%s: there is no %s", page, name[1])
		}
	}
}

func TestReliability_scenariosAddUpToWhatIsSaidOfTheirProducer(t *testing.T) {
	t.Parallel()
	_, totals, found := strings.Cut(read(t, "docs/reliability.md"), "| producer | messages |")
	require.True(t, found)
	totals, scenarios, found := strings.Cut(totals, "| scenario | producer | accepted |")
	require.True(t, found)
	number := func(s string) int {
		n, err := strconv.Atoi(strings.ReplaceAll(s, ",", ""))
		require.NoError(t, err)
		return n
	}
	sum := make(map[string]int)
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]*?) ?\| ([^|]+) \| ([0-9,]+) \|`).FindAllStringSubmatch(scenarios, -1) {
		sum[row[2]] += number(row[3])
	}
	rows := regexp.MustCompile(`(?m)^\| ([^|]+) \| ([0-9,]+) \|`).FindAllStringSubmatch(totals, -1)
	require.Len(t, rows, 6)
	for _, row := range rows {
		require.Equal(t, number(row[2]), sum[row[1]], row[1])
	}
}

func TestReadme_listsEveryOption(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	options := regexp.MustCompile(`func (With[A-Za-z]+)\(`).FindAllStringSubmatch(read(t, "options.go"), -1)
	require.Greater(t, len(options), 20)
	for _, option := range options {
		require.Contains(t, readme, "`"+option[1]+"`")
	}
}

func TestReadme_beginsWithTheCodeOfTheExample(t *testing.T) {
	t.Parallel()
	before, block, found := strings.Cut(read(t, "README.md"), "```go\n")
	require.True(t, found)
	require.Less(t, strings.Count(before, "\n"), 25, "a reader wants to see code first")
	block, _, _ = strings.Cut(block, "```")
	_, example, _ := strings.Cut(read(t, "example_test.go"), "func Example() {\n")
	example, _, _ = strings.Cut(example, "\n}\n")
	require.Equal(t, strings.ReplaceAll("\n"+example, "\n\t", "\n"), "\n"+strings.TrimSuffix(block, "\n"))
}

func TestReadme_linksToFilesThatExist(t *testing.T) {
	t.Parallel()
	for _, page := range pages() {
		links := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(read(t, page), -1)
		for _, link := range links {
			if strings.Contains(link[1], "://") || strings.HasPrefix(link[1], "..") && strings.Contains(link[1], "security") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(page), link[1]))
			require.NoError(t, err, "%s links to %s", page, link[1])
		}
	}
}
