// Package hostfault tells what the host could not do from what is wrong with a
// plugin (EV-24).
package hostfault

import (
	"errors"
	"slices"
	"syscall"
)

// Err is beneath the error of what the host could not do for a plugin: it had
// no process, memory or descriptor to spare, or a file system did not answer.
// That says nothing about the plugin.
var Err = errors.New("the host cannot do it")

// errnos are what the system answers then. An executable may be busy because it
// is just being written; a file system may have failed beneath it, or be
// read-only.
var errnos = [...]syscall.Errno{
	syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.ETXTBSY,
	syscall.EIO, syscall.ESTALE, syscall.ENOTCONN, syscall.ETIMEDOUT, syscall.EINTR, syscall.ENOLCK,
}

// fault is an error with a text of its own.
type fault struct {
	text   string
	causes []error
}

func (f *fault) Error() string   { return f.text }
func (f *fault) Unwrap() []error { return f.causes }

// New returns the error, with that text, of what the host could not do.
func New(text string, causes ...error) error {
	return &fault{text, append([]error{Err}, causes...)}
}

// Is reports whether the error of something that we did for a plugin is the
// host's fault, and not the plugin's.
func Is(err error) bool {
	return errors.Is(err, Err) || slices.ContainsFunc(errnos[:], func(e syscall.Errno) bool { return errors.Is(err, e) })
}
