//go:build !unix

package bench

import "time"

// cpuTime is not known here: ratios of CPU time come out as 0.
func cpuTime() time.Duration { return 0 }
