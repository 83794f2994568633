package native

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// change is the transaction that replaces one version of a plugin by another. It
// is made under the plugin's name lock, which is exclusive up to the proof and for
// undoing, and shared from the proof on (RS-11):
//
//	prepared ──▶ switching ─────────────────────────▶ proving ──▶ committed ──▶ (none)
//	--status of   --stop the old one, exchange the    healthy     its sequence is
//	the new one   folder of a package that was there, for a       saved, old versions
//	              switch the record,                  window      are removed
//	              --upgrade, --status, --start
//	    │             │                                  │
//	    ▼             └────────────── undoing ◀──────────┘
//	 (none)           stop the new one, restore folder and record, start the old one, quarantine the new one
//
// Each state is on the disk before any of its steps is done. One that is found
// there later belonged to a process that was killed: finishPending goes on from
// it. So at any moment the record names a version that is whole, and when all is
// done exactly that one runs.
//
// The new version is undone when the old one ran when the change was granted, and
// the new one does not run, or not for long (UP-13). It is also undone when an
// operator interrupts the change (UP-12): the running verb finishes first, and the
// version is not quarantined. The control plane has no part in it.
type change struct {
	*Manager
	t         transaction.Transaction
	timeout   time.Duration   // of `--upgrade`; the other verbs have their record's (UP-06)
	staged    *install.Staged // the new version's package; nil: it is in its place already
	interrupt *interrupt
	lock      *nameLock
	changed   bool // the plugin may have been changed
	result    plugin.ChangeResult
}

func (m *Manager) newChange(t transaction.Transaction, i *interrupt, l *nameLock) *change {
	c := &change{Manager: m, t: t, timeout: plugin.DefaultTimeout, interrupt: i, lock: l}
	if t.From != nil {
		c.result.Previous, c.result.Plugin = t.From.Version, t.From.Plugin()
	}
	return c
}

// finishPending finishes or undoes the transaction of a plugin, if there is one.
// The caller holds the name lock exclusively; it may be shared afterwards.
func (m *Manager) finishPending(ctx context.Context, name string, i *interrupt, l *nameLock) (plugin.ChangeResult, bool) {
	t, found, err := m.changes.Find(name)
	if err != nil { // moved aside: the record says what is installed
		m.log.WithError(err).WithField("plugin", name).
			Error("Cannot read the journal of an interrupted upgrade; the plugin database says which version is installed")
	}
	if !found {
		if err := install.Recover(m.root, name); err != nil {
			m.log.WithError(err).WithField("plugin", name).Warn("Cannot restore a plugin folder after an interrupted exchange")
		}
		return plugin.ChangeResult{}, false
	}
	c := m.newChange(t, i, l)
	if t.Made || t.Replaces && c.isPlaced() { // its package was fetched
		c.result.Verified = install.VerifiedBy(m.versionFolder(name, t.To.Version), name, t.To.Version)
	}
	logFor(m.log, t.To.Plugin()).WithField("step", string(t.Step)).Warn("Finishing an interrupted upgrade")
	c.resumeChange(ctx)
	c.updateStatus(ctx)
	return c.result, true
}

// resumeChange continues from the step at which an earlier process left the change.
func (c *change) resumeChange(ctx context.Context) {
	interrupted := false
	switch c.t.Step {
	case transaction.Prepared, transaction.Switching, transaction.Proving:
		interrupted = c.checkInterrupted()
	}
	cause := c.resumeCause()
	if c.t.Step == transaction.Prepared {
		c.abandon(cause)
		return
	}
	c.changed = true
	switch c.t.Step {
	case transaction.Proving, transaction.Committed:
		c.result.Plugin, c.result.SysTag = c.t.To.Plugin(), c.sysTag()
	}
	switch {
	case c.t.Step == transaction.Committed:
		c.finishCommitted(ctx)
	case interrupted, c.t.Step != transaction.Proving && (c.hasFallback() || c.t.Interrupted || !c.isPlaced()):
		c.undo(ctx, cause)
	case c.t.Step == transaction.Proving:
		c.proveAndCommit(ctx)
	default:
		c.activateNew(ctx)
	}
}

var errStopped = errors.New("the supervisor stopped during the upgrade")

// resumeCause returns why a change that an earlier process left is undone.
func (c *change) resumeCause() error {
	switch {
	case c.t.Interrupted:
		return fmt.Errorf("%w, %w", errStopped, plugin.ErrInterrupted)
	case c.t.Cause != "" && c.t.Cause != errStopped.Error():
		return fmt.Errorf("%w, %s", errStopped, c.t.Cause)
	}
	return errStopped
}

// checkInterrupted reports whether an operator has interrupted the change, and
// keeps in the transaction how it is to be undone.
func (c *change) checkInterrupted() bool {
	if !c.interrupt.isReceived() {
		return false
	}
	c.t.Interrupted, c.t.LeaveStopped = true, c.t.LeaveStopped || c.interrupt.leaveStopped()
	return true
}

// updateStatus runs `--status` when all is done: the plugin may have exited since
// it was last checked (UP-13).
func (c *change) updateStatus(ctx context.Context) {
	if c.changed && ctx.Err() == nil {
		c.result.Status = c.queryStatus(ctx, c.result.Plugin)
	}
}

// runChange makes the change from its beginning. before is the status of the
// plugin when the change was granted; fresh reports whether its heartbeat was in
// time then.
func (c *change) runChange(ctx context.Context, before plugin.Status, fresh bool) {
	if c.t.From != nil && c.t.From.Type == plugin.Persist && isFolder(c.folderOf(c.t.From.Version)) {
		old := c.t.From.Plugin()
		if before == plugin.StatusUnknown {
			before = c.Check(ctx, old).Status
			inTime, _ := c.checkHeartbeat(ctx, old)
			fresh = before == plugin.StatusRunning && inTime
		}
		c.t.OldRan, c.t.HeartbeatFresh = before == plugin.StatusRunning, fresh
	}
	if c.staged != nil {
		c.t.Replaces = isFolder(c.folderOf(c.t.To.Version))
		c.t.Made = !c.t.Replaces
		c.t.Staged, c.t.Sequence = c.staged.StagingID(), c.staged.Sequence
	}
	if err := c.prepare(ctx); err != nil {
		c.abandon(err)
		return
	}
	c.changed = true
	c.switchVersions(ctx)
	c.updateStatus(ctx)
}

// prepare does everything that is possible while the old version runs unchanged.
func (c *change) prepare(ctx context.Context) error {
	if err := c.saveStep(transaction.Prepared); err != nil {
		return err
	}
	if c.t.Made {
		if err := c.placePackage(install.Refuse); err != nil {
			return err
		}
	}
	if err := c.runPreflight(ctx); err != nil {
		return err
	}
	if c.checkInterrupted() {
		return plugin.ErrInterrupted
	}
	return c.saveStep(transaction.Switching)
}

// switchVersions stops the old version and activates the new one.
func (c *change) switchVersions(ctx context.Context) {
	if c.mustStopOld() {
		old := c.t.From.Plugin()
		if outcome := c.stopPatiently(ctx, old); outcome.Err != nil {
			c.checkInterrupted() // the change is undone in any case
			c.result.Outcome = outcome
			c.undo(ctx, fmt.Errorf("--stop of %s: %w", old.Version, outcome.Err))
			return
		}
	}
	if c.checkInterrupted() {
		c.undo(ctx, plugin.ErrInterrupted)
		return
	}
	if c.t.Replaces {
		if err := c.placePackage(install.Keep); err != nil {
			c.undo(ctx, err)
			return
		}
	}
	c.activateNew(ctx)
}

// placePackage moves the new version's package to its place.
func (c *change) placePackage(existing install.Existing) error {
	if err := c.step.Before("place"); err != nil {
		return err
	}
	if _, err := c.staged.Place(existing); err != nil {
		return err
	}
	c.result.Verified = c.staged.Verified
	return nil
}

// isPlaced reports whether the package of the new version is in its place, if it
// replaces another folder.
func (c *change) isPlaced() bool {
	return !c.t.Replaces || install.StagedAs(c.folderOf(c.t.To.Version)) == c.t.Staged
}

// writeRecord writes a version into the plugin database.
func (c *change) writeRecord(ctx context.Context, r record.Record) (id uint64, err error) {
	if err := c.step.Before("record " + r.Version); err != nil {
		return 0, err
	}
	return c.registry.Put(ctx, r)
}

// activateNew records the new version and runs it. The old one is stopped.
func (c *change) activateNew(ctx context.Context) {
	id, err := c.writeRecord(ctx, c.t.To)
	if err != nil {
		c.undo(ctx, fmt.Errorf("switch the record: %w", err))
		return
	}
	c.t.To.ID = id
	c.result.Plugin, c.result.SysTag = c.t.To.Plugin(), c.sysTag()
	upgrade := verbCall{plugin: c.result.Plugin, verb: plugin.VerbUpgrade, previous: c.previousFolder(), timeout: c.timeout}
	c.result.Outcome = retryHostFault(ctx, func() plugin.Outcome { return c.callVerbLogged(ctx, upgrade) })
	if err := c.result.Err; err != nil {
		c.result.Err = fmt.Errorf("--upgrade to %s: %w", c.t.To.Version, err)
		if ctx.Err() != nil {
			return // the next process finishes it
		}
	}
	switch {
	case c.checkInterrupted():
		c.undo(ctx, plugin.ErrInterrupted)
		return
	case c.result.HostFault && c.hasFallback(): // --upgrade was not run, and is not run again
		c.undo(ctx, c.result.Err)
		return
	}
	if err := c.saveStep(transaction.Proving); err != nil {
		c.undo(ctx, err)
		return
	}
	c.proveAndCommit(ctx)
}

// proveAndCommit decides whether the new version stays.
func (c *change) proveAndCommit(ctx context.Context) {
	started := c.ensureRunning(ctx, c.result.Plugin)
	if started.Err != nil {
		started.Err = fmt.Errorf("%s of %s: %w", started.Verb, c.t.To.Version, started.Err)
		if c.result.Err == nil {
			c.result.Outcome = started
		}
	}
	c.lock.share(ctx)
	unhealthy := started.Err
	if unhealthy == nil && c.result.Plugin.Type == plugin.Persist && !c.checkInterrupted() {
		unhealthy = c.watchNew(ctx)
	}
	switch {
	case ctx.Err() != nil:
		if c.result.Err == nil {
			c.result.Err = fmt.Errorf("%s has not proven itself yet: %w", c.t.To.Version, ctx.Err())
		}
		return // the next process goes on proving
	case c.endIfSuperseded(ctx):
		return
	case c.checkInterrupted():
		c.undo(ctx, plugin.ErrInterrupted)
		return
	case unhealthy != nil && c.hasFallback() && c.t.OldRan:
		c.undo(ctx, unhealthy)
		return
	case unhealthy != nil && c.result.Err == nil:
		c.result.Outcome = failedOutcome(plugin.VerbStatus, unhealthy)
	}
	if err := c.saveStep(transaction.Committed); err != nil {
		logFor(c.log, c.result.Plugin).WithError(err).Warn("Upgrade succeeded, but its journal cannot be saved")
		return
	}
	c.finishCommitted(ctx)
}

// finishCommitted finishes a committed change: it saves the sequence of the package
// and removes all older versions but the previous one.
func (c *change) finishCommitted(ctx context.Context) {
	err := c.step.Before("accept")
	if err == nil {
		err = c.changes.SaveSequence(ctx, c.t.Name, c.t.Sequence)
	}
	if err != nil { // the transaction stays, so that it is retried
		logFor(c.log, c.t.To.Plugin()).WithError(err).Warn("Upgrade succeeded, but the package sequence cannot be saved")
		return
	}
	previous := ""
	if c.t.From != nil {
		previous = c.t.From.Version
	}
	c.addNote(c.versions.prune(c.t.Name, previous, c.t.To.Version))
	c.finish()
}

// endIfSuperseded reports whether another program has removed the plugin, or
// recorded another version, while the lock was shared. The change then finishes as
// it is.
func (c *change) endIfSuperseded(ctx context.Context) bool {
	r, found, err := c.registry.Find(ctx, c.t.Name)
	if err != nil || found && r.Version == c.t.To.Version {
		return false
	}
	c.result.Plugin.Removed = true
	if found {
		c.result.Plugin = r.Plugin()
	}
	c.result.SysTag, c.result.Outcome = plugin.SysTagNone, failedOutcome(plugin.VerbUpgrade, errSuperseded)
	c.finish()
	return true
}

// addNote adds to the result what could not be deleted (EV-32).
func (c *change) addNote(undeleted error) {
	switch {
	case undeleted == nil:
	case c.result.Note == "":
		c.result.Note = undeleted.Error()
	default:
		c.result.Note += "; " + undeleted.Error()
	}
}

// finish removes the transaction: all is done.
func (c *change) finish() {
	if c.t.Replaces {
		c.addNote(c.folders.note(layout.Replaced(c.root, c.t.Name), install.RemoveReplaced(c.root, c.t.Name, c.step)))
	}
	if err := c.changes.Remove(c.t.Name); err != nil {
		c.log.WithError(err).WithField("plugin", c.t.Name).Warn("Upgrade is done, but its journal cannot be removed")
	}
}

// saveStep saves the step before anything of it is done.
func (c *change) saveStep(step transaction.Step) error {
	c.t.Step = step
	return c.changes.Save(c.t)
}

// mustStopOld reports whether the old version is to be stopped.
func (c *change) mustStopOld() bool {
	return c.t.From != nil && c.t.From.Type == plugin.Persist && c.previousFolder() != ""
}

// hasFallback reports whether there is an old version to go back to: another one,
// or the folder that a package of the same version has replaced.
func (c *change) hasFallback() bool {
	switch {
	case c.t.From == nil:
		return false
	case c.t.From.Version == c.t.To.Version:
		return c.t.Replaces
	default:
		return c.previousFolder() != ""
	}
}

// previousFolder returns the old version's folder, "" if there is none.
func (c *change) previousFolder() string {
	if c.t.From == nil {
		return ""
	}
	if kept := layout.Replaced(c.root, c.t.Name); c.t.Replaces && c.t.From.Version == c.t.To.Version && isFolder(kept) {
		return kept
	}
	if dir := c.folderOf(c.t.From.Version); isFolder(dir) {
		return dir
	}
	return ""
}

func (c *change) folderOf(version string) string { return c.versionFolder(c.t.Name, version) }

// sysTag returns the change of the host's tag by the switch (SPEC 3).
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
