package kafka

// PID is the id of the process that a node had last.
func (c *Cluster) PID(id int) int {
	n := c.nodes[id-1]
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process.cmd.Process.Pid
}

// Unescape is unescape.
func Unescape(s string) ([]byte, error) { return unescape(s) }
