package producertest

import (
	"context"
	"errors"

	"github.com/saramakit/producer"
)

// deliveryError is the *DeliveryError of an error, or nil.
func deliveryError(err error) *producer.DeliveryError {
	failure, _ := errors.AsType[*producer.DeliveryError](err)
	return failure
}

// closeError is the *CloseError of an error, or nil.
func closeError(err error) *producer.CloseError {
	short, _ := errors.AsType[*producer.CloseError](err)
	return short
}

// ranOut checks that an error says that its ctx has ended, and why.
func (b *bench) ranOut(ctx context.Context, what string, err error) {
	b.tb.Helper()
	if ctx.Err() == nil {
		b.tb.Errorf("%s: it returned %v before its ctx ended", what, err)
		return
	}
	for _, want := range []error{ctx.Err(), context.Cause(ctx)} {
		if !errors.Is(err, want) {
			b.tb.Errorf("%s: %v does not wrap %q", what, err, want)
		}
	}
}
