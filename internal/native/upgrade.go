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
// name lock. It is a transaction, see type change: whatever cuts it short, a
// later call about the plugin finishes or undoes it. One that an earlier process
// left is finished first, also when the change then turns out to be none. What
// the change needs was fetched before, with Fetch.
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
	statusBefore   plugin.Status // of the plugin when it was granted; StatusUnknown: ask
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
	beats, _ := m.checkHeartbeat(ctx, u.old.Plugin()) // before anything is waited for
	g.heartbeatFresh = g.statusBefore == plugin.StatusRunning && beats
	if g.lock, err = m.lockForChange(ctx, g); err != nil {
		return u.refusedResult(err)
	}
	defer g.lock.release()
	left, found := m.finishPending(ctx, g.Name, g.interrupt, g.lock)
	switch {
	case g.Kind == plugin.ChangeResume:
		return m.resumedResult(ctx, g, left, found)
	case found && left.Err != nil:
		m.log.WithError(left.Err).WithField("plugin", g.Name).Warn("Upgrade that was cut short did not end well")
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
	if found && result.Status == plugin.StatusUnknown { // refused, after the earlier one had touched the plugin
		result.Status = left.Status
	}
	return result
}

// upgradeTo makes another version the one that is recorded and runs, or leaves
// everything as it was.
func (m *Manager) upgradeTo(ctx context.Context, g permittedChange) plugin.ChangeResult {
	u, err := m.planUpgrade(ctx, g)
	if err != nil {
		return u.refusedResult(err)
	}
	return m.withProcesses(m.runUpgrade(ctx, u))
}

// rollBack switches to the version before the recorded one, and keeps the
// control plane from offering the present one again for a while.
func (m *Manager) rollBack(ctx context.Context, g permittedChange) plugin.ChangeResult {
	var err error
	if g.Version, err = m.findPrevious(ctx, g.Name); err != nil {
		return upgrade{permittedChange: g}.refusedResult(err)
	}
	g.Kind, g.Origin = plugin.ChangeUpgrade, plugin.FromOperator
	result := m.upgradeTo(ctx, g)
	if result.Err == nil && m.quarantine > 0 {
		err := m.changes.Quarantine(plugin.QuarantinedVersion{
			Name: g.Name, Version: result.Previous, Until: time.Now().Add(m.quarantine), Cause: "rolled back by an operator",
		})
		if err != nil {
			m.log.WithError(err).WithField("plugin", g.Name).Warn("The version that was rolled back may be offered again")
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

// withProcesses adds to a result what runs now.
func (m *Manager) withProcesses(u plugin.ChangeResult) plugin.ChangeResult {
	u.Outcome = m.addProcesses(u.Plugin, u.Outcome)
	return u
}

// Unfinished are the upgrades that an earlier process left, as offers to
// resume. The error names those that cannot be read.
func (m *Manager) Unfinished() ([]plugin.Change, error) {
	pending, err := m.changes.ListPending()
	var offers []plugin.Change
	for _, t := range pending {
		offers = append(offers, plugin.Change{Name: t.Name, Version: t.To.Version, Kind: plugin.ChangeResume, Origin: plugin.FromRecovery})
	}
	return offers, err
}

// upgrade is what a change comes to on this host.
type upgrade struct {
	permittedChange
	old       record.Record // the record before; the zero value if there is none
	installed bool          // there is one
	next      record.Record
	// staged is the package of next; nil: it is in its place already.
	staged *install.Staged
}

// checkChange refuses what may not be done.
func (m *Manager) checkChange(ctx context.Context, o plugin.Change) (u upgrade, err error) {
	u.Change = o
	if err := plugin.CheckName(o.Name); err != nil {
		return u, err
	}
	if err := plugin.CheckName(o.Version); err != nil {
		return u, fmt.Errorf("version: %w", err)
	}
	if u.old, u.installed, err = m.registry.Find(ctx, o.Name); err != nil {
		return u, err
	}
	if u.installed && !m.downgrade && plugin.CompareVersions(o.Version, u.old.Version) <= 0 {
		return u, fmt.Errorf("version %s is not newer than the installed %s, and upgrade.allow_downgrade is off", o.Version, u.old.Version)
	}
	if ban, banned := m.changes.FindQuarantined(o.Name, o.Version, time.Now(), m.quarantine); banned && !o.ByOperator() {
		return u, ban
	}
	return u, nil
}

// planUpgrade finds out what there is to do, and refuses what may not or cannot be
// done: what Fetch admitted may have changed.
func (m *Manager) planUpgrade(ctx context.Context, g permittedChange) (u upgrade, err error) {
	o := g.Change
	if u, err = m.checkChange(ctx, o); err != nil {
		return u, err
	}
	u.permittedChange = g
	var config record.PackageConfig
	switch u.staged = m.staged.Get(o); {
	case u.staged != nil:
		config = u.staged.Config
		err = u.staged.CheckSequence(ctx)
	case o.Package != "":
		return u, fmt.Errorf("package %s was not fetched", o.Package)
	default:
		if config, err = record.ReadPackageConfig(m.versionFolder(o.Name, o.Version)); err == nil {
			err = m.checkTrust(ctx, o)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return u, fmt.Errorf("version %s is not unpacked on this host: %w", o.Version, err)
	case err != nil:
		return u, err
	case config.Name != o.Name || config.Version != o.Version:
		return u, fmt.Errorf("package is %s %s, not %s %s", config.Name, config.Version, o.Name, o.Version)
	}
	if err := config.CheckHost(m.os, m.arch); err != nil {
		return u, err
	}
	u.next = config.Record()
	u.next.PluginID, u.next.IsPreInstalled = u.old.PluginID, u.old.IsPreInstalled // a package does not tell
	if u.staged == nil {
		if _, err = m.findExecutable(u.next.Plugin()); err != nil {
			return u, err
		}
	}
	if o.ByOperator() { // not before it is sure that it can be tried
		err = m.changes.LiftQuarantine(o.Name, o.Version)
	}
	return u, err
}

// refusedResult is the result when nothing was touched.
func (u upgrade) refusedResult(err error) plugin.ChangeResult {
	r := plugin.ChangeResult{Previous: u.old.Version, Outcome: failedOutcome(plugin.VerbUpgrade, err)}
	if u.installed {
		r.Plugin = u.old.Plugin()
	}
	return r
}

// runUpgrade does what was planned.
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
