package kafka_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/saramakit/producer/integration/internal/leaks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, leaks.Ignored()...) }
