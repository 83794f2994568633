package process

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// keptDescriptors is the number of file descriptors that are not used for watching. They are kept
// for commands, the control plane and the supervisor's own files (EV-31).
const keptDescriptors = 64

// errFull means that no more processes can be watched.
var errFull = errors.New("no descriptor to watch it with")

// descriptors counts the file descriptors that watch processes.
type descriptors struct {
	most int // maximum of used
	used atomic.Int64
}

// newDescriptors returns a counter for the limit of open files, which the Go runtime has raised to
// the hard limit.
func newDescriptors() (*descriptors, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("limit of open files: %w", err)
	}
	const enough = 1 << 30
	return &descriptors{most: int(min(limit.Cur, enough)) - keptDescriptors}, nil
}

// reserve reserves a descriptor for a process, and reports whether one was left.
func (d *descriptors) reserve() bool {
	if int(d.used.Add(1)) <= d.most {
		return true
	}
	d.used.Add(-1)
	return false
}

func (d *descriptors) release() { d.used.Add(-1) }

// watchLimit returns how many processes of a plugin to watch: 1 once half of the descriptors are in
// use.
func (d *descriptors) watchLimit() int {
	if int(d.used.Load()) >= d.most/2 {
		return 1
	}
	return maxWatched
}

// Unwatched returns the number of plugins that are only scanned, every 10 s, because descriptors
// are missing, and since when. limit is the limit of open files (EV-31).
func (t *Tracker) Unwatched() (plugins, limit int, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tr := range t.tracked {
		if tr.alive && tr.unwatched && len(tr.watched) == 0 && tr.leaf == nil { // a plugin with a leaf is watched by it
			plugins++
		}
	}
	return plugins, t.descriptors.most + keptDescriptors, t.fullSince
}
