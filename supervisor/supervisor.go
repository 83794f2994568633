package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"pluginsupervisor/plugin"
)

// ErrNotRunning is wrapped by the error of every request to a Supervisor that
// does not run: before it has started, and after it has stopped.
var ErrNotRunning = errors.New("the supervisor is not running")

// ErrAlreadyRun is returned by a second call of Run. A Supervisor runs once; to
// run again, make another one by New.
var ErrAlreadyRun = errors.New("run supervisor: Run was already called; make another one by New")

// Supervisor keeps the plugins of one root running. Its methods may be called
// by several goroutines at once.
type Supervisor struct {
	*options
	started chan struct{}

	mu    sync.Mutex
	phase string   // for errors: why it does not answer requests
	now   *running // nil unless it answers requests
}

// The phases of a Supervisor that does not answer requests.
const (
	phaseNew      = "Run was not called"
	phaseStarting = "it is still starting"
	phaseStopped  = "Run has returned"
)

// New returns a Supervisor that does nothing until Run is called. The error
// names every Option that is missing or wrong.
func New(list ...Option) (*Supervisor, error) {
	o, err := readOptions(list)
	if err != nil {
		return nil, fmt.Errorf("new supervisor: %w", err)
	}
	return &Supervisor{options: o, started: make(chan struct{}), phase: phaseNew}, nil
}

// Run runs the supervisor until ctx ends, which is no error, or until it cannot
// continue. It returns at most 10 s after ctx ends; plugins keep running. The error
// says why the supervisor could not start or stopped.
func (s *Supervisor) Run(ctx context.Context) error {
	if ctx == nil {
		return errors.New("run supervisor: the context is nil")
	}
	s.mu.Lock()
	used := s.phase != phaseNew
	if !used {
		s.phase = phaseStarting
	}
	s.mu.Unlock()
	if used {
		return ErrAlreadyRun
	}
	defer s.setRunning(nil, phaseStopped)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("run supervisor: canceled before the start: %w", err)
	}
	return s.assembleAndRun(ctx)
}

// Started returns a channel that is closed when the Supervisor has started and
// answers requests. It stays open when Run fails before that.
func (s *Supervisor) Started() <-chan struct{} { return s.started }

// setRunning sets the value that answers requests. With nil, requests fail with
// ErrNotRunning and the phase.
func (s *Supervisor) setRunning(r *running, phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.phase = r, phase
	if r != nil {
		close(s.started)
	}
}

// getRunning returns the value that answers requests, or ErrNotRunning.
func (s *Supervisor) getRunning(ctx context.Context) (*running, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ctx == nil:
		return nil, errors.New("the context is nil")
	case s.now == nil:
		return nil, fmt.Errorf("%w: %s", ErrNotRunning, s.phase)
	}
	return s.now, nil
}

// withRunning calls pass with the value that answers requests. what names the
// request in the error.
func (s *Supervisor) withRunning(ctx context.Context, what string, pass func(*running) error) error {
	r, err := s.getRunning(ctx)
	if err == nil {
		err = pass(r)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Status returns the state of the supervisor and of all its plugins.
func (s *Supervisor) Status(ctx context.Context) (status plugin.Snapshot, err error) {
	err = s.withRunning(ctx, "supervisor status", func(r *running) error { status, err = r.Status(ctx); return err })
	return status, err
}

// StartPlugin starts a plugin now, also one that was stopped. A nil error says
// that the request was accepted; Status and Follow show its result. The error wraps
// plugin.ErrNoPlugin if the plugin is not installed.
func (s *Supervisor) StartPlugin(ctx context.Context, name string) error {
	return s.withRunning(ctx, "start "+name, func(r *running) error { return r.StartPlugin(ctx, name) })
}

// ForceStartPlugin starts a plugin like StartPlugin, but does not wait for another
// program that holds the lock of the plugin (RS-11).
func (s *Supervisor) ForceStartPlugin(ctx context.Context, name string) error {
	return s.withRunning(ctx, "start "+name, func(r *running) error { return r.ForceStartPlugin(ctx, name) })
}

// StopPlugin stops a plugin, which then stays stopped until StartPlugin or
// RestartPlugin (EV-14). The error is as for StartPlugin.
func (s *Supervisor) StopPlugin(ctx context.Context, name string) error {
	return s.withRunning(ctx, "stop "+name, func(r *running) error { return r.StopPlugin(ctx, name) })
}

// RestartPlugin stops and starts a plugin. The error is as for StartPlugin.
func (s *Supervisor) RestartPlugin(ctx context.Context, name string) error {
	return s.withRunning(ctx, "restart "+name, func(r *running) error { return r.RestartPlugin(ctx, name) })
}

// InstallPlugin installs a version of a plugin, or switches an installed plugin
// to it. source is the path or URL of the package; "" stands for the package
// that the control plane lists, or the version that is on this host. The error
// is as for StartPlugin.
func (s *Supervisor) InstallPlugin(ctx context.Context, name, version, source string) error {
	return s.ChangePlugin(ctx, plugin.Change{
		Kind: plugin.ChangeInstall, Origin: plugin.FromOperator, Name: name, Version: version, Package: source,
	})
}

// UpgradePlugin changes a plugin to another version. The error is as for
// StartPlugin.
func (s *Supervisor) UpgradePlugin(ctx context.Context, name, version string) error {
	return s.ChangePlugin(ctx, plugin.Change{Origin: plugin.FromOperator, Name: name, Version: version})
}

// RollbackPlugin restores the previous version of a plugin. The error is as for
// StartPlugin.
func (s *Supervisor) RollbackPlugin(ctx context.Context, name string) error {
	return s.ChangePlugin(ctx, plugin.Change{Kind: plugin.ChangeRollback, Origin: plugin.FromOperator, Name: name})
}

// RemovePlugin removes a plugin from the host. The error is as for StartPlugin.
func (s *Supervisor) RemovePlugin(ctx context.Context, name string) error {
	return s.ChangePlugin(ctx, plugin.Change{Kind: plugin.ChangeRemove, Origin: plugin.FromOperator, Name: name})
}

// ChangePlugin requests a change of the installed version of a plugin. The error
// is as for StartPlugin.
func (s *Supervisor) ChangePlugin(ctx context.Context, c plugin.Change) error {
	return s.withRunning(ctx, "change "+c.Name, func(r *running) error { return r.ChangePlugin(ctx, c) })
}

// CancelChange cancels the current change of a plugin: a fetch is stopped, a switch
// is undone (UP-12). The error is as for StartPlugin.
func (s *Supervisor) CancelChange(ctx context.Context, name string) error {
	return s.withRunning(ctx, "cancel the change of "+name, func(r *running) error { return r.CancelChange(ctx, name) })
}

// CheckUpdates asks the control plane for updates now.
func (s *Supervisor) CheckUpdates(ctx context.Context) error {
	return s.withRunning(ctx, "check for updates", func(r *running) error { return r.CheckUpdates(ctx) })
}

// Follow calls each with every new entry of the event journal, until ctx ends,
// which is no error. each must not block.
func (s *Supervisor) Follow(ctx context.Context, each func(plugin.Entry)) error {
	return s.withRunning(ctx, "follow the events", func(r *running) error {
		if each == nil {
			return errors.New("the function is nil")
		}
		return r.Follow(ctx, each)
	})
}
