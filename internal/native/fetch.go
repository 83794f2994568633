package native

import (
	"context"
	"fmt"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/plugin"
)

// Unsupported returns nil: this manager makes every change.
func (m *Manager) Unsupported(plugin.Change) error { return nil }

// Fetch gets the package that a change needs, verified and unpacked, into
// staging, and keeps it until Change or Discard is called with the same change
// (UP-11). It touches nothing that is installed and holds no lock. It returns
// nil at once where no package is needed: the version is on this host and
// trusted, or the change is a removal, a rollback or the resumption of an earlier one.
func (m *Manager) Fetch(ctx context.Context, c plugin.Change) error {
	switch c.Kind {
	case plugin.ChangeRemove, plugin.ChangeRollback, plugin.ChangeResume:
		return plugin.CheckName(c.Name)
	}
	if _, err := m.checkChange(ctx, c); err != nil {
		return err
	}
	if m.packages == nil {
		return nil
	}
	var untrusted error // why the unpacked folder is not; a trusted package replaces it
	if c.Package == "" && isFolder(m.versionFolder(c.Name, c.Version)) {
		if untrusted = m.checkTrust(ctx, c); untrusted == nil {
			return nil
		}
	}
	staged, err := m.packages.Stage(ctx, c)
	switch {
	case err != nil && untrusted != nil:
		return fmt.Errorf("%w; cannot fetch a package to replace it: %w", untrusted, err)
	case err != nil:
		return err
	}
	if err := ctx.Err(); err != nil { // the caller has given up
		m.discardStaged(c, staged)
		return err
	}
	m.discardStaged(c, m.staged.Swap(c, staged))
	return nil
}

// checkTrust returns why the unpacked folder of a version may not be installed as
// it is, or nil. An operator may install any.
func (m *Manager) checkTrust(ctx context.Context, c plugin.Change) error {
	if m.packages == nil || c.ByOperator() {
		return nil
	}
	return m.packages.Trusts(ctx, c.Name, c.Version)
}

// Discard removes the package that was fetched for a change that will not be made.
func (m *Manager) Discard(c plugin.Change) { m.discardStaged(c, m.staged.Swap(c, nil)) }

// discardStaged removes a staged package, if there is one.
func (m *Manager) discardStaged(c plugin.Change, s *install.Staged) {
	if s == nil {
		return
	}
	if err := s.Discard(); err != nil {
		m.log.WithError(err).WithField("plugin", c.Name).Warn("Cannot remove the staging folder")
	}
}
