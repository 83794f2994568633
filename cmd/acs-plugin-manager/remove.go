package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/process"
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
	p, err := m.find(ctx, name) // again: it may have changed while we waited
	if err == nil {
		err = m.mayChange(name)
	}
	if err != nil {
		return err
	}
	var unprinted error
	if p.Type == plugin.Persist {
		if unprinted, err = m.uninstall(ctx, p); err != nil {
			return errors.Join(err, unprinted)
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
	return unprinted
}

// find is the installed plugin of that name.
func (m *manager) find(ctx context.Context, name string) (plugin.Plugin, error) {
	r, ok, err := m.registry.Find(ctx, name)
	switch {
	case err != nil:
		return plugin.Plugin{}, fail(exitDatabaseRead, "read plugin database: %w", err)
	case !ok:
		return plugin.Plugin{}, fail(exitNotFound, "plugin %s not found in installed_plugins", name)
	}
	return r.Plugin(), nil
}

// uninstall stops a plugin, waits until it is gone, and has it uninstall itself.
// kept is why the plugin stays. That what it printed could not be printed changes
// nothing of that, and is returned apart.
func (m *manager) uninstall(ctx context.Context, p plugin.Plugin) (unprinted, kept error) {
	tracker, err := process.NewTracker(process.TrackerOptions{Plugins: layout.Plugins(m.cfg.Root), Log: m.log})
	if err != nil {
		return nil, fail(exitRemoveFiles, "find what runs of %s: %w", p.Name, err)
	}
	defer func() { unprinted = errors.Join(unprinted, tracker.Close()) }()
	r := &printing{caller: caller{m.runner, m.o.timeout}, stdout: m.stdout, stderr: m.stderr}
	outcome := m.native(r, tracker).Uninstall(ctx, p)
	switch {
	case outcome.Err == nil:
		return r.unprinted, nil
	case outcome.Verb == plugin.VerbStop && ctx.Err() == nil:
		return r.unprinted, fail(exitRemoveFiles, "%s is not removed, it does not stop: %w", p.Name, outcome.Err)
	}
	again := m.command(context.WithoutCancel(ctx), p, "", "", string(plugin.VerbStart))
	if again.Err != nil {
		fmt.Fprintf(m.stderr, "acs-plugin-manager: start %s again: %v\n", p.Name, again.Err)
	}
	if r.last.Err == nil { // it agreed, and left something that cannot be killed
		return r.unprinted, fail(exitRemoveFiles, "%s is not removed: %w", p.Name, outcome.Err)
	}
	return r.unprinted, ended(p, r.last)
}
