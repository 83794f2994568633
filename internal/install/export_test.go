package install

import "pluginsupervisor/internal/failpoint"

// WithStep returns the package with other steps than those of its installer.
func (s *Staged) WithStep(step failpoint.Step) *Staged {
	s.cfg.Step = step
	return s
}
