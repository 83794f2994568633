package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// remove stops and uninstalls a plugin, marks its record and deletes its folder
// (CL-10). A plugin that refuses by --uninstall keeps everything and is started
// again; one whose executable is missing cannot refuse.
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

// uninstall runs --stop, whose failure stops nothing, and --uninstall, whose
// failure is a veto. That what they said could not be printed changes nothing of
// that, and is told apart.
func (m *manager) uninstall(ctx context.Context, p plugin.Plugin) (unprinted, veto error) {
	for _, v := range []plugin.Verb{plugin.VerbStop, plugin.VerbUninstall} {
		r := m.command(ctx, p, m.dir(p.Name, p.Version), "", []string{string(v)})
		if _, err := io.WriteString(m.stdout, r.Output); err != nil {
			unprinted = fmt.Errorf("print what %s said: %w", p.Name, err)
		}
		if r.Err == nil || !r.Started && errors.Is(r.Err, fs.ErrNotExist) {
			continue
		}
		fmt.Fprintf(m.stderr, "acs-plugin-manager: %s %s: %v\n", p.Name, v, r.Err)
		if v == plugin.VerbUninstall {
			again := m.command(context.WithoutCancel(ctx), p, m.dir(p.Name, p.Version), "", []string{string(plugin.VerbStart)})
			if again.Err != nil {
				fmt.Fprintf(m.stderr, "acs-plugin-manager: start %s again: %v\n", p.Name, again.Err)
			}
			return unprinted, ended(p, r)
		}
	}
	return unprinted, nil
}
