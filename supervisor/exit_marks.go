package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/actors"
	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logfile"
	"pluginsupervisor/plugin"
)

// exitMarks is a Watcher that marks each exit in the log of the plugin before it
// reports it, so that the mark precedes the output of the next start (AP-07).
type exitMarks struct {
	actors.Watcher
	root  string
	log   logrus.FieldLogger
	first sync.Once
	hung  bounded.Set
}

// Adopt marks the exits that no supervisor has seen. Only the first call finds them:
// Follow reports all later ones.
func (m *exitMarks) Adopt(ctx context.Context, ts []plugin.WatchTarget) []plugin.Observed {
	observed := m.Watcher.Adopt(ctx, ts)
	m.first.Do(func() {
		for i, o := range observed {
			if len(o.Processes) == 0 && len(ts[i].Processes) > 0 {
				m.mark(o.Name, time.Now(), fmt.Sprintf("exited while no supervisor was running (pid %d)", ts[i].Processes[0].PID))
			}
		}
	})
	return observed
}

// Follow marks and reports each exit.
func (m *exitMarks) Follow(ctx context.Context, exited func(plugin.Exit)) error {
	return m.Watcher.Follow(ctx, func(e plugin.Exit) {
		switch what := describeExit(e); {
		case e.Partial: // others are still running
		case e.Late:
			m.mark(e.Name, time.Now(), "cause of an exit before: "+what)
		default:
			m.mark(e.Name, e.At, "exited: "+what)
		}
		exited(e)
	})
}

// describeExit returns the cause of an exit and the pid, if they are known.
func describeExit(e plugin.Exit) string {
	what := e.Cause()
	if !e.CauseKnown && !e.OOM {
		what = "cause unknown"
	}
	if e.PID > 0 {
		what += fmt.Sprintf(" (pid %d)", e.PID)
	}
	return what
}

// markTimeout bounds the wait for the disk: an exit must be reported in time.
const markTimeout = 200 * time.Millisecond

// mark marks an event in the log of a plugin. A plugin that another program has
// started has no log.
func (m *exitMarks) mark(name string, at time.Time, what string) {
	err, hung := bounded.Run(&m.hung, name, markTimeout, func() error { return logfile.MarkEvent(layout.Log(m.root, name), at, what) }, nil)
	if err = errors.Join(err, hung); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.WithError(err).WithField("plugin", name).Debug("Cannot mark an exit in the plugin log")
	}
}
