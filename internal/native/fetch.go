package native

import (
	"context"
	"fmt"
	"sync"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/plugin"
)

// Fetch gets the package that a change needs, verified and unpacked, into
// staging, and keeps it until Change or Discard is called with the same change
// (UP-11). It touches nothing that is installed and holds no lock. It returns
// nil at once where no package is needed: the version is on this host and
// trusted, or the change is a removal, a rollback or the rest of an earlier one.
func (m *Manager) Fetch(ctx context.Context, c plugin.Change) error {
	switch c.Kind {
	case plugin.ChangeRemove, plugin.ChangeRollback, plugin.ChangeResume:
		return plugin.CheckName(c.Name)
	}
	if _, err := m.admit(ctx, c); err != nil {
		return err
	}
	if m.packages == nil {
		return nil
	}
	var distrust error // of what lies unpacked; a package that can be trusted takes its place
	if c.Package == "" && isFolder(m.dir(c.Name, c.Version)) {
		if distrust = m.distrust(ctx, c); distrust == nil {
			return nil
		}
	}
	staged, err := m.packages.Stage(ctx, c)
	switch {
	case err != nil && distrust != nil:
		return fmt.Errorf("%w; instead of it: %w", distrust, err)
	case err != nil:
		return err
	}
	if err := ctx.Err(); err != nil { // nobody waits for it any more
		m.discardStaged(c, staged)
		return err
	}
	m.discardStaged(c, m.staged.swap(c, staged))
	return nil
}

// distrust returns why what lies unpacked of a version may not be installed as it
// is, or nil. An operator may have it installed whatever it is.
func (m *Manager) distrust(ctx context.Context, c plugin.Change) error {
	if m.packages == nil || c.ByOperator() {
		return nil
	}
	return m.packages.Trusts(ctx, c.Name, c.Version)
}

// Discard drops what was fetched for a change that will not be made.
func (m *Manager) Discard(c plugin.Change) { m.discardStaged(c, m.staged.swap(c, nil)) }

// discardStaged removes a staged package, if there is one.
func (m *Manager) discardStaged(c plugin.Change, s *install.Staged) {
	if s == nil {
		return
	}
	if err := s.Discard(); err != nil {
		m.log.WithError(err).WithField("plugin", c.Name).Warn("Staging folder cannot be removed")
	}
}

// stagedPackages holds the packages that were fetched for changes that are not
// made yet. The zero value is empty.
type stagedPackages struct {
	mu   sync.Mutex
	each map[stagedKey]*install.Staged
}

type stagedKey struct {
	id   uint64
	name string
}

// get returns the package of a change, nil if none was fetched.
func (s *stagedPackages) get(c plugin.Change) *install.Staged {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.each[stagedKey{c.ID, c.Name}]
}

// swap keeps the package of a change, nil for none, and returns the one before.
func (s *stagedPackages) swap(c plugin.Change, staged *install.Staged) (before *install.Staged) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := stagedKey{c.ID, c.Name}
	before = s.each[key]
	if staged == nil {
		delete(s.each, key)
		return before
	}
	if s.each == nil {
		s.each = map[stagedKey]*install.Staged{}
	}
	s.each[key] = staged
	return before
}
