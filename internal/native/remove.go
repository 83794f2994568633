package native

import (
	"context"
	"fmt"
	"os"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// remove takes a plugin off the host (CL-10): `--stop`, `--uninstall`, the
// record, the folders. Called with the name lock held exclusively. A plugin that does
// not stop, or whose `--uninstall` refuses, stays and is started again, and so
// does one that an operator wants before `--uninstall` has run (UP-12); that its
// executable is missing does not keep it. Once the record says removed it is:
// that a folder could not be deleted is a note of the result (EV-32).
func (m *Manager) remove(ctx context.Context, g permittedChange) plugin.ChangeResult {
	u := upgrade{permittedChange: g}
	var err error
	if u.old, u.installed, err = m.registry.Find(ctx, g.Name); err != nil {
		return u.refusedResult(err)
	}
	if !u.installed {
		return u.refusedResult(fmt.Errorf("remove %s: %w", g.Name, registry.ErrNotInstalled))
	}
	result := u.refusedResult(nil)
	p := u.old.Plugin()
	if result.Outcome = m.stopAndUninstall(ctx, p, g.interrupt); result.Err != nil {
		result.Status = m.startAgain(ctx, p, g.interrupt)
		return result
	}
	if err := m.registry.MarkRemoved(ctx, p.Name); err != nil {
		result.Outcome = failedOutcome(plugin.VerbUninstall, err)
		result.Status = m.startAgain(ctx, p, g.interrupt)
		return result
	}
	result.Plugin.Removed, result.Status = true, plugin.StatusRemoved
	if p.AddSysTag {
		result.SysTag = plugin.SysTagRemove
	}
	if err := m.changes.RemoveHistory(p.Name); err != nil {
		m.log.WithError(err).WithField("plugin", p.Name).Warn("History of a removed plugin cannot be removed")
	}
	if err := m.removeFolder(layout.Plugin(m.root, p.Name)); err != nil {
		result.Note = err.Error()
	}
	return result
}

// startAgain starts a plugin that is not removed after all, unless an operator
// wants it stopped, and returns how it is then.
func (m *Manager) startAgain(ctx context.Context, p plugin.Plugin, i *interrupt) plugin.Status {
	if p.Type != plugin.Persist || ctx.Err() != nil {
		return plugin.StatusUnknown
	}
	if !i.leaveStopped() {
		m.ensureRunning(ctx, p)
	}
	return m.queryStatus(ctx, p)
}

// Uninstall stops a plugin and has it uninstall itself, for a program that keeps
// the record and the folders in its own way. Its processes may have been started
// by another program. The caller holds the name lock alone. Where the outcome has
// an Err, its Verb is `--stop` when the plugin may still run, and `--uninstall`
// when it did not agree to be removed.
func (m *Manager) Uninstall(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	if m.tracker != nil {
		m.tracker.Adopt(ctx, []plugin.WatchTarget{{Plugin: p}})
	}
	return m.stopAndUninstall(ctx, p, &interrupt{})
}

// stopAndUninstall runs `--stop`, waits until the plugin is gone, and runs
// `--uninstall`. Where the executable is missing, what runs of it is killed.
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
	if err := m.killLeftovers(ctx, p); err != nil { // what it began while tidying up
		return failedOutcome(plugin.VerbUninstall, err)
	}
	return outcome
}

// findPrevious finds the version an operator wants back: the one that was installed
// before the recorded one (UP-15). Where that is not known or not there it is the
// newest that is unpacked, of those that are older if there are any (UP-08).
func (m *Manager) findPrevious(ctx context.Context, name string) (version string, err error) {
	current, found, err := m.registry.Find(ctx, name)
	if err != nil {
		return "", err
	}
	if !found {
		return "", fmt.Errorf("roll back %s: %w", name, registry.ErrNotInstalled)
	}
	if v := m.changes.PreviousVersion(name, current.Version); v != "" {
		if _, err := record.ReadPackageConfig(m.versionFolder(name, v)); err == nil {
			return v, nil
		}
	}
	entries, err := os.ReadDir(layout.Plugin(m.root, name))
	if err != nil {
		return "", fmt.Errorf("look for older versions: %w", err)
	}
	older := func(v string) bool { return plugin.CompareVersions(v, current.Version) < 0 }
	for _, e := range entries {
		v := e.Name()
		if !e.IsDir() || v == current.Version || plugin.CheckName(v) != nil {
			continue
		}
		if _, err := record.ReadPackageConfig(m.versionFolder(name, v)); err != nil {
			continue
		}
		if version == "" || older(v) && !older(version) || older(v) == older(version) && plugin.CompareVersions(v, version) > 0 {
			version = v
		}
	}
	if version == "" {
		return "", fmt.Errorf("no other version of %s than %s is on this host", name, current.Version)
	}
	return version, nil
}
