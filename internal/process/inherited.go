package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// DropInherited makes this process independent of who started it, as far as
// its own files go (EV-30): descriptors that were left open for it are closed
// in its children, and the umask is 022. It is called first thing.
func DropInherited() error {
	unix.Umask(0o022)
	const first = 3
	err := unix.CloseRange(first, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	open, err := os.ReadDir("/proc/self/fd") // a kernel before 5.11
	if err != nil {
		return fmt.Errorf("list inherited descriptors: %w", err)
	}
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// inherited is what this process was started with and its children are not to
// be (EV-30).
type inherited struct {
	ignored   uint64 // signals
	nice, oom bool
}

// inheritance returns what this process was started with.
var inheritance = sync.OnceValue(func() (in inherited) {
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
