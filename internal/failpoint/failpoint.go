// Package failpoint is the seam at which a test stops work on files half-way.
//
// Code whose order matters after a crash — write, fsync, rename, remove — asks
// its Step before each such operation and does not do it when Step says no. In
// production Step is nil and everything happens. A test that plays a crash
// answers with an error at one step and at all that follow: then cleaning up
// does not happen either, as it would not after SIGKILL. A test that plays a
// full disk answers with ENOSPC once.
package failpoint

// Step is asked before an operation, by its name. An error is returned in place
// of the operation. A nil Step agrees to everything.
type Step func(name string) error

// Before asks the step.
func (s Step) Before(name string) error {
	if s == nil {
		return nil
	}
	return s(name)
}
