package process

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// keptDescriptors is how many of the files that this process may have open are
// not used for watching: for commands, the control plane, its own files (EV-31).
const keptDescriptors = 64

// errFull says that no more processes can be watched.
var errFull = errors.New("no descriptor to watch it with")

// descriptors counts those that processes are watched with.
type descriptors struct {
	most int // how many there may be
	used atomic.Int64
}

// newDescriptors returns the count for the limit of open files, which the Go
// runtime has raised as far as it may.
func newDescriptors() (*descriptors, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("limit of open files: %w", err)
	}
	const enough = 1 << 30
	return &descriptors{most: int(min(limit.Cur, enough)) - keptDescriptors}, nil
}

// take takes one for a process, if there is one left.
func (d *descriptors) take() bool {
	if int(d.used.Add(1)) <= d.most {
		return true
	}
	d.used.Add(-1)
	return false
}

func (d *descriptors) giveBack() { d.used.Add(-1) }

// perPlugin is how many processes of a plugin are watched: one, when half of
// the descriptors are in use.
func (d *descriptors) perPlugin() int {
	if int(d.used.Load()) >= d.most/2 {
		return 1
	}
	return watchedMost
}

// Unwatched returns how many plugins are watched by scan, every 10 s, for want
// of descriptors, and since when; limit is how many files may be open (EV-31).
func (t *Tracker) Unwatched() (plugins, limit int, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tr := range t.tracked {
		if tr.alive && tr.unwatched && len(tr.watched) == 0 && tr.leaf == nil { // else its leaf tells
			plugins++
		}
	}
	return plugins, t.descriptors.most + keptDescriptors, t.fullSince
}
