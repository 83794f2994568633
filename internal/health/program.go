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
	account, _ := s.Account() // the shim names the mistake
	c := checkCommand{
		runner: ps.runner, plugin: p.Name, shim: filepath.Join(dir, p.RunPath),
		env: append(s.BuildEnvironment(os.Environ(), dir, "", account), service.CheckVariable+"=1"),
	}
	h := s.Health
	return loaded{
		interval: h.Interval, timeout: h.Timeout, failures: h.Failures,
		run: func(ctx context.Context) error { return h.Run(ctx, h.Timeout, c.run) },
	}, nil
}

// checkCommand runs the command of a check.
type checkCommand struct {
	runner Runner
	plugin string
	shim   string // path of the shim
	env    []string
}

// run runs the command in the cgroup leaf of the plugin's probes. The shim becomes the
// command, so that one place sets its user and working directory.
func (c checkCommand) run(ctx context.Context, words []string) error {
	r := c.runner.Run(ctx, process.Command{Path: c.shim, Args: append([]string{service.RunAs}, words...), Env: c.env, Plugin: c.plugin})
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
