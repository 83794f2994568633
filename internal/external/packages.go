package external

import (
	"context"
	"fmt"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/plugin"
)

// Unsupported returns why the program cannot make such a change, or nil.
func (m *Manager) Unsupported(c plugin.Change) error {
	if c.Kind == plugin.ChangeRollback {
		return fmt.Errorf("the plugin manager %s cannot roll back: name the version to go back to, as in `supervisor upgrade %s@VERSION`", m.path, c.Name)
	}
	return nil
}

// Fetch gets the package that an operator named, verified, into staging (UP-11):
// the program installs it from there. What the control plane lists the program
// fetches itself.
func (m *Manager) Fetch(ctx context.Context, c plugin.Change) error {
	if err := m.Unsupported(c); err != nil || c.Package == "" {
		return err
	}
	s, err := m.packages.Stage(ctx, c)
	if err != nil {
		return err
	}
	m.discard(c, m.staged.Swap(c, s))
	return nil
}

// Discard drops what was fetched for a change that will not be made.
func (m *Manager) Discard(c plugin.Change) { m.discard(c, m.staged.Swap(c, nil)) }

// discard removes a staged package, if there is one.
func (m *Manager) discard(c plugin.Change, s *install.Staged) {
	if s == nil {
		return
	}
	if err := s.Discard(); err != nil {
		m.log.WithError(err).WithField("plugin", c.Name).Warn("Staging folder cannot be removed")
	}
}
