package process

import (
	"bytes"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// inherited describes what this process was started with and must not pass to its children (EV-30).
type inherited struct {
	ignored   uint64 // signals
	nice, oom bool
}

// readInherited returns what this process was started with.
var readInherited = sync.OnceValue(func() (in inherited) {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range bytes.Lines(status) {
		if mask, ok := bytes.CutPrefix(line, []byte("SigIgn:")); ok {
			in.ignored, _ = strconv.ParseUint(string(bytes.TrimSpace(mask)), 16, 64)
		}
	}
	const normal = 20 // what the system call returns for a nice value of 0
	priority, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	in.nice = err == nil && priority != normal
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	in.oom = err == nil && string(bytes.TrimSpace(score)) != "0"
	return in
})
