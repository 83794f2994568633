package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/native"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// removePlugin stops and uninstalls a plugin, marks its record and deletes its folder
// (CL-10). It removes nothing when the plugin does not stop, or when --uninstall fails;
// then it starts the plugin again. A missing executable does not prevent the removal.
func (m *manager) removePlugin(ctx context.Context) error {
	name := m.o.plugin
	if err := plugin.CheckName(name); err != nil {
		return failWith(exitNotFound, "plugin %q: %w", name, err)
	}
	if _, err := m.findRecord(ctx, name); err != nil {
		return err
	}
	release, err := m.acquireLock(ctx, lock.Exclusive, layout.NameLock(m.cfg.Root, name))
	if err != nil {
		return err
	}
	defer release()
	r, err := m.findRecord(ctx, name) // it may have changed during the wait
	if err == nil {
		err = m.checkNoUpgrade(name)
	}
	if err != nil {
		return err
	}
	p := r.Plugin()
	if p.Type == plugin.Persist {
		if err := m.uninstallPlugin(ctx, p, r.Timeout); err != nil {
			return err
		}
	}
	if err := m.registry.MarkRemoved(ctx, name); errors.Is(err, registry.ErrNotInstalled) {
		return failWith(exitNotFound, "remove %s: %w", name, err)
	} else if err != nil {
		return failWith(exitDatabaseWrite, "record the removal of %s: %w", name, err)
	}
	tag := plugin.SysTagNone
	if p.AddSysTag {
		tag = plugin.SysTagRemove
	}
	m.sendReport(ctx, p, plugin.StatusRemoved, tag)
	if err := os.RemoveAll(layout.Plugin(m.cfg.Root, name)); err != nil {
		return failWith(exitRemoveFiles, "remove files of %s: %w", name, err)
	}
	fmt.Fprintf(m.stderr, "RemovePlugin success, plugin[%s]\n", name)
	return nil
}

// findRecord returns the record of the installed plugin of that name.
func (m *manager) findRecord(ctx context.Context, name string) (record.Record, error) {
	r, ok, err := m.registry.Find(ctx, name)
	switch {
	case err != nil:
		return r, failWith(exitDatabaseRead, "read plugin database: %w", err)
	case !ok:
		return r, failWith(exitNotFound, "plugin %s not found in installed_plugins", name)
	}
	return r, nil
}

// uninstallPlugin runs --stop, waits until no process of the plugin is left, and runs
// --uninstall.
func (m *manager) uninstallPlugin(ctx context.Context, p plugin.Plugin, timeout string) (err error) {
	tracker, err := process.NewTracker(process.TrackerOptions{Plugins: layout.Plugins(m.cfg.Root), Log: m.log})
	if err != nil {
		return failWith(exitRemoveFiles, "find processes of %s: %w", p.Name, err)
	}
	defer func() { err = errors.Join(err, tracker.Close()) }()
	u := &uninstaller{verbs: m.newCallerRunner(timeout), status: statusRunner{m.runner, statusLimit}}
	outcome := m.newNative(u, tracker).Uninstall(ctx, p)
	switch {
	case outcome.Err == nil:
		return nil
	case outcome.Verb == plugin.VerbStop && ctx.Err() == nil:
		return failWith(exitRemoveFiles, "cannot remove %s, it does not stop: %w", p.Name, outcome.Err)
	}
	again := m.newNative(m.runner, nil).Run(context.WithoutCancel(ctx), native.Run{Plugin: p, Args: []string{string(plugin.VerbStart)}})
	if again.Err != nil {
		m.printLine("cannot start %s again: %v", p.Name, again.Err)
	}
	m.printLine("cannot remove %s: %v", p.Name, outcome.Err)
	if u.last.Err == nil { // --uninstall succeeded, but a process cannot be killed
		return failWith(exitRemoveFiles, "cannot remove %s: %w", p.Name, outcome.Err)
	}
	return resultError(p, u.last)
}

// uninstaller runs the verbs of a removal and holds the result of the last one.
type uninstaller struct {
	verbs  callerRunner
	status statusRunner
	last   process.Result
}

// Run implements native.Runner.
func (u *uninstaller) Run(ctx context.Context, cmd process.Command) process.Result {
	if cmd.Args[0] == string(plugin.VerbStatus) {
		return u.status.Run(ctx, cmd)
	}
	u.last = u.verbs.Run(ctx, cmd)
	return u.last
}
