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

// remove stops and uninstalls a plugin, marks its record and deletes its folder
// (CL-10). A plugin that does not stop keeps everything, and so does one that
// refuses by --uninstall, which is started again; one whose executable is missing
// cannot refuse.
func (m *manager) remove(ctx context.Context) error {
	name := m.o.plugin
	if err := plugin.CheckName(name); err != nil {
		return fail(exitNotFound, "plugin %q: %w", name, err)
	}
	if _, err := m.find(ctx, name); err != nil {
		return err
	}
	release, err := m.lock(ctx, lock.Exclusive, layout.NameLock(m.cfg.Root, name))
	if err != nil {
		return err
	}
	defer release()
	r, err := m.find(ctx, name) // again: it may have changed while we waited
	if err == nil {
		err = m.mayChange(name)
	}
	if err != nil {
		return err
	}
	p := r.Plugin()
	if p.Type == plugin.Persist {
		if err := m.uninstall(ctx, p, r.Timeout); err != nil {
			return err
		}
	}
	if err := m.registry.MarkRemoved(ctx, name); errors.Is(err, registry.ErrNotInstalled) {
		return fail(exitNotFound, "remove %s: %w", name, err)
	} else if err != nil {
		return fail(exitDatabaseWrite, "record the removal of %s: %w", name, err)
	}
	tag := plugin.SysTagNone
	if p.AddSysTag {
		tag = plugin.SysTagRemove
	}
	m.report(ctx, p, plugin.StatusRemoved, tag)
	if err := os.RemoveAll(layout.Plugin(m.cfg.Root, name)); err != nil {
		return fail(exitRemoveFiles, "remove files of %s: %w", name, err)
	}
	fmt.Fprintf(m.stderr, "RemovePlugin success, plugin[%s]\n", name)
	return nil
}

// find returns the record of the installed plugin of that name.
func (m *manager) find(ctx context.Context, name string) (record.Record, error) {
	r, ok, err := m.registry.Find(ctx, name)
	switch {
	case err != nil:
		return r, fail(exitDatabaseRead, "read plugin database: %w", err)
	case !ok:
		return r, fail(exitNotFound, "plugin %s not found in installed_plugins", name)
	}
	return r, nil
}

// uninstall stops a plugin, waits until it is gone, and has it uninstall itself.
// The error is why it stays.
func (m *manager) uninstall(ctx context.Context, p plugin.Plugin, timeout string) (err error) {
	tracker, err := process.NewTracker(process.TrackerOptions{Plugins: layout.Plugins(m.cfg.Root), Log: m.log})
	if err != nil {
		return fail(exitRemoveFiles, "find what runs of %s: %w", p.Name, err)
	}
	defer func() { err = errors.Join(err, tracker.Close()) }()
	u := &uninstaller{verbs: m.caller(timeout), status: asker{m.runner, statusLimit}}
	outcome := m.native(u, tracker).Uninstall(ctx, p)
	switch {
	case outcome.Err == nil:
		return nil
	case outcome.Verb == plugin.VerbStop && ctx.Err() == nil:
		return fail(exitRemoveFiles, "%s is not removed, it does not stop: %w", p.Name, outcome.Err)
	}
	again := m.native(m.runner, nil).Run(context.WithoutCancel(ctx), native.Run{Plugin: p, Args: []string{string(plugin.VerbStart)}})
	if again.Err != nil {
		m.say("start %s again: %v", p.Name, again.Err)
	}
	m.say("%s is not removed: %v", p.Name, outcome.Err)
	if u.last.Err == nil { // it agreed, and left something that cannot be killed
		return fail(exitRemoveFiles, "%s is not removed: %w", p.Name, outcome.Err)
	}
	return ended(p, u.last)
}

// uninstaller runs what a removal runs, and keeps how the last verb ended.
type uninstaller struct {
	verbs  caller
	status asker
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
