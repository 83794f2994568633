package install

import "pluginsupervisor/internal/failpoint"

// WithStep sets the step of a staged package and returns it.
func (s *Staged) WithStep(step failpoint.Step) *Staged {
	s.cfg.Step = step
	return s
}
