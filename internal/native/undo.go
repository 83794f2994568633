package native

import (
	"context"
	"errors"
	"fmt"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// undo restores the old version, and quarantines the new one unless an operator
// interrupted the change. Where there is no old one, the new one stays as it is.
func (c *change) undo(ctx context.Context, cause error) {
	if !c.lock.isExclusive() {
		c.lock.reacquireToUndo(ctx)
		if ctx.Err() == nil && c.endIfSuperseded(ctx) {
			return
		}
	}
	cause = c.addInterruption(cause)
	if c.result.Err == nil { // else it is the outcome of the failed verb
		c.result.Outcome = failedOutcome(plugin.VerbUpgrade, cause)
	}
	c.result.Err = cause
	if ctx.Err() != nil && !c.t.Interrupted {
		return // the next process undoes it
	}
	tried := c.mayHaveRun(ctx)
	if !c.hasFallback() && !c.t.Interrupted {
		if tried { // it is recorded: there is no better version to run
			c.finish()
		} else {
			c.abandon(cause)
		}
		return
	}
	if c.t.Cause == "" {
		c.t.Cause = cause.Error()
	}
	c.saveUndoing()
	switch {
	case ctx.Err() != nil: // the next process undoes it
	case c.hasFallback():
		c.restoreOld(ctx, cause, tried)
	case tried:
		c.keepNew(ctx, cause)
	default:
		c.abandon(cause)
	}
}

// addInterruption adds to the cause that an operator interrupted the change, and
// keeps in the transaction whether the old version may be started.
func (c *change) addInterruption(cause error) error {
	if !c.interrupt.isReceived() {
		return cause
	}
	c.t.LeaveStopped = c.t.LeaveStopped || c.interrupt.leaveStopped()
	if errors.Is(cause, plugin.ErrInterrupted) {
		return cause
	}
	return fmt.Errorf("%w; %w", cause, plugin.ErrInterrupted)
}

// saveUndoing saves that the change is undone, and how. Where that fails the
// change is undone all the same, and again when the transaction is found.
func (c *change) saveUndoing() {
	if err := c.saveStep(transaction.Undoing); err != nil {
		logFor(c.log, c.t.To.Plugin()).WithError(err).Warn("Cannot save the start of a rollback")
	}
}

// restoreOld stops the new version, records the old one and starts it.
func (c *change) restoreOld(ctx context.Context, cause error, tried bool) {
	old, bad := c.t.From.Plugin(), c.t.To.Plugin()
	var failures []error
	settled := true // the record is the old one's, and no process of the new one runs
	if tried {
		logFor(c.log, bad).WithField("cause", cause.Error()).Warn("Rolling back the upgrade")
		if stopped := c.stopPatiently(ctx, bad); stopped.Err != nil {
			failures, settled = append(failures, fmt.Errorf("stop %s: %w", bad.Version, stopped.Err)), false
		}
	}
	if c.t.Replaces && settled { // the old version needs its folder now
		if err := c.removeNew(bad.Version); err != nil {
			failures, settled = append(failures, fmt.Errorf("restore the folder of %s: %w", bad.Version, err)), false
		}
	}
	if tried {
		if _, err := c.writeRecord(ctx, *c.t.From); err != nil {
			failures, settled = append(failures, fmt.Errorf("restore the record of %s: %w", old.Version, err)), false
		}
	}
	c.result.Plugin, c.result.SysTag = old, plugin.SysTagNone
	if c.interrupt.leaveStopped() && !c.t.LeaveStopped { // received while undoing
		cause = c.addInterruption(cause)
		c.result.Err = cause
		c.saveUndoing()
	}
	if !c.t.LeaveStopped {
		if started := c.ensureRunning(ctx, old); started.Err != nil {
			failures = append(failures, fmt.Errorf("%s of %s: %w", started.Verb, old.Version, started.Err))
		}
	}
	if tried {
		c.result.RolledBack = true
		c.result.Err = fmt.Errorf("rolled back to %s: %w", old.Version, cause)
		if !c.t.Interrupted {
			failures = append(failures, c.quarantineNew(cause))
		}
	}
	if err := errors.Join(failures...); err != nil {
		c.result.Err = fmt.Errorf("%w; %w", c.result.Err, err)
	}
	if !settled || ctx.Err() != nil {
		return // the next process finishes it
	}
	_ = c.removeNew(bad.Version) // a replaced folder is restored already
	c.finish()
}

// keepNew finishes an interrupted change that has no old version to go back to.
func (c *change) keepNew(ctx context.Context, cause error) {
	p := c.t.To.Plugin()
	c.result.Plugin, c.result.SysTag = p, c.sysTag()
	c.result.Err = fmt.Errorf("%w, and %s stays installed: there is no other version to go back to", cause, p.Version)
	if c.t.LeaveStopped {
		if stopped := c.stopAndWait(ctx, p); stopped.Err != nil {
			c.result.Err = fmt.Errorf("%w; --stop: %w", c.result.Err, stopped.Err)
		}
		if ctx.Err() != nil {
			return // the next process finishes it
		}
	}
	c.finish()
}

// quarantineNew puts the new version into quarantine, unless the host failed
// (EV-24).
func (c *change) quarantineNew(cause error) error {
	if hostfault.Is(cause) {
		return nil
	}
	return c.quarantine.block(c.t.Name, c.t.To.Version, cause.Error())
}

// mayHaveRun reports whether the new version may have been run: the record names
// it, or where both have the same version, its package is in place.
func (c *change) mayHaveRun(ctx context.Context) bool {
	if c.t.Replaces && c.t.From != nil && c.t.From.Version == c.t.To.Version {
		return c.isPlaced()
	}
	r, found, err := c.registry.Find(ctx, c.t.Name)
	return err != nil || found && r.Version == c.t.To.Version
}

// abandon finishes a change that has changed nothing.
func (c *change) abandon(cause error) {
	if c.result.Err == nil {
		c.result.Outcome = failedOutcome(plugin.VerbUpgrade, cause)
	}
	if err := c.removeNew(c.t.To.Version); err != nil {
		c.result.Err = fmt.Errorf("%w; restore the folder of %s: %w", c.result.Err, c.t.To.Version, err)
		return // the next process finishes it
	}
	c.finish()
}

// removeNew removes the new version's folder, if this change made it and it does not
// stay. Where a package has replaced a folder, it restores that.
func (c *change) removeNew(version string) error {
	switch {
	case c.t.Replaces:
		return install.PutBack(c.root, c.t.Name, version, c.t.Staged, c.step)
	case c.t.Made && (c.t.From == nil || c.t.From.Version != version):
		c.addNote(c.folders.remove(c.folderOf(version)))
	}
	return nil
}
