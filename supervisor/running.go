package supervisor

import (
	"context"
	"fmt"
	"time"

	"pluginsupervisor/actors"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/packagesource"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/plugin"
)

// running answers requests to a supervisor that runs. It adds to the answers of the
// Coordinator the state that other parts own: versions in quarantine, packages
// being fetched, problems of the own files, plugins that are not watched by event,
// and the number of dropped log lines.
type running struct {
	*actors.System
	log      logQueue // nil where the log is not queued
	packages *packagesource.Source
	manager  pluginManager
	tracker  interface {
		Unwatched() (plugins, limit int, since time.Time)
	}
	files  *ownFiles
	memory *state.Store
}

// logQueue counts the log lines that were dropped: a *logger.Queue.
type logQueue interface{ Dropped() logger.Drops }

// Status returns the state of the supervisor and of all its plugins.
func (r *running) Status(ctx context.Context) (plugin.Snapshot, error) {
	s, err := r.System.Status(ctx)
	if err != nil {
		return s, err
	}
	s.Fetches = r.packages.Fetches()
	quarantined, err := r.manager.ListQuarantined()
	if err != nil { // the rest of the status is good
		s.Problems = append(s.Problems, plugin.Problem{What: "quarantine", Why: err.Error(), Since: s.At})
	}
	addQuarantined(s.Plugins, quarantined)
	if n, limit, since := r.tracker.Unwatched(); n > 0 { // EV-31
		s.Problems = append(s.Problems, plugin.Problem{
			What: "open files", Since: since,
			Why: fmt.Sprintf("%d plugins are watched by scan, every 10 s: the limit of open files (%d) is too low", n, limit),
		})
	}
	s.Problems = r.files.addTo(s.Problems)
	s.Damaged = append(s.Damaged, r.memory.Damaged(s.At)...)
	if r.log != nil {
		drops := r.log.Dropped()
		s.Counters.LogLinesDropped = drops.Lines
		if drops.Why != "" {
			s.Problems = append(s.Problems, plugin.Problem{What: plugin.ProblemLog, Why: drops.Why, Since: drops.Since})
		}
	}
	s.Problems = append(s.Problems, r.manager.Problems()...)
	return s, nil
}

// ChangePlugin requests a change. It rejects a bad name, and a change that the
// manager does not support, before the request is accepted.
func (r *running) ChangePlugin(ctx context.Context, c plugin.Change) error {
	err := plugin.CheckName(c.Name)
	if err == nil && (c.Version != "" || c.Kind == plugin.ChangeInstall || c.Kind == plugin.ChangeUpgrade) {
		err = plugin.CheckName(c.Version)
	}
	if err != nil {
		return err
	}
	if err := r.manager.Unsupported(c); err != nil {
		return err
	}
	return r.System.ChangePlugin(ctx, c)
}

// addQuarantined adds the versions in quarantine to the view of their plugin.
func addQuarantined(views []plugin.View, quarantined []plugin.QuarantinedVersion) {
	for i := range views {
		v := &views[i]
		for _, b := range quarantined {
			if b.Name == v.Name && !v.Duplicate {
				v.Quarantined = append(v.Quarantined, b)
			}
		}
	}
}
