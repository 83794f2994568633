package process

import (
	"bytes"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inherit"
)

// inherited describes what this process was started with and must not pass to its children (EV-30).
type inherited struct {
	ignored   uint64 // signals
	nice, oom bool
}

// readInherited returns what this process was started with.
var readInherited = sync.OnceValue(func() (in inherited) {
	in.ignored = inherit.IgnoredSignals()
	const normal = 20 // what the system call returns for a nice value of 0
	priority, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	in.nice = err == nil && priority != normal
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	in.oom = err == nil && string(bytes.TrimSpace(score)) != "0"
	return in
})
