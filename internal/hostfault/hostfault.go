// Package hostfault distinguishes failures of the host from failures of a plugin (EV-24).
package hostfault

import (
	"errors"
	"slices"
	"syscall"
)

// Err is wrapped by errors of the host: it had no free process, memory or descriptor, or
// a file system did not answer. The plugin is not the cause.
var Err = errors.New("the host cannot do it")

// errnos holds the system errors of a failing host. An executable may be busy because it
// is being written; its file system may have failed or be read-only.
var errnos = [...]syscall.Errno{
	syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.ETXTBSY,
	syscall.EIO, syscall.ESTALE, syscall.ENOTCONN, syscall.ETIMEDOUT, syscall.EINTR, syscall.ENOLCK,
}

// textError is an error with its own text.
type textError struct {
	text   string
	causes []error
}

func (f *textError) Error() string   { return f.text }
func (f *textError) Unwrap() []error { return f.causes }

// New returns an error of the host with that text.
func New(text string, causes ...error) error {
	return &textError{text, append([]error{Err}, causes...)}
}

// Is reports whether the error is a fault of the host, not of the plugin.
func Is(err error) bool {
	return errors.Is(err, Err) || slices.ContainsFunc(errnos[:], func(e syscall.Errno) bool { return errors.Is(err, e) })
}
