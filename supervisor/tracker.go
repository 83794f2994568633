package supervisor

import (
	"errors"
	"path/filepath"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/cgroup"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logfile"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// maxExitOutput bounds the output of a plugin that is kept with its exit, in bytes.
const maxExitOutput = 4 << 10

// newTracker returns the tracker of the plugins' processes: by cgroup where there
// are cgroups (EV-02), else by pidfd (EV-03). With subreap, the process becomes a
// child subreaper. unenforced holds the configured limits that cannot be enforced,
// by plugin (EV-17).
func newTracker(cfg config.Config, subreap bool, log logrus.FieldLogger) (t *process.Tracker, unenforced map[string][]string, err error) {
	root, err := filepath.EvalSymlinks(cfg.Root)
	if err != nil {
		return nil, nil, err
	}
	tree, err := cgroup.Open(cgroup.Options{Root: root, Log: log})
	switch {
	case errors.Is(err, cgroup.ErrNone):
		log.WithField("cause", err.Error()).Info("No cgroups for plugins: their processes are watched one by one")
	case err != nil:
		log.WithError(err).Warn("No cgroups for plugins: their processes are watched one by one")
	}
	t, err = process.NewTracker(process.TrackerOptions{
		Tree: tree, Plugins: layout.Plugins(cfg.Root), Log: log,
		Output: func(name string) string { return logfile.Tail(layout.Log(cfg.Root, name), maxExitOutput) },
	})
	if err != nil {
		return nil, nil, err
	}
	if !subreap {
		log.Debug("Not a child subreaper: exit codes of daemons are unknown")
	} else if err := t.Subreap(); err != nil {
		log.WithError(err).Warn("Cannot become a child subreaper: exit codes of daemons are unknown")
	}
	unenforced = map[string][]string{}
	for name, p := range cfg.Plugins {
		limits := plugin.Limits{CPU: p.Limits.CPU, Memory: int64(p.Limits.Memory), PIDs: p.Limits.PIDs}
		if why := t.SetLimits(name, limits); len(why) > 0 {
			unenforced[name] = why
			log.WithFields(logrus.Fields{"plugin": name, "cause": why}).Warn("Limits are not enforced")
		}
	}
	return t, unenforced, nil
}
