package external

import (
	"context"
	"errors"
	"fmt"

	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// removePlugin runs the program to remove a plugin (CL-10): `--stop`, `--uninstall`,
// the record, the folder. It succeeded if the plugin is no longer recorded.
func (m *Manager) removePlugin(ctx context.Context, c plugin.Change) plugin.ChangeResult {
	u := plugin.ChangeResult{Outcome: plugin.Outcome{Verb: plugin.VerbUninstall, ExitCode: -1}}
	before, had, err := m.registry.Find(ctx, c.Name)
	if err == nil && !had {
		err = fmt.Errorf("remove %s: %w", c.Name, plugin.ErrNoPlugin)
	}
	if err != nil {
		u.Err = err
		return u
	}
	u.Plugin, u.Previous = before.Plugin(), before.Version
	const verbs = 2 // each with the plugin's deadline
	u.Outcome = m.runAndLog(ctx, command{
		name: c.Name, version: before.Version, verb: plugin.VerbUninstall, timeout: verbs * verb.Deadline(u.Plugin),
		args: []string{"--remove", "-P", c.Name},
	})
	_, stays, err := m.registry.Find(ctx, c.Name)
	switch {
	case err != nil:
		u.Err = errors.Join(u.Err, err)
	case stays:
		if u.Err == nil {
			u.Err = errors.New("plugin manager exited 0, but the plugin is still recorded")
		}
		if u.Plugin.Type == plugin.Persist {
			u.Status = m.Check(ctx, u.Plugin).Status
		}
	default:
		if u.Err != nil { // such as files that cannot be removed
			u.Note, u.Err = u.Err.Error(), nil
		}
		u.Plugin.Removed, u.Status = true, plugin.StatusRemoved
		if before.AddSysTag {
			u.SysTag = plugin.SysTagRemove
		}
	}
	return u
}
