package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// remove takes a plugin off the host (CL-10): `--stop`, `--uninstall`, the
// record, the folders. A plugin that does not stop, or whose `--uninstall`
// refuses, stays and is started again; that its executable is missing does not
// keep it. Once the record says removed it is: folders that could not be
// deleted are only warned of.
func (m *Manager) remove(ctx context.Context, o plugin.Change) plugin.Changed {
	u := upgrade{offer: o}
	if err := plugin.CheckName(o.Name); err != nil {
		return u.refuse(err)
	}
	release, _, err := m.lock(ctx, o.Name, lock.Exclusive)
	if err != nil {
		return u.refuse(err)
	}
	defer release()
	m.finish(ctx, o.Name)
	if u.old, u.had, err = m.registry.Find(ctx, o.Name); err != nil {
		return u.refuse(err)
	}
	if !u.had {
		return u.refuse(fmt.Errorf("remove %s: %w", o.Name, registry.ErrNotInstalled))
	}
	result := u.refuse(nil)
	p := u.old.Plugin()
	if result.Outcome = m.farewell(ctx, p); result.Err != nil {
		if p.Type == plugin.Persist && ctx.Err() == nil {
			_, result.Status = m.bringUp(ctx, p)
		}
		return result
	}
	if err := m.registry.MarkRemoved(ctx, p.Name); err != nil {
		result.Outcome = failed(plugin.VerbUninstall, err)
		if p.Type == plugin.Persist {
			_, result.Status = m.bringUp(ctx, p)
		}
		return result
	}
	result.Plugin.Removed, result.Status = true, plugin.StatusRemoved
	if p.AddSysTag {
		result.SysTag = plugin.SysTagRemove
	}
	m.discard(filepath.Join(m.root, "plugin", p.Name))
	return result
}

// farewell has a plugin end, and tidy up after itself.
func (m *Manager) farewell(ctx context.Context, p plugin.Plugin) plugin.Outcome {
	if _, err := m.executable(p); err != nil {
		if err := m.clear(ctx, p); err != nil {
			return failed(plugin.VerbStop, err)
		}
		return plugin.Outcome{Verb: plugin.VerbUninstall}
	}
	if p.Type == plugin.Persist {
		if stopped := m.end(ctx, p); stopped.Err != nil {
			stopped.Err = fmt.Errorf("--stop: %w", stopped.Err)
			return stopped
		}
	}
	outcome := m.do(ctx, order{plugin: p, verb: plugin.VerbUninstall})
	if outcome.Err != nil {
		outcome.Err = fmt.Errorf("--uninstall: %w", outcome.Err)
		return outcome
	}
	if err := m.clear(ctx, p); err != nil { // what it began while tidying up
		return failed(plugin.VerbUninstall, err)
	}
	return outcome
}

// discard removes a folder of a plugin. What is half removed has another name
// and is no plugin and no version any more.
func (m *Manager) discard(dir string) {
	aside := filepath.Join(filepath.Dir(dir), ".removed-"+filepath.Base(dir))
	err := os.RemoveAll(aside)
	if err == nil {
		if err = os.Rename(dir, aside); errors.Is(err, os.ErrNotExist) {
			return
		}
	}
	if err == nil {
		m.reached("removed half")
		err = os.RemoveAll(aside)
	}
	if err != nil {
		m.log.WithError(err).WithField("folder", dir).Warn("Folder of a plugin cannot be removed")
	}
}

// before finds the version an operator wants back: the newest that is unpacked
// beside the recorded one, of those before it if there are any (UP-08).
func (m *Manager) before(ctx context.Context, name string) (version string, err error) {
	current, found, err := m.registry.Find(ctx, name)
	if err != nil {
		return "", err
	}
	if !found {
		return "", fmt.Errorf("roll back %s: %w", name, registry.ErrNotInstalled)
	}
	entries, err := os.ReadDir(filepath.Join(m.root, "plugin", name))
	if err != nil {
		return "", fmt.Errorf("look for older versions: %w", err)
	}
	older := func(v string) bool { return plugin.CompareVersions(v, current.Version) < 0 }
	for _, e := range entries {
		v := e.Name()
		if !e.IsDir() || v == current.Version || plugin.CheckName(v) != nil {
			continue
		}
		if _, err := registry.ReadPackageConfig(m.dir(name, v)); err != nil {
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
