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

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// verbRunner runs the executables of plugins.
type verbRunner struct {
	root   string // BASE
	runner Runner
	env    []string       // the caller's, without the variables that each verb gets
	step   failpoint.Step // called before each step of a change; nil in production
	log    logrus.FieldLogger
}

// verbCall is one verb of one plugin.
type verbCall struct {
	plugin   plugin.Plugin
	verb     plugin.Verb
	previous string        // the old version's folder, in an upgrade
	timeout  time.Duration // not positive: the plugin's own
}

// callVerb runs a verb. Where it cannot be started, the Result has Err alone.
func (v *verbRunner) callVerb(ctx context.Context, c verbCall) process.Result {
	return v.Run(ctx, Run{Plugin: c.plugin, Args: []string{string(c.verb)}, Previous: c.previous, Timeout: c.timeout})
}

// Run is one run of a plugin's executable.
type Run struct {
	Plugin   plugin.Plugin
	Args     []string
	Folder   string        // of the package; "": of the installed version
	Previous string        // the old version's folder, in an upgrade
	Timeout  time.Duration // not positive: the plugin's own
}

// Run runs a plugin's executable, without any lock. Where it cannot be started,
// the Result has Err alone.
func (v *verbRunner) Run(ctx context.Context, r Run) process.Result {
	p := r.Plugin
	if r.Folder == "" {
		r.Folder = v.versionFolder(p.Name, p.Version)
	}
	path, err := findExecutableIn(r.Folder, p)
	if err != nil {
		return process.Result{ExitCode: -1, Err: err}
	}
	c := process.Command{
		Path: path, Args: r.Args, Timeout: r.Timeout,
		Env: slices.Concat(v.env, process.PluginEnv(r.Folder, r.Previous)),
	}
	if !p.Duplicate {
		c.Plugin = p.Name
	}
	if c.Timeout <= 0 {
		c.Timeout = verb.Deadline(p)
	}
	if len(r.Args) == 1 && plugin.Verb(r.Args[0]).MayLeaveDaemon() {
		c.Daemon, c.Log, c.LogEvent = true, layout.Log(v.root, p.Name), r.Args[0]+" of "+p.Version
	}
	return v.runner.Run(ctx, c)
}

// callVerbLogged runs a verb that changes something, and logs the outcome for
// debugging. The caller handles it.
func (v *verbRunner) callVerbLogged(ctx context.Context, c verbCall) plugin.Outcome {
	if err := v.step.Before(string(c.verb) + " " + c.plugin.Version); err != nil {
		return failedOutcome(c.verb, err)
	}
	r := v.callVerb(ctx, c)
	outcome := verb.Outcome(c.verb, r)
	logFor(v.log, c.plugin).WithFields(logrus.Fields{
		"verb": string(c.verb), "took": r.Took.Round(time.Millisecond).String(), "cause": outcome.Cause(),
	}).Debug("Verb finished")
	return outcome
}

// versionFolder returns the folder of one version of a plugin. The caller has
// checked name and version.
func (v *verbRunner) versionFolder(name, version string) string {
	return layout.Version(v.root, name, version)
}

// missingError has the words of the runner for a missing executable. It is
// fs.ErrNotExist.
type missingError struct{}

func (missingError) Error() string        { return "executable missing" }
func (missingError) Is(target error) bool { return target == fs.ErrNotExist }

// findExecutable returns the path of an installed plugin's executable.
func (v *verbRunner) findExecutable(p plugin.Plugin) (string, error) {
	return findExecutableIn(v.versionFolder(p.Name, p.Version), p)
}

// findExecutableIn returns the path of a plugin's executable in a folder, which
// may be a link. A runPath or a symbolic link that leads out of the folder is an
// error (SPEC 1, ST-15).
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
