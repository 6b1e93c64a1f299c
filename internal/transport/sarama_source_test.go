package transport

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// clientUse is what the source of sarama's producer does with its client.
type clientUse struct {
	methods map[string]bool // that it calls
	passed  map[string]bool // functions that it hands the client to
}

// producerParts are the types that make up an AsyncProducer, by whose methods
// the client is used. Functions without a receiver are looked at too, if they
// make one of them.
var producerParts = []string{ //nolint:gochecknoglobals // a constant
	"asyncProducer", "topicProducer", "partitionProducer", "brokerProducer", "partitionMuter", "produceSet", "transactionManager",
}

// cluster stands in the place of sarama's client without being one: a method
// that it does not have would be a nil pointer.
func TestSarama_itsProducerCallsNoMoreOfAClientThanClusterHas(t *testing.T) {
	t.Parallel()
	use := clientUse{map[string]bool{}, map[string]bool{}}
	parts := map[string]bool{}
	for _, f := range saramaFiles(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			part := receiver(fn)
			if part == "" && slices.Contains([]string{"newAsyncProducer", "newTransactionManager"}, fn.Name.Name) {
				part = "func"
			}
			if part == "func" || slices.Contains(producerParts, part) {
				parts[part] = true
				use.of(fn.Body)
			}
		}
	}
	require.Len(t, parts, len(producerParts)+1, "void: sarama's producer has other parts now: %v", parts)

	own := []string{
		"Close", "Closed", "Config", "Leader", "LeastLoadedBroker", "Partitions", "RefreshMetadata", "WritablePartitions",
	}
	transactional := []string{
		"Coordinator", "RefreshCoordinator", "RefreshTransactionCoordinator", "TransactionCoordinator",
	}
	require.Equal(t, slices.Sorted(slices.Values(slices.Concat(own, transactional))), slices.Sorted(maps.Keys(use.methods)))
	require.Equal(t, []string{"newTransactionManager"}, slices.Sorted(maps.Keys(use.passed)))

	// Those of its own; what is promoted from the embedded nil does not count.
	defined := definedBy(t, "cluster")
	for _, method := range own {
		require.Contains(t, defined, method, "cluster would call a nil Client")
	}
}

// of notes what a function does with anything that is called client.
func (u *clientUse) of(body ast.Node) {
	ofClient := reflect.TypeFor[sarama.Client]()
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if _, ok := ofClient.MethodByName(n.Sel.Name); ok && isClient(n.X) {
				u.methods[n.Sel.Name] = true
			}
		case *ast.CallExpr:
			for _, arg := range n.Args {
				if isClient(arg) {
					u.passed[nameOf(n.Fun)] = true
				}
			}
		}
		return true
	})
}

func isClient(e ast.Expr) bool { return nameOf(e) == "client" }

// nameOf is the last part of a name such as p.parent.client.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	of := fn.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	return nameOf(of)
}

// saramaFiles are the source files of the version that this module requires.
func saramaFiles(t *testing.T) []*ast.File {
	t.Helper()
	pkg, err := build.Import("github.com/IBM/sarama", ".", build.FindOnly)
	require.NoError(t, err)
	return parseDir(t, pkg.Dir)
}

func parseDir(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, f)
	}
	require.NotEmpty(t, files)
	return files
}

// definedBy are the methods that a type of this package defines itself.
func definedBy(t *testing.T, of string) (names []string) {
	t.Helper()
	for _, f := range parseDir(t, ".") {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && receiver(fn) == of {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}
