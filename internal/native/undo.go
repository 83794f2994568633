package native

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// undo puts the old version back, and bans the new one unless an operator
// interrupted the change. Where there is no old one, the new one stays as it is.
func (c *change) undo(ctx context.Context, cause error) {
	if !c.lock.isExclusive() {
		c.lock.reacquireToUndo(ctx)
		if ctx.Err() == nil && c.endIfSuperseded(ctx) {
			return
		}
	}
	cause = c.addInterruption(cause)
	if c.result.Err == nil { // else it is the outcome of what failed
		c.result.Outcome = failedOutcome(plugin.VerbUpgrade, cause)
	}
	c.result.Err = cause
	if ctx.Err() != nil && !c.t.Interrupted {
		return // the next process undoes it
	}
	tried := c.mayHaveRun(ctx)
	if !c.hasFallback() && !c.t.Interrupted {
		if tried { // it is recorded: there is nothing better to run
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

// addInterruption adds to the cause that an operator wants the plugin, and
// notes whether the old version may be started.
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

// saveUndoing saves that the change is undone, and how. Where that fails it is
// undone without, and again when the transaction is found.
func (c *change) saveUndoing() {
	if err := c.saveStep(transaction.Undoing); err != nil {
		c.logFor(c.t.To.Plugin()).WithError(err).Warn("Undoing an upgrade cannot be noted")
	}
}

// restoreOld ends the new version, records the old one and starts it.
func (c *change) restoreOld(ctx context.Context, cause error, tried bool) {
	old, bad := c.t.From.Plugin(), c.t.To.Plugin()
	var failures []error
	settled := true // the record is the old one's, and of the new one nothing runs
	if tried {
		c.logFor(bad).WithField("cause", cause.Error()).Warn("Upgrade is rolled back")
		if stopped := c.stopPatiently(ctx, bad); stopped.Err != nil {
			failures, settled = append(failures, fmt.Errorf("end %s: %w", bad.Version, stopped.Err)), false
		}
	}
	if c.t.Replaces && settled { // the folder that is needed now, or nearly nothing to do
		if err := c.removeNew(bad.Version); err != nil {
			failures, settled = append(failures, fmt.Errorf("put the folder of %s back: %w", bad.Version, err)), false
		}
	}
	if tried {
		if _, err := c.writeRecord(ctx, *c.t.From); err != nil {
			failures, settled = append(failures, fmt.Errorf("put the record of %s back: %w", old.Version, err)), false
		}
	}
	c.result.Plugin, c.result.SysTag = old, plugin.SysTagNone
	if c.interrupt.leaveStopped() && !c.t.LeaveStopped { // received meanwhile
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
		return // not all is done: the next process goes on
	}
	_ = c.removeNew(bad.Version) // what a package replaced is back already
	c.finish()
}

// keepNew ends an interrupted change that has no old version to go back to.
func (c *change) keepNew(ctx context.Context, cause error) {
	p := c.t.To.Plugin()
	c.result.Plugin, c.result.SysTag = p, c.sysTag()
	c.result.Err = fmt.Errorf("%w, and %s stays installed: there is no other version to go back to", cause, p.Version)
	if c.t.LeaveStopped {
		if stopped := c.stopAndWait(ctx, p); stopped.Err != nil {
			c.result.Err = fmt.Errorf("%w; --stop: %w", c.result.Err, stopped.Err)
		}
		if ctx.Err() != nil {
			return // the next process goes on
		}
	}
	c.finish()
}

// quarantineNew keeps the new version from being tried again for a while, unless it was
// the host that failed (EV-24).
func (c *change) quarantineNew(cause error) error {
	if c.quarantine <= 0 || hostfault.Is(cause) {
		return nil
	}
	return c.changes.Quarantine(plugin.QuarantinedVersion{
		Name: c.t.Name, Version: c.t.To.Version, Until: time.Now().Add(c.quarantine), Cause: cause.Error(),
	})
}

// mayHaveRun reports whether the new version may have been run: the record names
// it, or where that is of both, its package is in place.
func (c *change) mayHaveRun(ctx context.Context) bool {
	if c.t.Replaces && c.t.From != nil && c.t.From.Version == c.t.To.Version {
		return c.isPlaced()
	}
	r, found, err := c.registry.Find(ctx, c.t.Name)
	return err != nil || found && r.Version == c.t.To.Version
}

// abandon ends a change that has touched nothing.
func (c *change) abandon(cause error) {
	if c.result.Err == nil {
		c.result.Outcome = failedOutcome(plugin.VerbUpgrade, cause)
	}
	if err := c.removeNew(c.t.To.Version); err != nil {
		c.result.Err = fmt.Errorf("%w; put the folder of %s back: %w", c.result.Err, c.t.To.Version, err)
		return // the next process goes on
	}
	c.finish()
}

// removeNew removes the new version's folder, if it is this change's and not the one
// that stays, or puts the folder back that a package has replaced.
func (c *change) removeNew(version string) error {
	switch {
	case c.t.Replaces:
		return install.PutBack(c.root, c.t.Name, version, c.t.Staged, c.step)
	case c.t.Made && (c.t.From == nil || c.t.From.Version != version):
		c.addNote(c.removeFolder(c.folderOf(version)))
	}
	return nil
}
