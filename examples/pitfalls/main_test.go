package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/saramakit/producer/examples/internal/demo"
)

func TestShow_failsWhenSomethingBehavesOtherwiseThanStated(t *testing.T) {
	t.Parallel()
	asStated := func(context.Context, *demo.Cluster) (string, error) { return "it is so", nil }
	otherwise := func(context.Context, *demo.Cluster) (string, error) { return "", errors.New("it is not so") }

	var out strings.Builder
	require.NoError(t, show(t.Context(), &out, nil, []pitfall{{bare: asStated, producer: asStated}}))
	require.Contains(t, out.String(), "2 statements held")

	for _, p := range []pitfall{{bare: otherwise, producer: asStated}, {bare: asStated, producer: otherwise}} {
		out.Reset()
		require.ErrorContains(t, show(t.Context(), &out, nil, []pitfall{p}), "1 of 2 statements did not hold")
		require.Contains(t, out.String(), "NOT AS STATED: it is not so")
		require.Contains(t, out.String(), "it is so\n", "the other one is shown too")
	}
}
