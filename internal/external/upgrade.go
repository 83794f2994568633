package external

import (
	"context"
	"fmt"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// Change runs the program to make a change, then checks the record and whether the
// plugin runs. It fails for unsupported changes, see Unsupported.
func (m *Manager) Change(ctx context.Context, c plugin.Change, _ plugin.ChangePermit) plugin.ChangeResult {
	defer m.Discard(c)
	err := m.Unsupported(c)
	switch {
	case err != nil:
		return plugin.FailedChange(err)
	case c.Kind == plugin.ChangeRemove:
		return m.removePlugin(ctx, c)
	default:
		return m.upgradePlugin(ctx, c)
	}
}

// upgradePlugin runs the program to fetch, install and upgrade to the wanted version,
// or to install the package that an operator named (UP-06). The program decides
// whether to do it, also for an older version (UP-08).
func (m *Manager) upgradePlugin(ctx context.Context, o plugin.Change) plugin.ChangeResult {
	u := plugin.ChangeResult{Outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, ExitCode: -1}}
	if u.Err = plugin.CheckName(o.Version); u.Err != nil {
		u.Err = fmt.Errorf("version: %w", u.Err)
		return u
	}
	what := []string{"-P", o.Name, "-n", o.Version}
	if o.Package != "" {
		s := m.staged.Get(o)
		if s == nil {
			u.Err = fmt.Errorf("package %s was not fetched", o.Package)
			return u
		}
		what, u.Verified, u.Package = []string{"--file", s.Archive()}, s.Verified, s.ID
	}
	before, had, err := m.registry.Find(ctx, o.Name)
	if err != nil {
		u.Err = err
		return u
	}
	u.Outcome = m.runAndLog(ctx, command{
		name: o.Name, version: o.Version, verb: plugin.VerbUpgrade, timeout: o.Timeout,
		args: append(append([]string{"--exec"}, what...), "-p", string(plugin.VerbUpgrade)),
	})
	if had {
		u.Plugin, u.Previous = before.Plugin(), before.Version
	}
	after, found, err := m.registry.Find(ctx, o.Name)
	switch {
	case err != nil:
		if u.Err == nil {
			u.Err = err
		}
		return u
	case !found:
		u.Plugin = plugin.Plugin{}
		if u.Err == nil {
			u.Err = fmt.Errorf("plugin manager exited 0, but no version is recorded")
		}
		return u
	}
	u.Plugin = after.Plugin()
	switch {
	case after.Version == o.Version:
		u.SysTag = sysTagChange(before, after)
	case u.Err == nil:
		u.Err = fmt.Errorf("plugin manager exited 0, but version %s is recorded", after.Version)
	}
	switch u.Plugin.Type {
	case plugin.Persist:
		u.Status = m.Check(ctx, u.Plugin).Status
	case plugin.Once:
		u.Status = plugin.StatusInstalled
	}
	return u
}

// sysTagChange returns the change of the host's tag when after replaces before (SPEC
// 3).
func sysTagChange(before, after record.Record) plugin.SysTag {
	switch {
	case after.AddSysTag:
		return plugin.SysTagAdd
	case before.AddSysTag:
		return plugin.SysTagRemove
	default:
		return plugin.SysTagNone
	}
}

// Unfinished returns nothing: the program finishes what it begins.
func (m *Manager) Unfinished() ([]plugin.Change, error) { return nil, nil }

// ListQuarantined returns nothing: the program refuses no version for a while.
func (m *Manager) ListQuarantined() ([]plugin.QuarantinedVersion, error) { return nil, nil }

// Problems returns nothing: the external program removes folders and takes locks.
func (m *Manager) Problems() []plugin.Problem { return nil }

// CleanUp does nothing.
func (m *Manager) CleanUp(context.Context) error { return nil }

// ConfirmStart runs `--status` of a started plugin once (RS-06): its processes are
// unknown, so a second run would show nothing more.
func (m *Manager) ConfirmStart(ctx context.Context, p plugin.Plugin) plugin.Probe {
	return m.Check(ctx, p)
}
