package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// The variables every verb gets (SPEC 2).
const (
	envDir         = "PLUGIN_DIR"
	envPreviousDir = "PRE_PLUGIN_DIR"
)

// order is one verb of one plugin.
type order struct {
	plugin   plugin.Plugin
	verb     plugin.Verb
	previous string        // folder of the version before, in an upgrade
	timeout  time.Duration // not positive: the plugin's own
}

// run carries an order out. What keeps it from beginning is a Result with Err alone.
func (m *Manager) run(ctx context.Context, o order) process.Result {
	path, err := m.executable(o.plugin)
	if err != nil {
		return process.Result{ExitCode: -1, Err: err}
	}
	c := process.Command{
		Path: path, Args: []string{string(o.verb)}, Timeout: o.timeout,
		Env: slices.Concat(m.env, []string{
			envDir + "=" + m.dir(o.plugin.Name, o.plugin.Version),
			envPreviousDir + "=" + o.previous,
		}),
	}
	if !o.plugin.Duplicate {
		c.Plugin = o.plugin.Name
	}
	if c.Timeout <= 0 {
		c.Timeout = verb.Deadline(o.plugin)
	}
	if o.verb.MayLeaveDaemon() {
		c.Daemon, c.Log = true, verb.LogPath(m.root, o.plugin.Name)
	}
	return m.runner.Run(ctx, c)
}

// do runs a verb that changes something. How it ended is logged for whoever
// follows the steps; what it means, the caller knows and says.
func (m *Manager) do(ctx context.Context, o order) plugin.Outcome {
	if err := m.step.Before(string(o.verb) + " " + o.plugin.Version); err != nil {
		return failed(o.verb, err)
	}
	r := m.run(ctx, o)
	outcome := verb.Outcome(o.verb, r)
	m.logFor(o.plugin).WithFields(logrus.Fields{
		"verb": string(o.verb), "took": r.Took.Round(time.Millisecond).String(), "cause": outcome.Cause(),
	}).Debug("Verb ended")
	return outcome
}

// errMissing is what the runner would say too.
var errMissing = errors.New("executable missing")

// executable is the path of a plugin's executable, if there is one inside its
// folder. A symbolic link that leads out of the folder is refused, as runPath
// itself is when it does (SPEC 1, ST-15); the folder may be a link.
func (m *Manager) executable(p plugin.Plugin) (string, error) {
	if err := plugin.CheckName(p.Name); err != nil {
		return "", err
	}
	if err := plugin.CheckName(p.Version); err != nil {
		return "", fmt.Errorf("version: %w", err)
	}
	if err := plugin.CheckRunPath(p.RunPath); err != nil {
		return "", err
	}
	dir := m.dir(p.Name, p.Version)
	root, err := os.OpenRoot(dir)
	if err == nil {
		defer root.Close()
		_, err = root.Stat(p.RunPath)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errMissing
	case err != nil:
		return "", fmt.Errorf("look for executable: %w", err)
	}
	return filepath.Join(dir, p.RunPath), nil
}

func (m *Manager) logFor(p plugin.Plugin) logrus.FieldLogger {
	return m.log.WithFields(logrus.Fields{"plugin": p.Name, "version": p.Version})
}
