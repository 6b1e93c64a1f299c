package kafka

// Attach returns a cluster that runs already, reached without TLS and SASL. It
// has no nodes to start or kill, and Close leaves it alone.
func Attach(addrs []string) *Cluster { return &Cluster{foreign: addrs} }

// Attached reports whether the cluster is not ours.
func (c *Cluster) Attached() bool { return c.foreign != nil }
