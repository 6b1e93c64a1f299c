package chaos

import (
	"context"
	"net"
	"time"
)

// Client is a producer under test.
type Client interface {
	// Send hands a message over. It may wait, as the producer does. If it
	// returns nil, done is called once with the outcome, be it before Send
	// returns; else never.
	Send(topic string, key, value []byte, done Done) error
	// Close ends the producer, within about the time given if it can.
	Close(within time.Duration) error
}

// Done is told the outcome of a message: where it is stored, or why not.
type Done = func(partition int32, offset int64, err error)

// Settings are what every subject is told.
type Settings struct {
	// DeliveryTimeout is how long a message may take, for producers that have
	// such a setting.
	DeliveryTimeout time.Duration
	// Dialer is how to connect, nil: as ever.
	Dialer Dialer
}

// Dialer is what sarama and franz-go can connect with.
type Dialer interface {
	Dial(network, addr string) (net.Conn, error)
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// Subject is a kind of producer.
type Subject struct {
	Name string
	// Goroutines is how many send at the same time: one that waits for each
	// outcome needs more.
	Goroutines int
	// Sync says that Send waits for the outcome, so that each goroutine learns
	// of its own.
	Sync bool
	// Ours says that a broken promise is a failure, and not a finding. Its errors
	// tell whether a failed message may be stored.
	Ours bool
	// NoDialer says that it cannot be made to connect through a network of ours.
	NoDialer bool
	Open     func(addrs []string, s Settings) (Client, error)
}

// Subjects are all kinds that there are, ours first.
func Subjects() []Subject {
	return []Subject{
		{Name: "producer.Async", Goroutines: 4, Ours: true, Open: openAsync},
		{Name: "producer.Sync", Goroutines: 64, Sync: true, Ours: true, Open: openSync},
		{Name: "sarama, defaults", Goroutines: 4, Open: openSaramaDefaults},
		{Name: "sarama, careful", Goroutines: 4, Open: openSaramaCareful},
		{Name: "franz-go", Goroutines: 4, Open: openFranz},
	}
}
