package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// change is the transaction by which one version of a plugin takes another's
// place, made by whoever holds the plugin's name lock alone:
//
//	prepared ──▶ switching ─────────────────────────▶ proving ──▶ committed ──▶ (none)
//	--status of   --stop the old one,                 healthy     old versions
//	the new one   switch the record,                  for a       are removed
//	              --upgrade, --status, --start        window
//	    │             │                                  │
//	    ▼             └────────────── undoing ◀──────────┘
//	 (none)           end the new one, put the record back, start the old one, ban the new one
//
// Each state is on the disk before anything of it is done. One that is found
// there later belonged to somebody who was killed: finish goes on from it. So
// at any moment the record names a version that is whole, and when all is
// done exactly that one runs.
//
// The new version is undone when it is worse than the old one was: that ran
// when it began, and the new one does not, or not for long. What the
// control plane says or does not say plays no part.
type change struct {
	*Manager
	t       transaction.Transaction
	timeout time.Duration   // of `--upgrade`; the other verbs have their record's (UP-06)
	staged  *install.Staged // the new version's package; nil: it is in its place already
	result  plugin.Changed
}

func (m *Manager) change(t transaction.Transaction) *change {
	c := &change{Manager: m, t: t, timeout: plugin.DefaultTimeout}
	if t.From != nil {
		c.result.Previous, c.result.Plugin = t.From.Version, t.From.Plugin()
	}
	return c
}

// finish brings the transaction of a plugin to its end, if there is one.
// Called with the name lock held alone.
func (m *Manager) finish(ctx context.Context, name string) (plugin.Changed, bool) {
	t, found, err := m.changes.Find(name)
	if err != nil { // moved aside: the record says what is installed
		m.log.WithError(err).WithField("plugin", name).Error("Upgrade that was cut short is not known any more")
	}
	if !found {
		return plugin.Changed{}, false
	}
	c := m.change(t)
	if t.Made { // a package came
		c.result.Verified = install.VerifiedBy(m.dir(name, t.To.Version), name, t.To.Version)
	}
	m.logFor(t.To.Plugin()).WithField("step", string(t.Step)).Warn("Upgrade was cut short, it is brought to its end")
	switch t.Step {
	case transaction.Prepared:
		c.abandon(errCutShort)
	case transaction.Switching, transaction.Undoing:
		if c.fallback() {
			c.undo(ctx, errors.Join(errCutShort, errOf(t.Cause)))
		} else {
			c.forward(ctx)
		}
	case transaction.Proving:
		c.result.Plugin, c.result.SysTag = t.To.Plugin(), c.sysTag()
		c.proveAndCommit(ctx)
	case transaction.Committed:
		c.result.Plugin, c.result.SysTag = t.To.Plugin(), c.sysTag()
		c.result.Status = m.Check(ctx, c.result.Plugin).Status
		c.tidy()
	}
	return c.result, true
}

var errCutShort = errors.New("the supervisor ended meanwhile")

func errOf(cause string) error {
	if cause == "" || cause == errCutShort.Error() {
		return nil
	}
	return errors.New(cause)
}

// carryOut is the way from the beginning.
func (c *change) carryOut(ctx context.Context) {
	if c.t.From != nil && c.t.From.Type == plugin.Persist && isFolder(c.folder(c.t.From.Version)) {
		c.t.Ran = c.Check(ctx, c.t.From.Plugin()).Status == plugin.StatusRunning
		c.t.Beat = c.t.Ran && c.beats(ctx, c.t.From.Plugin())
	}
	c.t.Made = c.staged != nil && !isFolder(c.folder(c.t.To.Version))
	if err := c.advance(transaction.Prepared); err != nil {
		c.result.Outcome = failed(plugin.VerbUpgrade, err)
		return
	}
	if err := c.place(ctx); err != nil {
		c.abandon(err)
		return
	}
	if err := c.preflight(ctx); err != nil {
		c.abandon(err)
		return
	}
	if err := c.advance(transaction.Switching); err != nil {
		c.abandon(err)
		return
	}
	if c.stops() {
		old := c.t.From.Plugin()
		c.reached("stop")
		if outcome := c.end(ctx, old); outcome.Err != nil {
			c.result.Outcome = outcome
			c.undo(ctx, fmt.Errorf("--stop of %s: %w", old.Version, outcome.Err))
			return
		}
	}
	c.forward(ctx)
}

// place puts the new version's package into its place.
func (c *change) place(ctx context.Context) error {
	if c.staged == nil {
		return nil
	}
	c.reached("place")
	existing := install.Replace
	if c.t.Made {
		existing = install.Refuse
	}
	if _, err := c.staged.Place(existing); err != nil {
		return err
	}
	c.reached("placed")
	c.result.Verified = c.staged.Verified
	return c.changes.Accept(ctx, c.t.Name, c.staged.Sequence)
}

// forward makes the new version the recorded one and runs it; the old one is stopped.
func (c *change) forward(ctx context.Context) {
	c.reached("switch")
	id, err := c.registry.Put(ctx, c.t.To)
	if err != nil {
		c.undo(ctx, fmt.Errorf("switch the record: %w", err))
		return
	}
	c.t.To.ID = id
	c.result.Plugin, c.result.SysTag = c.t.To.Plugin(), c.sysTag()
	c.reached("upgrade")
	c.result.Outcome = c.do(ctx, order{
		plugin: c.result.Plugin, verb: plugin.VerbUpgrade, previous: c.previous(), timeout: c.timeout,
	})
	if err := c.result.Err; err != nil {
		c.result.Err = fmt.Errorf("--upgrade to %s: %w", c.t.To.Version, err)
		if ctx.Err() != nil {
			return // whoever comes next finds it half done
		}
	}
	if err := c.advance(transaction.Proving); err != nil {
		c.undo(ctx, err)
		return
	}
	c.proveAndCommit(ctx)
}

// proveAndCommit decides whether the new version stays.
func (c *change) proveAndCommit(ctx context.Context) {
	c.reached("bring up")
	started, status := c.bringUp(ctx, c.result.Plugin)
	c.result.Status = status
	if started.Err != nil {
		started.Err = fmt.Errorf("%s of %s: %w", started.Verb, c.t.To.Version, started.Err)
		if c.result.Err == nil {
			c.result.Outcome = started
		}
	}
	sick := started.Err
	if sick == nil && status == plugin.StatusRunning {
		c.reached("prove")
		sick = c.prove(ctx)
	}
	switch {
	case ctx.Err() != nil:
		if c.result.Err == nil {
			c.result.Err = fmt.Errorf("%s has not proven itself yet: %w", c.t.To.Version, ctx.Err())
		}
		return // whoever comes next goes on proving
	case sick != nil && c.fallback() && c.t.Ran:
		c.undo(ctx, sick)
		return
	case sick != nil && c.result.Err == nil:
		c.result.Outcome = failed(plugin.VerbStatus, sick)
	}
	if err := c.advance(transaction.Committed); err != nil {
		c.logFor(c.result.Plugin).WithError(err).Warn("Upgrade is done, but cannot be noted as done")
		return
	}
	c.tidy()
}

// undo brings the old version back, and bans the new one. Where there is none
// to come back, the new one stays as it is.
func (c *change) undo(ctx context.Context, cause error) {
	if c.result.Err == nil { // else it is the outcome of what failed
		c.result.Outcome = failed(plugin.VerbUpgrade, cause)
	}
	c.result.Err = cause
	if ctx.Err() != nil {
		return // whoever comes next undoes it
	}
	tried := c.switched(ctx)
	switch {
	case !c.fallback() && tried: // it is recorded: there is nothing better to run
		c.over()
		return
	case !c.fallback():
		c.abandon(cause)
		return
	}
	old, bad := c.t.From.Plugin(), c.t.To.Plugin()
	c.t.Cause = cause.Error()
	if err := c.advance(transaction.Undoing); err != nil { // it is undone without, and again when this one is found
		c.logFor(bad).WithError(err).Warn("Undoing an upgrade cannot be noted")
	}
	var failures []error
	settled := true // the record is the old one's, and of the new one nothing runs
	if tried {
		c.logFor(bad).WithField("cause", cause.Error()).Warn("Upgrade is rolled back")
		c.reached("end")
		if stopped := c.end(ctx, bad); stopped.Err != nil {
			failures, settled = append(failures, fmt.Errorf("end %s: %w", bad.Version, stopped.Err)), false
		}
		c.reached("put back")
		if _, err := c.registry.Put(ctx, *c.t.From); err != nil {
			failures, settled = append(failures, fmt.Errorf("put the record of %s back: %w", old.Version, err)), false
		}
	}
	c.reached("bring back")
	c.result.Plugin, c.result.SysTag = old, plugin.SysTagNone
	started, status := c.bringUp(ctx, old)
	c.result.Status = status
	if started.Err != nil {
		failures = append(failures, fmt.Errorf("%s of %s: %w", started.Verb, old.Version, started.Err))
	}
	if tried {
		c.result.RolledBack = true
		c.result.Err = fmt.Errorf("rolled back to %s: %w", old.Version, cause)
		failures = append(failures, c.ban(cause))
	}
	if err := errors.Join(failures...); err != nil {
		c.result.Err = fmt.Errorf("%w; %w", c.result.Err, err)
	}
	if !settled || ctx.Err() != nil {
		return // not all is done: whoever comes next goes on
	}
	c.drop(bad.Version)
	c.over()
}

// ban keeps the new version from being tried again for a while.
func (c *change) ban(cause error) error {
	if c.quarantine <= 0 {
		return nil
	}
	return c.changes.Ban(plugin.Ban{
		Name: c.t.Name, Version: c.t.To.Version, Until: time.Now().Add(c.quarantine), Cause: cause.Error(),
	})
}

// switched tells whether the record names the new version.
func (c *change) switched(ctx context.Context) bool {
	r, found, err := c.registry.Find(ctx, c.t.Name)
	return err != nil || found && r.Version == c.t.To.Version
}

// abandon ends a change that has touched nothing.
func (c *change) abandon(cause error) {
	if c.result.Err == nil {
		c.result.Outcome = failed(plugin.VerbUpgrade, cause)
	}
	c.drop(c.t.To.Version)
	c.over()
}

// drop removes the new version's folder, if it is this change's and not the one that stays.
func (c *change) drop(version string) {
	if c.t.Made && (c.t.From == nil || c.t.From.Version != version) {
		c.reached("drop")
		c.discard(c.folder(version))
	}
}

// tidy removes the versions before the one that was replaced.
func (c *change) tidy() {
	entries, _ := os.ReadDir(filepath.Join(c.root, "plugin", c.t.Name))
	for _, e := range entries {
		v := e.Name()
		if !e.IsDir() || plugin.CheckName(v) != nil || v == c.t.To.Version || c.t.From == nil || v == c.t.From.Version {
			continue
		}
		if plugin.CompareVersions(v, c.t.To.Version) < 0 {
			c.reached("remove version")
			c.discard(c.folder(v))
		}
	}
	c.over()
}

// over forgets the transaction: it is all done.
func (c *change) over() {
	if err := c.changes.End(c.t.Name); err != nil {
		c.log.WithError(err).WithField("plugin", c.t.Name).Warn("Upgrade is done, but cannot be noted as done")
	}
}

// advance notes how far it has come before anything of it is done.
func (c *change) advance(step transaction.Step) error {
	c.t.Step = step
	return c.changes.Save(c.t)
}

// stops tells whether the old version is to be stopped.
func (c *change) stops() bool {
	return c.t.From != nil && c.t.From.Type == plugin.Persist && c.previous() != ""
}

// fallback tells whether there is an old version to come back to.
func (c *change) fallback() bool {
	return c.t.From != nil && c.t.From.Version != c.t.To.Version && c.previous() != ""
}

// previous is the old version's folder, "" if there is none.
func (c *change) previous() string {
	if c.t.From == nil {
		return ""
	}
	if dir := c.folder(c.t.From.Version); isFolder(dir) {
		return dir
	}
	return ""
}

func (c *change) folder(version string) string { return c.dir(c.t.Name, version) }

// sysTag is what the host's tag becomes by the switch (SPEC 3).
func (c *change) sysTag() plugin.SysTag {
	switch {
	case c.t.To.AddSysTag:
		return plugin.SysTagAdd
	case c.t.From != nil && c.t.From.AddSysTag:
		return plugin.SysTagRemove
	default:
		return plugin.SysTagNone
	}
}
