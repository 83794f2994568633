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

// ownFilesInterval is how often the supervisor's own files are checked: what another
// program removed is noticed within 10 s (EV-29).
const ownFilesInterval = 5 * time.Second

// ownFiles keeps the files that the supervisor itself uses where they belong.
// What cannot be made, as the disk is full, read-only or does not answer, is a
// problem in status and is tried again (EV-28).
type ownFiles struct {
	files []ownFile
	log   logrus.FieldLogger
	hung  bounded.Set

	mu       sync.Mutex
	problems map[string]plugin.Problem
}

// ownFile is one of them: what it is called, and what makes it anew where that is
// needed.
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

// fileTimeout is how long one of them is waited for.
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

func (o *ownFiles) checkFiles() {
	for _, f := range o.files {
		failed, err := bounded.Run(&o.hung, f.what, o.hung.Patience(fileTimeout), f.keep, nil)
		if err != nil {
			failed = errors.New("the disk does not answer")
		}
		o.noteResult(f.what, failed, time.Now())
	}
}

func (o *ownFiles) noteResult(what string, failed error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known, was := o.problems[what]
	switch {
	case failed == nil && !was:
	case failed == nil:
		delete(o.problems, what)
		o.log.WithFields(logrus.Fields{"what": what, "since": known.Since}).Info("Works again")
	case was && known.Why == failed.Error():
	default:
		since := now
		if was {
			since = known.Since
		}
		o.problems[what] = plugin.Problem{What: what, Why: failed.Error(), Since: since}
		o.log.WithError(failed).WithField("what", what).Error("Does not work, will be tried again")
	}
}

// addTo adds the problems to those that are known already, by what they are about.
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
