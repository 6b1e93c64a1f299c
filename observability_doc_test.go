package producer

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// logged are the lines and the attributes that the code of this package logs.
func logged(t *testing.T) (lines, attributes map[string]bool) {
	t.Helper()
	lines, attributes = map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "bridge.go" { // which logs what sarama says
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(tree, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, _ := f.X.(*ast.Ident)
			switch {
			case f.Sel.Name == "state" && len(call.Args) > 1, f.Sel.Name == "write" && len(call.Args) > 1:
				if text, ok := call.Args[1].(*ast.BasicLit); ok {
					line, err := strconv.Unquote(text.Value)
					require.NoError(t, err)
					lines[line] = true
				}
			case of != nil && of.Name == "slog" && len(call.Args) == 2:
				if text, ok := call.Args[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
					name, err := strconv.Unquote(text.Value)
					require.NoError(t, err)
					attributes[name] = true
				}
			}
			return true
		})
	}
	return lines, attributes
}

// section is a part of a page, from its heading to the next one.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, page), "\n## "+heading+"\n")
	require.True(t, found, heading)
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

func TestObservability_listsEveryLogLineAndEveryAttributeAndNoOther(t *testing.T) {
	t.Parallel()
	text := section(t, "docs/observability.md", "Log lines")
	lines, attributes := logged(t)
	require.Greater(t, len(lines), 8)
	listedLines, used := map[string]bool{}, map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(producer: [^`]+)` \\| \\w+ \\| .* \\| (.*) \\|$").FindAllStringSubmatch(text, -1) {
		listedLines[row[1]] = true
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[2], -1) {
			used[name[1]] = true
		}
	}
	require.Equal(t, lines, listedLines)
	require.Equal(t, attributes, used)
	_, meanings, found := strings.Cut(text, "| attribute | meaning |")
	require.True(t, found)
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`\\w+`(?:, `\\w+`)*) \\|").FindAllStringSubmatch(meanings, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			listed[strings.Trim(name, "`")] = true
		}
	}
	require.Equal(t, attributes, listed)
}

func TestObservability_listsEveryKindOfError(t *testing.T) {
	t.Parallel()
	text := section(t, "docs/observability.md", "Kinds of errors")
	code := read(t, "kinds.go")
	_, comment, found := strings.Cut(code, "else it is one of\n")
	require.True(t, found)
	comment, _, _ = strings.Cut(comment, "\nfunc ")
	kinds := regexp.MustCompile(`(?m)^//	(\w+)  `).FindAllStringSubmatch(comment, -1)
	require.Greater(t, len(kinds), 10)
	for _, kind := range kinds {
		require.Contains(t, text, "`"+kind[1]+"`")
	}
	for _, kind := range regexp.MustCompile(`(?m)return "([a-z_]+)"|, "([a-z_]+)"\}`).FindAllStringSubmatch(code, -1) {
		require.Contains(t, text, "`"+kind[1]+kind[2]+"`")
	}
}
