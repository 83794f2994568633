package native

import (
	"context"
	"errors"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// errNotInstalled says that the plugin was removed after the caller listed it (RS-09).
var errNotInstalled = errors.New("no longer installed")

// hold does work under the plugin's name lock, shared, on the plugin as it is
// recorded then. touched: another program may have worked on it since the
// caller looked.
func (m *Manager) hold(
	ctx context.Context, p plugin.Plugin, v plugin.Verb, work func(p plugin.Plugin, touched bool) plugin.Outcome,
) plugin.Outcome {
	settled, err := m.settle(ctx, p.Name)
	if err != nil {
		return failed(v, err)
	}
	release, waited, err := m.lock(ctx, p.Name, lock.SharedOr)
	if err != nil {
		return failed(v, err)
	}
	defer release()
	current, err := m.recorded(ctx, p)
	if err != nil {
		return failed(v, err)
	}
	return work(current, waited || current.Version != p.Version || settled)
}

// settle brings an upgrade of the plugin that was cut short to its end, which
// may start another version.
func (m *Manager) settle(ctx context.Context, name string) (settled bool, err error) {
	if err := plugin.CheckName(name); err != nil {
		return false, err
	}
	if _, found, err := m.changes.Find(name); err == nil && !found {
		return false, nil
	}
	release, _, err := m.lock(ctx, name, lock.ExclusiveOr)
	if err != nil {
		return false, err
	}
	defer release()
	if left, found := m.finish(ctx, name, &interrupt{}); found && ctx.Err() != nil {
		return false, left.Err
	}
	return true, nil
}

// recorded is the plugin as it is in the database now. A duplicate has no
// record that can be found by its name, and is taken as given.
func (m *Manager) recorded(ctx context.Context, p plugin.Plugin) (plugin.Plugin, error) {
	if p.Duplicate {
		return p, nil
	}
	record, found, err := m.registry.Find(ctx, p.Name)
	switch {
	case err != nil:
		return p, err
	case !found:
		return p, errNotInstalled
	}
	return record.Plugin(), nil
}

// lock takes a name lock, and says so once when it has to wait for it. Where its
// file cannot be made the plugin's folder stands in (EV-28).
func (m *Manager) lock(
	ctx context.Context, name string, how func(context.Context, string, string, func()) (func(), bool, error),
) (release func(), waited bool, err error) {
	if err := plugin.CheckName(name); err != nil {
		return nil, false, err
	}
	return how(ctx, layout.NameLock(m.root, name), layout.Plugin(m.root, name), func() {
		m.log.WithField("plugin", name).Info("Waiting for another program to let go of the plugin")
	})
}

// lockForChange takes the plugin's name lock alone. An interruption ends the
// wait for it, unless there is something to finish or undo.
func (m *Manager) lockForChange(ctx context.Context, g grant) (release func(), err error) {
	if g.Kind == plugin.ChangeResume {
		release, _, err = m.lock(ctx, g.Name, lock.ExclusiveOr)
		return release, err
	}
	waiting, stop := g.interrupt.context(ctx)
	release, _, err = m.lock(waiting, g.Name, lock.ExclusiveOr)
	stop()
	if err != nil && ctx.Err() == nil && g.interrupt.received() {
		err = plugin.ErrInterrupted
	}
	return release, err
}
