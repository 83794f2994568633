package supervisor

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

// ownFilesInterval is the interval between checks of the supervisor's own files: a
// file that another program removed is made again within 10 s (EV-29).
const ownFilesInterval = 5 * time.Second

// ownFiles makes the supervisor's own files again when they are missing. A file
// that cannot be made, because the disk is full, read-only or does not answer, is a
// problem in status and is retried (EV-28).
type ownFiles struct {
	files []ownFile
	log   logrus.FieldLogger
	hung  bounded.Set

	mu       sync.Mutex
	problems map[string]plugin.Problem
}

// ownFile is a file or folder of the supervisor, with the function that makes it
// again if needed.
type ownFile struct {
	what string
	keep func() error
}

func newOwnFiles(root string, held *lock.Root, socket *admin.Socket, memory *state.Store, log logrus.FieldLogger) *ownFiles {
	return &ownFiles{log: log, problems: map[string]plugin.Problem{}, files: []ownFile{
		{"folder of the supervisor", func() error { return durable.MakeFolder(layout.Supervisor(root), 0o750) }},
		{"lock of the root", held.Keep},
		{"admin socket", socket.EnsureSocket},
		{"state file", func() error { memory.Check(); return memory.Problem() }},
	}}
}

// fileTimeout bounds the check of one file.
const fileTimeout = 2 * time.Second

// keepFiles checks the files until ctx ends.
func (o *ownFiles) keepFiles(ctx context.Context) error {
	tick := time.NewTicker(ownFilesInterval)
	defer tick.Stop()
	for {
		o.checkFiles()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// checkFiles checks each file and notes the result.
func (o *ownFiles) checkFiles() {
	for _, f := range o.files {
		failed, err := bounded.Run(&o.hung, f.what, o.hung.NextLimit(fileTimeout), f.keep, nil)
		if err != nil {
			failed = errors.New("the disk does not answer")
		}
		o.noteResult(f.what, failed, time.Now())
	}
}

// noteResult sets the problem of a file, or clears it if failed is nil.
func (o *ownFiles) noteResult(what string, failed error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known, was := o.problems[what]
	switch {
	case failed == nil && !was:
	case failed == nil:
		delete(o.problems, what)
		o.log.WithFields(logrus.Fields{"what": what, "since": known.Since}).Info("Recovered")
	case was && known.Why == failed.Error():
	default:
		since := now
		if was {
			since = known.Since
		}
		o.problems[what] = plugin.Problem{What: what, Why: failed.Error(), Since: since}
		o.log.WithError(failed).WithField("what", what).Error("Write failed, retrying")
	}
}

// addTo adds the problems whose subject is not in the list yet.
func (o *ownFiles) addTo(problems []plugin.Problem) []plugin.Problem {
	o.mu.Lock()
	defer o.mu.Unlock()
	for what, p := range o.problems {
		if !slices.ContainsFunc(problems, func(other plugin.Problem) bool { return other.What == what }) {
			problems = append(problems, p)
		}
	}
	slices.SortFunc(problems, func(a, b plugin.Problem) int { return cmp.Compare(a.What, b.What) })
	return problems
}
