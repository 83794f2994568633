package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// Change makes a change (UP-06, UP-08, CL-10), all of it under the plugin's
// name lock. It is a transaction, see type change: if it is interrupted, a later
// call for the plugin finishes or undoes it. One that an earlier process left is
// finished first, also when the change is then refused. Fetch must have fetched the
// package that the change needs.
func (m *Manager) Change(ctx context.Context, c plugin.Change, p plugin.ChangePermit) plugin.ChangeResult {
	defer m.Discard(c)
	g := permittedChange{Change: c, statusBefore: p.StatusBefore, interrupt: &interrupt{requests: p.Interrupt}}
	result := m.performChange(ctx, g)
	changed := []plugin.Plugin{result.Plugin}
	m.origins.addVerified(m.root, changed)
	result.Plugin = changed[0]
	if s := m.staged.Get(c); s != nil {
		result.Package = s.ID
	}
	return result
}

// permittedChange is a change that the caller permits.
type permittedChange struct {
	plugin.Change
	statusBefore   plugin.Status // of the plugin when it was granted; StatusUnknown: run --status
	heartbeatFresh bool          // its heartbeat was in time then
	interrupt      *interrupt
	lock           *nameLock
}

func (m *Manager) performChange(ctx context.Context, g permittedChange) plugin.ChangeResult {
	u := upgrade{permittedChange: g}
	if err := plugin.CheckName(g.Name); err != nil {
		return u.refusedResult(err)
	}
	var err error
	if u.old, u.installed, err = m.registry.Find(ctx, g.Name); err != nil && g.Kind != plugin.ChangeResume {
		return u.refusedResult(err)
	}
	inTime, _ := m.checkHeartbeat(ctx, u.old.Plugin()) // before any wait
	g.heartbeatFresh = g.statusBefore == plugin.StatusRunning && inTime
	if g.lock, err = m.lockForChange(ctx, g); err != nil {
		return u.refusedResult(err)
	}
	defer g.lock.release()
	left, found := m.finishPending(ctx, g.Name, g.interrupt, g.lock)
	switch {
	case g.Kind == plugin.ChangeResume:
		return m.resumedResult(ctx, g, left, found)
	case found && left.Err != nil:
		m.log.WithError(left.Err).WithField("plugin", g.Name).Warn("Interrupted upgrade failed")
	}
	if err := g.lock.reacquire(ctx); err != nil {
		return u.refusedResult(err)
	}
	var result plugin.ChangeResult
	switch {
	case g.interrupt.isReceived():
		if found {
			u.old, u.installed, _ = m.registry.Find(ctx, g.Name) // it may be another version by now
		}
		result = u.refusedResult(plugin.ErrInterrupted)
	case g.Kind == plugin.ChangeRemove:
		result = m.remove(ctx, g)
	case g.Kind == plugin.ChangeRollback:
		result = m.rollBack(ctx, g)
	default:
		result = m.upgradeTo(ctx, g)
	}
	if found && result.Status == plugin.StatusUnknown { // refused, after the earlier one had changed the plugin
		result.Status = left.Status
	}
	return result
}

// upgradeTo switches the plugin to another version, or leaves everything as it was.
func (m *Manager) upgradeTo(ctx context.Context, g permittedChange) plugin.ChangeResult {
	u, err := m.planUpgrade(ctx, g)
	if err != nil {
		return u.refusedResult(err)
	}
	return m.withProcesses(m.runUpgrade(ctx, u))
}

// rollBack switches to the previous version, and quarantines the current one.
func (m *Manager) rollBack(ctx context.Context, g permittedChange) plugin.ChangeResult {
	var err error
	if g.Version, err = m.versions.findPrevious(ctx, g.Name); err != nil {
		return upgrade{permittedChange: g}.refusedResult(err)
	}
	g.Kind, g.Origin = plugin.ChangeUpgrade, plugin.FromOperator
	result := m.upgradeTo(ctx, g)
	if result.Err == nil {
		if err := m.quarantine.block(g.Name, result.Previous, "rolled back by an operator"); err != nil {
			m.log.WithError(err).WithField("plugin", g.Name).Warn("Cannot quarantine the rolled-back version; the server may assign it again")
		}
	}
	return result
}

// resumedResult returns the result of a change that an earlier process left.
func (m *Manager) resumedResult(ctx context.Context, g permittedChange, left plugin.ChangeResult, found bool) plugin.ChangeResult {
	if found {
		return m.withProcesses(left)
	}
	// Another process has finished it.
	r, _, err := m.registry.Find(ctx, g.Name)
	return plugin.ChangeResult{Plugin: r.Plugin(), Outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, Err: err}}
}

// withProcesses adds the running processes to a result.
func (m *Manager) withProcesses(r plugin.ChangeResult) plugin.ChangeResult {
	r.Outcome = m.addProcesses(r.Plugin, r.Outcome)
	return r
}

// Unfinished returns the upgrades that an earlier process left, as changes to
// resume. The error names those that cannot be read.
func (m *Manager) Unfinished() ([]plugin.Change, error) {
	pending, err := m.changes.ListPending()
	var changes []plugin.Change
	for _, t := range pending {
		changes = append(changes, plugin.Change{Name: t.Name, Version: t.To.Version, Kind: plugin.ChangeResume, Origin: plugin.FromRecovery})
	}
	return changes, err
}

// upgrade is a permitted change with the records of both versions.
type upgrade struct {
	permittedChange
	old       record.Record // the record before; the zero value if there is none
	installed bool          // there is one
	next      record.Record
	// staged is the package of next; nil: it is in its place already.
	staged *install.Staged
}

// checkChange returns an error for a change that is not allowed.
func (m *Manager) checkChange(ctx context.Context, c plugin.Change) (u upgrade, err error) {
	u.Change = c
	if err := plugin.CheckName(c.Name); err != nil {
		return u, err
	}
	if err := plugin.CheckName(c.Version); err != nil {
		return u, fmt.Errorf("version: %w", err)
	}
	if u.old, u.installed, err = m.registry.Find(ctx, c.Name); err != nil {
		return u, err
	}
	if u.installed && !m.downgrade && plugin.CompareVersions(c.Version, u.old.Version) <= 0 {
		return u, fmt.Errorf("version %s is not newer than the installed %s, and upgrade.allow_downgrade is off", c.Version, u.old.Version)
	}
	if q, blocked := m.quarantine.find(c.Name, c.Version); blocked && !c.ByOperator() {
		return u, q
	}
	return u, nil
}

// planUpgrade returns the upgrade that a change asks for, or an error where it is
// not allowed or not possible. It checks again what Fetch checked.
func (m *Manager) planUpgrade(ctx context.Context, g permittedChange) (u upgrade, err error) {
	c := g.Change
	if u, err = m.checkChange(ctx, c); err != nil {
		return u, err
	}
	u.permittedChange = g
	var config record.PackageConfig
	switch u.staged = m.staged.Get(c); {
	case u.staged != nil:
		config = u.staged.Config
		err = u.staged.CheckSequence(ctx)
	case c.Package != "":
		return u, fmt.Errorf("package %s was not fetched", c.Package)
	default:
		if config, err = record.ReadPackageConfig(m.versionFolder(c.Name, c.Version)); err == nil {
			err = m.checkTrust(ctx, c)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return u, fmt.Errorf("version %s is not unpacked on this host: %w", c.Version, err)
	case err != nil:
		return u, err
	case config.Name != c.Name || config.Version != c.Version:
		return u, fmt.Errorf("package is %s %s, not %s %s", config.Name, config.Version, c.Name, c.Version)
	}
	if err := config.CheckHost(m.os, m.arch); err != nil {
		return u, err
	}
	u.next = config.Record()
	u.next.PluginID, u.next.IsPreInstalled = u.old.PluginID, u.old.IsPreInstalled // not part of a package
	if u.staged == nil {
		if _, err = m.findExecutable(u.next.Plugin()); err != nil {
			return u, err
		}
	}
	if c.ByOperator() { // not before it is certain that the upgrade can be tried
		err = m.quarantine.lift(c.Name, c.Version)
	}
	return u, err
}

// refusedResult returns the result of a change that changed nothing.
func (u upgrade) refusedResult(err error) plugin.ChangeResult {
	r := plugin.ChangeResult{Previous: u.old.Version, Outcome: failedOutcome(plugin.VerbUpgrade, err)}
	if u.installed {
		r.Plugin = u.old.Plugin()
	}
	return r
}

// runUpgrade makes a planned upgrade.
func (m *Manager) runUpgrade(ctx context.Context, u upgrade) plugin.ChangeResult {
	t := transaction.Transaction{Name: u.Name, To: u.next, Began: time.Now()}
	if u.installed {
		t.From = &u.old
	}
	c := m.newChange(t, u.interrupt, u.lock)
	c.staged = u.staged
	if u.Timeout > 0 {
		c.timeout = u.Timeout
	}
	c.runChange(ctx, u.statusBefore, u.heartbeatFresh)
	return c.result
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
