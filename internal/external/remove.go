package external

import (
	"context"
	"errors"
	"fmt"

	"pluginsupervisor/internal/verb"
	"pluginsupervisor/plugin"
)

// remove has the program take a plugin off the host (CL-10): `--stop`,
// `--uninstall`, the record, the folder. What is recorded afterwards decides.
func (m *Manager) remove(ctx context.Context, c plugin.Change) plugin.ChangeResult {
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
	const verbs = 2 // with the plugin's deadline each
	u.Outcome = m.do(ctx, order{
		name: c.Name, version: before.Version, verb: plugin.VerbUninstall, timeout: verbs * verb.Deadline(u.Plugin),
		args: []string{"--remove", "-P", c.Name},
	})
	_, stays, err := m.registry.Find(ctx, c.Name)
	switch {
	case err != nil:
		u.Err = errors.Join(u.Err, err)
	case stays:
		if u.Err == nil {
			u.Err = errors.New("plugin manager exited 0, and the plugin is still recorded")
		}
		if u.Plugin.Type == plugin.Persist {
			u.Status = m.Check(ctx, u.Plugin).Status
		}
	default:
		if u.Err != nil { // the files, perhaps
			u.Note, u.Err = u.Err.Error(), nil
		}
		u.Plugin.Removed, u.Status = true, plugin.StatusRemoved
		if before.AddSysTag {
			u.SysTag = plugin.SysTagRemove
		}
	}
	return u
}
