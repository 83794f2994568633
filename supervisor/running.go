package supervisor

import (
	"context"
	"fmt"
	"time"

	"pluginsupervisor/actors"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/internal/supply"
	"pluginsupervisor/plugin"
)

// running is a supervisor that runs, as it is asked from outside. To what the Coordinator
// knows it adds what others know better at the moment of the question: the
// versions in quarantine, which are files, the packages on their way, how its own
// files are, the plugins that cannot be watched by event, and how many log lines
// were dropped.
type running struct {
	*actors.System
	log      logQueue // nil where the log is not queued
	packages *supply.Supply
	manager  pluginManager
	watched  interface {
		Unwatched() (plugins, limit int, since time.Time)
	}
	files  *ownFiles
	memory *state.Store
}

// logQueue counts the log lines that were dropped: a *logger.Queue.
type logQueue interface{ Dropped() logger.Drops }

// Status is everything that is known.
func (d *running) Status(ctx context.Context) (plugin.Snapshot, error) {
	s, err := d.System.Status(ctx)
	if err != nil {
		return s, err
	}
	s.Fetches = d.packages.Fetches()
	refused, err := d.manager.Refused()
	if err != nil { // no reason to tell nothing
		s.Problems = append(s.Problems, plugin.Problem{What: "quarantine", Why: err.Error(), Since: s.At})
	}
	addQuarantined(s.Plugins, refused)
	if n, limit, since := d.watched.Unwatched(); n > 0 { // EV-31
		s.Problems = append(s.Problems, plugin.Problem{
			What: "open files", Since: since,
			Why: fmt.Sprintf("%d plugins are watched by scan, every 10 s: the limit of open files (%d) is too low", n, limit),
		})
	}
	s.Problems = d.files.addTo(s.Problems)
	s.Damaged = append(s.Damaged, d.memory.Damaged(s.At)...)
	if d.log != nil {
		drops := d.log.Dropped()
		s.Counters.LogLinesDropped = drops.Lines
		if drops.Why != "" {
			s.Problems = append(s.Problems, plugin.Problem{What: plugin.ProblemLog, Why: drops.Why, Since: drops.Since})
		}
	}
	s.Problems = append(s.Problems, d.manager.Problems()...)
	return s, nil
}

// ChangePlugin rejects a bad name, and what the manager cannot do, before it is
// accepted.
func (d *running) ChangePlugin(ctx context.Context, c plugin.Change) error {
	err := plugin.CheckName(c.Name)
	if err == nil && (c.Version != "" || c.Kind == plugin.ChangeInstall || c.Kind == plugin.ChangeUpgrade) {
		err = plugin.CheckName(c.Version)
	}
	if err != nil {
		return err
	}
	if err := d.manager.Unsupported(c); err != nil {
		return err
	}
	return d.System.ChangePlugin(ctx, c)
}

func addQuarantined(views []plugin.View, refused []plugin.QuarantinedVersion) {
	for i := range views {
		v := &views[i]
		for _, b := range refused {
			if b.Name == v.Name && !v.Duplicate {
				v.Quarantined = append(v.Quarantined, b)
			}
		}
	}
}
