package health

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/plugin"
)

// programs reads how the programs of plugins are checked.
type programs struct {
	root   string
	runner Runner
}

// load reads the service.yaml of a plugin.
func (ps programs) load(p plugin.Plugin) (loaded, error) {
	dir := layout.Version(ps.root, p.Name, p.Version)
	s, err := service.Read(dir)
	if err != nil || !s.Health.IsSet() {
		return loaded{}, err
	}
	run := NewCommandRunner(ps.runner, p, dir, s)
	h := s.Health
	return loaded{
		interval: h.Interval, timeout: h.Timeout, failures: h.Failures,
		run: func(ctx context.Context) error { return h.Run(ctx, h.Timeout, run) },
	}, nil
}

// NewCommandRunner returns a function that runs the commands of the checks of a plugin, in
// the version folder dir, with that service.yaml. They run in the cgroup leaf of the
// plugin's probes. The shim becomes the command, so that one place sets its user and
// working directory.
func NewCommandRunner(runner Runner, p plugin.Plugin, dir string, s service.Service) service.Runner {
	account, _ := s.Account() // the shim names the mistake
	shim := filepath.Join(dir, p.RunPath)
	env := append(s.BuildEnvironment(os.Environ(), dir, "", account), service.CheckVariable+"=1")
	return func(ctx context.Context, words []string) error {
		r := runner.Run(ctx, process.Command{Path: shim, Args: append([]string{service.RunAs}, words...), Env: env, Plugin: p.Name})
		return commandError(r)
	}
}

// commandError returns why the command of a check failed, or nil.
func commandError(r process.Result) error {
	switch {
	case r.Err == nil:
		return nil
	case !r.Started && hostfault.Is(r.Err):
		return hostfault.New(r.Err.Error(), r.Err)
	case r.Started && !r.Cancelled:
		cause := r.Err.Error()
		if line := service.LastLine(r.Output); line != "" {
			cause += ": " + line
		}
		return errors.New(cause)
	default:
		return r.Err
	}
}
