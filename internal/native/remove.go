package native

import (
	"context"
	"fmt"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// remove removes a plugin from the host (CL-10): `--stop`, `--uninstall`, the
// record, the folders. The caller holds the name lock exclusively. A plugin that does
// not stop, or whose `--uninstall` fails, stays and is started again, and so does
// one that an operator interrupts before `--uninstall` has run (UP-12). A missing
// executable does not prevent the removal. Once the record says removed it is
// done: a folder that cannot be deleted is a note of the result (EV-32).
func (m *Manager) remove(ctx context.Context, c permittedChange) plugin.ChangeResult {
	u := upgrade{permittedChange: c}
	var err error
	if u.old, u.installed, err = m.registry.Find(ctx, c.Name); err != nil {
		return u.refusedResult(err)
	}
	if !u.installed {
		return u.refusedResult(fmt.Errorf("remove %s: %w", c.Name, registry.ErrNotInstalled))
	}
	result := u.refusedResult(nil)
	p := u.old.Plugin()
	if result.Outcome = m.stopAndUninstall(ctx, p, c.interrupt); result.Err != nil {
		result.Status = m.startAgain(ctx, p, c.interrupt)
		return result
	}
	if err := m.registry.MarkRemoved(ctx, p.Name); err != nil {
		result.Outcome = failedOutcome(plugin.VerbUninstall, err)
		result.Status = m.startAgain(ctx, p, c.interrupt)
		return result
	}
	result.Plugin.Removed, result.Status = true, plugin.StatusRemoved
	if p.AddSysTag {
		result.SysTag = plugin.SysTagRemove
	}
	if err := m.changes.RemoveHistory(p.Name); err != nil {
		m.log.WithError(err).WithField("plugin", p.Name).Warn("Cannot remove the version history of a removed plugin")
	}
	if err := m.folders.remove(layout.Plugin(m.root, p.Name)); err != nil {
		result.Note = err.Error()
	}
	return result
}

// startAgain starts a plugin that was not removed, unless an operator wants it
// stopped. It returns its status afterwards.
func (m *Manager) startAgain(ctx context.Context, p plugin.Plugin, i *interrupt) plugin.Status {
	if p.Type != plugin.Persist || ctx.Err() != nil {
		return plugin.StatusUnknown
	}
	if !i.leaveStopped() {
		m.ensureRunning(ctx, p)
	}
	return m.queryStatus(ctx, p)
}

// Uninstall stops a plugin and runs its `--uninstall`, for a program that keeps
// the record and the folders in its own way. Its processes may have been started
// by another program. The caller holds the name lock alone. Where the outcome has
// an Err, its Verb is `--stop` when the plugin may still run, and `--uninstall`
// when that failed.
func (m *Manager) Uninstall(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	if m.tracker != nil {
		m.tracker.Adopt(ctx, []plugin.WatchTarget{{Plugin: p}})
	}
	return m.stopAndUninstall(ctx, p, &interrupt{})
}

// stopAndUninstall runs `--stop`, waits until the plugin has stopped, and runs
// `--uninstall`. Where the executable is missing, it kills the processes.
func (m *Manager) stopAndUninstall(ctx context.Context, p plugin.Plugin, i *interrupt) plugin.Outcome {
	if _, err := m.findExecutable(p); hostfault.Is(err) {
		return failedOutcome(plugin.VerbStop, err)
	} else if err != nil {
		if err := m.killLeftovers(ctx, p); err != nil {
			return failedOutcome(plugin.VerbStop, err)
		}
		return plugin.Outcome{Verb: plugin.VerbUninstall}
	}
	if p.Type == plugin.Persist {
		if stopped := m.stopAndWait(ctx, p); stopped.Err != nil {
			stopped.Err = fmt.Errorf("--stop: %w", stopped.Err)
			return stopped
		}
		if i.isReceived() {
			return failedOutcome(plugin.VerbStop, plugin.ErrInterrupted)
		}
	}
	outcome := m.callVerbLogged(ctx, verbCall{plugin: p, verb: plugin.VerbUninstall})
	if outcome.Err != nil {
		outcome.Err = fmt.Errorf("--uninstall: %w", outcome.Err)
		return outcome
	}
	if err := m.killLeftovers(ctx, p); err != nil { // processes that --uninstall started
		return failedOutcome(plugin.VerbUninstall, err)
	}
	return outcome
}
