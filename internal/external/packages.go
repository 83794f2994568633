package external

import (
	"context"
	"fmt"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/plugin"
)

// Unsupported fails for a change that the program cannot make.
func (m *Manager) Unsupported(c plugin.Change) error {
	if c.Kind == plugin.ChangeRollback {
		return fmt.Errorf("the plugin manager %s cannot roll back: name the version to go back to, as in `supervisor upgrade %s@VERSION`", m.path, c.Name)
	}
	return nil
}

// Fetch fetches and verifies the package that an operator named, into staging (UP-11);
// the program installs it from there. The program itself fetches packages that the control plane
// lists.
func (m *Manager) Fetch(ctx context.Context, c plugin.Change) error {
	if err := m.Unsupported(c); err != nil || c.Package == "" {
		return err
	}
	s, err := m.packages.Stage(ctx, c)
	if err != nil {
		return err
	}
	m.discardStaged(c, m.staged.Swap(c, s))
	return nil
}

// Discard removes the package that was fetched for a change that is not made.
func (m *Manager) Discard(c plugin.Change) { m.discardStaged(c, m.staged.Swap(c, nil)) }

// discardStaged removes a staged package, if there is one.
func (m *Manager) discardStaged(c plugin.Change, s *install.Staged) {
	if s == nil {
		return
	}
	if err := s.Discard(); err != nil {
		m.log.WithError(err).WithField("plugin", c.Name).Warn("Cannot remove staging folder")
	}
}
