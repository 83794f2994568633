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

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// verbCall is one verb of one plugin.
type verbCall struct {
	plugin   plugin.Plugin
	verb     plugin.Verb
	previous string        // folder of the version before, in an upgrade
	timeout  time.Duration // not positive: the plugin's own
}

// callVerb carries an order out. What keeps it from beginning is a Result with Err alone.
func (m *Manager) callVerb(ctx context.Context, o verbCall) process.Result {
	return m.Run(ctx, Run{Plugin: o.plugin, Args: []string{string(o.verb)}, Previous: o.previous, Timeout: o.timeout})
}

// Run is one run of a plugin's executable.
type Run struct {
	Plugin   plugin.Plugin
	Args     []string
	Folder   string        // of the package; "": where the version is installed
	Previous string        // folder of the version before, in an upgrade
	Timeout  time.Duration // not positive: the plugin's own
}

// Run runs a plugin's executable, without any lock. What keeps it from beginning
// is a Result with Err alone.
func (m *Manager) Run(ctx context.Context, r Run) process.Result {
	p := r.Plugin
	if r.Folder == "" {
		r.Folder = m.versionFolder(p.Name, p.Version)
	}
	path, err := findExecutableIn(r.Folder, p)
	if err != nil {
		return process.Result{ExitCode: -1, Err: err}
	}
	c := process.Command{
		Path: path, Args: r.Args, Timeout: r.Timeout,
		Env: slices.Concat(m.env, process.PluginEnv(r.Folder, r.Previous)),
	}
	if !p.Duplicate {
		c.Plugin = p.Name
	}
	if c.Timeout <= 0 {
		c.Timeout = verb.Deadline(p)
	}
	if len(r.Args) == 1 && plugin.Verb(r.Args[0]).MayLeaveDaemon() {
		c.Daemon, c.Log = true, layout.Log(m.root, p.Name)
	}
	return m.runner.Run(ctx, c)
}

// callVerbLogged runs a verb that changes something. How it ended is logged for whoever
// follows the steps; what it means, the caller knows and says.
func (m *Manager) callVerbLogged(ctx context.Context, o verbCall) plugin.Outcome {
	if err := m.step.Before(string(o.verb) + " " + o.plugin.Version); err != nil {
		return failedOutcome(o.verb, err)
	}
	r := m.callVerb(ctx, o)
	outcome := verb.Outcome(o.verb, r)
	m.logFor(o.plugin).WithFields(logrus.Fields{
		"verb": string(o.verb), "took": r.Took.Round(time.Millisecond).String(), "cause": outcome.Cause(),
	}).Debug("Verb ended")
	return outcome
}

// missingError says what the runner would say too. It is fs.ErrNotExist.
type missingError struct{}

func (missingError) Error() string        { return "executable missing" }
func (missingError) Is(target error) bool { return target == fs.ErrNotExist }

// findExecutable returns the path of an installed plugin's executable.
func (m *Manager) findExecutable(p plugin.Plugin) (string, error) {
	return findExecutableIn(m.versionFolder(p.Name, p.Version), p)
}

// findExecutableIn returns the path of a plugin's executable, if there is one inside
// the folder. A symbolic link that leads out of the folder is refused, as runPath
// itself is when it does (SPEC 1, ST-15); the folder may be a link.
func findExecutableIn(dir string, p plugin.Plugin) (string, error) {
	if err := plugin.CheckName(p.Name); err != nil {
		return "", err
	}
	if err := plugin.CheckName(p.Version); err != nil {
		return "", fmt.Errorf("version: %w", err)
	}
	if err := plugin.CheckRunPath(p.RunPath); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err == nil {
		defer root.Close()
		_, err = root.Stat(p.RunPath)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", missingError{}
	case err != nil:
		return "", fmt.Errorf("look for executable: %w", err)
	}
	return filepath.Join(dir, p.RunPath), nil
}

func (m *Manager) logFor(p plugin.Plugin) logrus.FieldLogger {
	return m.log.WithFields(logrus.Fields{"plugin": p.Name, "version": p.Version})
}
