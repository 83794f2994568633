// Package failpoint lets tests fail a sequence of file operations at any step.
//
// Code whose order matters after a crash (write, fsync, rename, remove) calls its Step
// before each operation and skips the operation on an error. In production Step is nil.
// A test of a crash returns an error at one step and all later ones, so that cleanup does
// not run either, as after SIGKILL. A test of a full disk returns ENOSPC once.
package failpoint

// Step is called with the name of an operation before it. Its error is returned instead
// of the operation. A nil Step allows everything.
type Step func(name string) error

// Before calls the step unless it is nil.
func (s Step) Before(name string) error {
	if s == nil {
		return nil
	}
	return s(name)
}
