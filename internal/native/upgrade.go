package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// upgradeTo makes another version the one that is recorded and runs, or leaves
// all as it was (UP-06, UP-08). It is a transaction, see change: whatever
// cuts it short, a later call about the plugin finishes or undoes it. One that
// an earlier process left is brought to its end first, also when the offer
// then turns out to be none.
func (m *Manager) upgradeTo(ctx context.Context, o plugin.Change) plugin.Changed {
	u := m.fulfil(ctx, o)
	u.Plugin = m.withOrigin(u.Plugin)
	return u
}

func (m *Manager) fulfil(ctx context.Context, o plugin.Change) plugin.Changed {
	switch {
	case o.Kind == plugin.ChangeResume:
		return m.resume(ctx, o)
	case o.Kind == plugin.ChangeRemove:
		return m.remove(ctx, o)
	case o.Kind == plugin.ChangeRollback:
		return m.rollBack(ctx, o)
	}
	u, err := m.admit(ctx, o)
	if err != nil {
		return u.refuse(err)
	}
	var staged *install.Staged
	if m.packages != nil && (o.Package != "" || !isFolder(m.dir(o.Name, o.Version))) {
		if staged, err = m.packages.Stage(ctx, o); err != nil { // before the lock: it may take long, and touches nothing
			return u.refuse(err)
		}
		defer func() {
			if err := staged.Discard(); err != nil {
				m.log.WithError(err).WithField("plugin", o.Name).Warn("Staging folder cannot be removed")
			}
		}()
	}
	release, _, err := m.lock(ctx, o.Name, lock.Exclusive)
	if err != nil {
		return u.refuse(err)
	}
	defer release()
	if left, found := m.finish(ctx, o.Name); found && left.Err != nil {
		m.log.WithError(left.Err).WithField("plugin", o.Name).Warn("Upgrade that was cut short did not end well")
	}
	if u, err = m.plan(ctx, o, staged); err != nil { // what was admitted may have changed
		return u.refuse(err)
	}
	return m.reported(m.carryOut(ctx, u))
}

// rollBack makes the version before the recorded one, and keeps the control
// plane from offering the present one again for a while.
func (m *Manager) rollBack(ctx context.Context, o plugin.Change) plugin.Changed {
	var err error
	if err = plugin.CheckName(o.Name); err == nil {
		o.Version, err = m.before(ctx, o.Name)
	}
	if err != nil {
		return upgrade{offer: o}.refuse(err)
	}
	o.Kind, o.Origin = plugin.ChangeUpgrade, plugin.FromOperator
	result := m.fulfil(ctx, o)
	if result.Err == nil && m.quarantine > 0 {
		err := m.changes.Ban(plugin.Ban{
			Name: o.Name, Version: result.Previous, Until: time.Now().Add(m.quarantine), Cause: "rolled back by an operator",
		})
		if err != nil {
			m.log.WithError(err).WithField("plugin", o.Name).Warn("The version that was rolled back may be offered again")
		}
	}
	return result
}

// resume brings an upgrade that was cut short to its end.
func (m *Manager) resume(ctx context.Context, o plugin.Change) plugin.Changed {
	if err := plugin.CheckName(o.Name); err != nil {
		return upgrade{offer: o}.refuse(err)
	}
	release, _, err := m.lock(ctx, o.Name, lock.Exclusive)
	if err != nil {
		return upgrade{offer: o}.refuse(err)
	}
	defer release()
	left, found := m.finish(ctx, o.Name)
	if !found { // somebody else did
		r, _, err := m.registry.Find(ctx, o.Name)
		return plugin.Changed{Plugin: r.Plugin(), Outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, Err: err}}
	}
	return m.reported(left)
}

// reported adds to a result what runs now.
func (m *Manager) reported(u plugin.Changed) plugin.Changed {
	u.Outcome = m.running(u.Plugin, u.Outcome)
	return u
}

// Unfinished are the upgrades that an earlier process left, as offers to
// resume. The error names those that cannot be read.
func (m *Manager) Unfinished() ([]plugin.Change, error) {
	pending, err := m.changes.Pending()
	var offers []plugin.Change
	for _, t := range pending {
		offers = append(offers, plugin.Change{Name: t.Name, Version: t.To.Version, Kind: plugin.ChangeResume, Origin: plugin.FromRecovery})
	}
	return offers, err
}

// upgrade is what an offer comes to on this host.
type upgrade struct {
	offer plugin.Change
	old   registry.Record // the record before; the zero value if there is none
	had   bool            // there is one
	next  registry.Record
	// staged is the package of next; nil: it is in its place already.
	staged *install.Staged
}

// admit refuses what may not be done.
func (m *Manager) admit(ctx context.Context, o plugin.Change) (u upgrade, err error) {
	u.offer = o
	if err := plugin.CheckName(o.Name); err != nil {
		return u, err
	}
	if err := plugin.CheckName(o.Version); err != nil {
		return u, fmt.Errorf("version: %w", err)
	}
	if u.old, u.had, err = m.registry.Find(ctx, o.Name); err != nil {
		return u, err
	}
	if u.had && !m.downgrade && plugin.CompareVersions(o.Version, u.old.Version) <= 0 {
		return u, fmt.Errorf("version %s is not newer than the installed %s, and upgrade.allow_downgrade is off", o.Version, u.old.Version)
	}
	if ban, banned := m.changes.Banned(o.Name, o.Version, time.Now(), m.quarantine); banned && !o.ByOperator() {
		return u, ban
	}
	return u, nil
}

// plan looks what there is to do, and refuses what may not or cannot be done.
func (m *Manager) plan(ctx context.Context, o plugin.Change, staged *install.Staged) (u upgrade, err error) {
	if u, err = m.admit(ctx, o); err != nil {
		return u, err
	}
	var config registry.PackageConfig
	if u.staged = staged; staged != nil {
		config = staged.Config
	} else {
		config, err = registry.ReadPackageConfig(m.dir(o.Name, o.Version))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return u, fmt.Errorf("version %s is not unpacked on this host: %w", o.Version, err)
	case err != nil:
		return u, err
	case config.Name != o.Name || config.Version != o.Version:
		return u, fmt.Errorf("package is %s %s, not %s %s", config.Name, config.Version, o.Name, o.Version)
	}
	if err := config.Accepted(m.os, m.arch); err != nil {
		return u, err
	}
	u.next = config.Record()
	u.next.PluginID, u.next.IsPreInstalled = u.old.PluginID, u.old.IsPreInstalled // a package does not tell
	if staged == nil {
		if _, err = m.executable(u.next.Plugin()); err != nil {
			return u, err
		}
	}
	if o.ByOperator() { // not before it is sure that it can be tried
		err = m.changes.Lift(o.Name, o.Version)
	}
	return u, err
}

// refuse is the result when nothing was touched.
func (u upgrade) refuse(err error) plugin.Changed {
	r := plugin.Changed{Previous: u.old.Version, Outcome: failed(plugin.VerbUpgrade, err)}
	if u.had {
		r.Plugin = u.old.Plugin()
	}
	return r
}

// carryOut does what was planned.
func (m *Manager) carryOut(ctx context.Context, u upgrade) plugin.Changed {
	t := transaction.Transaction{Name: u.offer.Name, To: u.next, Began: time.Now()}
	if u.had {
		t.From = &u.old
	}
	c := m.change(t)
	c.staged = u.staged
	if u.offer.Timeout > 0 {
		c.timeout = u.offer.Timeout
	}
	c.carryOut(ctx)
	return c.result
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Fetch implements actors.Manager.
func (m *Manager) Fetch(context.Context, plugin.Change) error { return nil }

// Discard implements actors.Manager.
func (m *Manager) Discard(plugin.Change) {}

// Change implements actors.Manager.
func (m *Manager) Change(ctx context.Context, c plugin.Change, _ plugin.Permit) plugin.Changed {
	return m.upgradeTo(ctx, c)
}

// ConfirmStart implements actors.Manager.
func (m *Manager) ConfirmStart(ctx context.Context, p plugin.Plugin) plugin.Probe {
	return m.Check(ctx, p)
}
