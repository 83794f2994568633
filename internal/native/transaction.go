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

// change is the transaction by which one version of a plugin takes another's
// place, made under the plugin's name lock, which is shared from the proof on and
// exclusive before it and to undo (RS-11):
//
//	prepared ──▶ switching ─────────────────────────▶ proving ──▶ committed ──▶ (none)
//	--status of   --stop the old one, exchange the    healthy     its sequence holds,
//	the new one   folder of a package that was there, for a       old versions
//	              switch the record,                  window      are removed
//	              --upgrade, --status, --start
//	    │             │                                  │
//	    ▼             └────────────── undoing ◀──────────┘
//	 (none)           end the new one, put folder and record back, start the old one, ban the new one
//
// Each state is on the disk before anything of it is done. One that is found
// there later belonged to somebody who was killed: finish goes on from it. So
// at any moment the record names a version that is whole, and when all is
// done exactly that one runs.
//
// The new version is undone when it is worse than the old one was: that ran
// when the change was granted, and the new one does not, or not for long
// (UP-13). It is undone too when an operator wants the plugin (UP-12): the
// running verb ends first, and the version is not banned. What the control
// plane says or does not say plays no part.
type change struct {
	*Manager
	t         transaction.Transaction
	timeout   time.Duration   // of `--upgrade`; the other verbs have their record's (UP-06)
	staged    *install.Staged // the new version's package; nil: it is in its place already
	interrupt *interrupt
	lock      *nameLock
	touched   bool // the plugin may not be as it was before
	result    plugin.ChangeResult
}

func (m *Manager) newChange(t transaction.Transaction, i *interrupt, l *nameLock) *change {
	c := &change{Manager: m, t: t, timeout: plugin.DefaultTimeout, interrupt: i, lock: l}
	if t.From != nil {
		c.result.Previous, c.result.Plugin = t.From.Version, t.From.Plugin()
	}
	return c
}

// finish brings the transaction of a plugin to its end, if there is one.
// Called with the name lock held exclusively, which may be shared afterwards.
func (m *Manager) finish(ctx context.Context, name string, i *interrupt, l *nameLock) (plugin.ChangeResult, bool) {
	t, found, err := m.changes.Find(name)
	if err != nil { // moved aside: the record says what is installed
		m.log.WithError(err).WithField("plugin", name).Error("Upgrade that was cut short is not known any more")
	}
	if !found {
		if err := install.Recover(m.root, name); err != nil {
			m.log.WithError(err).WithField("plugin", name).Warn("Exchange of a folder that was cut short cannot be ended")
		}
		return plugin.ChangeResult{}, false
	}
	c := m.newChange(t, i, l)
	if t.Made || t.Replaces && c.placed() { // a package came
		c.result.Verified = install.VerifiedBy(m.dir(name, t.To.Version), name, t.To.Version)
	}
	m.logFor(t.To.Plugin()).WithField("step", string(t.Step)).Warn("Upgrade was cut short, it is brought to its end")
	c.goOn(ctx)
	c.updateStatus(ctx)
	return c.result, true
}

// goOn continues from the step at which an earlier process left the change.
func (c *change) goOn(ctx context.Context) {
	interrupted := false
	switch c.t.Step {
	case transaction.Prepared, transaction.Switching, transaction.Proving:
		interrupted = c.interrupted()
	}
	cause := c.cutShort()
	if c.t.Step == transaction.Prepared {
		c.abandon(cause)
		return
	}
	c.touched = true
	switch c.t.Step {
	case transaction.Proving, transaction.Committed:
		c.result.Plugin, c.result.SysTag = c.t.To.Plugin(), c.sysTag()
	}
	switch {
	case c.t.Step == transaction.Committed:
		c.tidy(ctx)
	case interrupted, c.t.Step != transaction.Proving && (c.fallback() || c.t.Interrupted || !c.placed()):
		c.undo(ctx, cause)
	case c.t.Step == transaction.Proving:
		c.proveAndCommit(ctx)
	default:
		c.forward(ctx)
	}
}

var errCutShort = errors.New("the supervisor ended meanwhile")

// cutShort returns why a change that an earlier process left is undone.
func (c *change) cutShort() error {
	switch {
	case c.t.Interrupted:
		return fmt.Errorf("%w, %w", errCutShort, plugin.ErrInterrupted)
	case c.t.Cause != "" && c.t.Cause != errCutShort.Error():
		return fmt.Errorf("%w, %s", errCutShort, c.t.Cause)
	}
	return errCutShort
}

// interrupted reports whether an operator has interrupted the change by now,
// and notes how it is to be undone.
func (c *change) interrupted() bool {
	if !c.interrupt.received() {
		return false
	}
	c.t.Interrupted, c.t.LeaveStopped = true, c.t.LeaveStopped || c.interrupt.leaveStopped()
	return true
}

// updateStatus asks how the plugin is when all is done: whatever was seen
// before, it may have exited since (UP-13).
func (c *change) updateStatus(ctx context.Context) {
	if c.touched && ctx.Err() == nil {
		c.result.Status = c.statusOf(ctx, c.result.Plugin)
	}
}

// carryOut makes the change from its beginning. before is the status of the
// plugin when the change was granted, beat whether its heartbeat was in time then.
func (c *change) carryOut(ctx context.Context, before plugin.Status, beat bool) {
	if c.t.From != nil && c.t.From.Type == plugin.Persist && isFolder(c.folder(c.t.From.Version)) {
		old := c.t.From.Plugin()
		if before == plugin.StatusUnknown {
			before = c.Check(ctx, old).Status
			beats, _ := c.beats(ctx, old)
			beat = before == plugin.StatusRunning && beats
		}
		c.t.Ran, c.t.Beat = before == plugin.StatusRunning, beat
	}
	if c.staged != nil {
		c.t.Replaces = isFolder(c.folder(c.t.To.Version))
		c.t.Made = !c.t.Replaces
		c.t.Staged, c.t.Sequence = c.staged.StagingID(), c.staged.Sequence
	}
	if err := c.prepare(ctx); err != nil {
		c.abandon(err)
		return
	}
	c.touched = true
	c.switchOver(ctx)
	c.updateStatus(ctx)
}

// prepare does all that can be done while the old version runs untouched.
func (c *change) prepare(ctx context.Context) error {
	if err := c.advance(transaction.Prepared); err != nil {
		return err
	}
	if c.t.Made {
		if err := c.place(install.Refuse); err != nil {
			return err
		}
	}
	if err := c.preflight(ctx); err != nil {
		return err
	}
	if c.interrupted() {
		return plugin.ErrInterrupted
	}
	return c.advance(transaction.Switching)
}

// switchOver stops the old version and makes the new one run.
func (c *change) switchOver(ctx context.Context) {
	if c.stops() {
		old := c.t.From.Plugin()
		if outcome := c.endPatiently(ctx, old); outcome.Err != nil {
			c.interrupted() // it is undone in any case
			c.result.Outcome = outcome
			c.undo(ctx, fmt.Errorf("--stop of %s: %w", old.Version, outcome.Err))
			return
		}
	}
	if c.interrupted() {
		c.undo(ctx, plugin.ErrInterrupted)
		return
	}
	if c.t.Replaces {
		if err := c.place(install.Keep); err != nil {
			c.undo(ctx, err)
			return
		}
	}
	c.forward(ctx)
}

// place puts the new version's package into its place.
func (c *change) place(existing install.Existing) error {
	if err := c.step.Before("place"); err != nil {
		return err
	}
	if _, err := c.staged.Place(existing); err != nil {
		return err
	}
	c.result.Verified = c.staged.Verified
	return nil
}

// placed reports whether the package of the new version is in its place, if one
// takes the place of another folder.
func (c *change) placed() bool {
	return !c.t.Replaces || install.StagedAs(c.folder(c.t.To.Version)) == c.t.Staged
}

// record writes a version into the plugin database.
func (c *change) record(ctx context.Context, r record.Record) (id uint64, err error) {
	if err := c.step.Before("record " + r.Version); err != nil {
		return 0, err
	}
	return c.registry.Put(ctx, r)
}

// forward makes the new version the recorded one and runs it; the old one is stopped.
func (c *change) forward(ctx context.Context) {
	id, err := c.record(ctx, c.t.To)
	if err != nil {
		c.undo(ctx, fmt.Errorf("switch the record: %w", err))
		return
	}
	c.t.To.ID = id
	c.result.Plugin, c.result.SysTag = c.t.To.Plugin(), c.sysTag()
	upgrade := order{plugin: c.result.Plugin, verb: plugin.VerbUpgrade, previous: c.previous(), timeout: c.timeout}
	c.result.Outcome = retryHostFault(ctx, func() plugin.Outcome { return c.do(ctx, upgrade) })
	if err := c.result.Err; err != nil {
		c.result.Err = fmt.Errorf("--upgrade to %s: %w", c.t.To.Version, err)
		if ctx.Err() != nil {
			return // the next process finds it half done
		}
	}
	switch {
	case c.interrupted():
		c.undo(ctx, plugin.ErrInterrupted)
		return
	case c.result.HostFault && c.fallback(): // it was not run, and is not run another time
		c.undo(ctx, c.result.Err)
		return
	}
	if err := c.advance(transaction.Proving); err != nil {
		c.undo(ctx, err)
		return
	}
	c.proveAndCommit(ctx)
}

// proveAndCommit decides whether the new version stays.
func (c *change) proveAndCommit(ctx context.Context) {
	started := c.bringUp(ctx, c.result.Plugin)
	if started.Err != nil {
		started.Err = fmt.Errorf("%s of %s: %w", started.Verb, c.t.To.Version, started.Err)
		if c.result.Err == nil {
			c.result.Outcome = started
		}
	}
	c.lock.share(ctx)
	sick := started.Err
	if sick == nil && c.result.Plugin.Type == plugin.Persist && !c.interrupted() {
		sick = c.prove(ctx)
	}
	switch {
	case ctx.Err() != nil:
		if c.result.Err == nil {
			c.result.Err = fmt.Errorf("%s has not proven itself yet: %w", c.t.To.Version, ctx.Err())
		}
		return // the next process goes on proving
	case c.overtaken(ctx):
		return
	case c.interrupted():
		c.undo(ctx, plugin.ErrInterrupted)
		return
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
	c.tidy(ctx)
}

// tidy makes what is committed last: the sequence of the package holds from now
// on, and of the versions before only the previous one stays.
func (c *change) tidy(ctx context.Context) {
	err := c.step.Before("accept")
	if err == nil {
		err = c.changes.Accept(ctx, c.t.Name, c.t.Sequence)
	}
	if err != nil { // the transaction stays, so that it is tried again
		c.logFor(c.t.To.Plugin()).WithError(err).Warn("Upgrade is done, but its sequence cannot be noted")
		return
	}
	previous := ""
	if c.t.From != nil {
		previous = c.t.From.Version
	}
	c.note(c.pruneVersions(c.t.Name, previous, c.t.To.Version))
	c.over()
}

// overtaken reports whether another program has removed the plugin, or recorded
// another version, which it could since the lock was shared. The change then ends
// as it is.
func (c *change) overtaken(ctx context.Context) bool {
	r, found, err := c.registry.Find(ctx, c.t.Name)
	if err != nil || found && r.Version == c.t.To.Version {
		return false
	}
	c.result.Plugin.Removed = true
	if found {
		c.result.Plugin = r.Plugin()
	}
	c.result.SysTag, c.result.Outcome = plugin.SysTagNone, failed(plugin.VerbUpgrade, errOvertaken)
	c.over()
	return true
}

// note adds to the result what could not be deleted (EV-32).
func (c *change) note(undeleted error) {
	if undeleted != nil {
		c.result.Note = joined(c.result.Note, undeleted.Error())
	}
}

// over forgets the transaction: it is all done.
func (c *change) over() {
	if c.t.Replaces {
		c.note(c.noteUndeleted(layout.Replaced(c.root, c.t.Name), install.RemoveReplaced(c.root, c.t.Name, c.step)))
	}
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

// fallback reports whether there is an old version to come back to: another
// one, or the folder that a package of the same version has replaced.
func (c *change) fallback() bool {
	switch {
	case c.t.From == nil:
		return false
	case c.t.From.Version == c.t.To.Version:
		return c.t.Replaces
	default:
		return c.previous() != ""
	}
}

// previous returns the old version's folder, "" if there is none.
func (c *change) previous() string {
	if c.t.From == nil {
		return ""
	}
	if kept := layout.Replaced(c.root, c.t.Name); c.t.Replaces && c.t.From.Version == c.t.To.Version && isFolder(kept) {
		return kept
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
