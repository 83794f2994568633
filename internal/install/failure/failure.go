// Package failure defines the error of package installation: a reason from a
// closed list, the exit code of the command line (SPEC 11) and a text for people.
package failure

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Reason is the kind of a failure. Its text is stable: metrics use it as a label.
type Reason string

// The reasons, each with its exit code (SPEC 11).
const (
	Locked    Reason = "locked"    // 232: another program holds the lock
	NotFound  Reason = "not-found" // 234: no such file
	NotZip    Reason = "not-a-zip" // 235
	Unzip     Reason = "unzip"     // 236: an entry is not allowed, a limit exceeded, or the data damaged (CL-13)
	Config    Reason = "config"    // 237: config.json is not JSON of the right shape
	Package   Reason = "package"   // 238: config.json is missing or not acceptable (CL-11)
	Digest    Reason = "digest"    // 239: the digest is wrong, or no SHA-256 where one is required
	Signature Reason = "signature" // 239: not signed by a trusted key, expired or replayed
	Download  Reason = "download"  // 240
	Exists    Reason = "exists"    // 238: this version is installed already
	Storage   Reason = "storage"   // 236: error of the file system under BASE
)

// Error is a Reason with the underlying error.
type Error struct {
	Reason Reason
	Err    error

	Name, Version string // of the package, where its config.json could be read
}

// New returns an Error with a text formatted by fmt.Errorf.
func New(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Err: fmt.Errorf(format, args...)}
}

// Because returns err with a reason, unless it has one already.
func Because(r Reason, err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{Reason: r, Err: err}
}

// Of sets the name and version of the package in err, if it is an *Error, and
// returns err.
func Of(name, version string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Name, e.Version = name, version
	}
	return err
}

// Error returns the text of the underlying error. A full disk is named first.
func (e *Error) Error() string {
	if e.DiskFull() {
		return "the disk is full: " + e.Err.Error()
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// DiskFull reports whether the disk or the quota was full.
func (e *Error) DiskFull() bool {
	return errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT)
}

// ExitCode returns the exit code of the command line for the error (SPEC 11).
func (e *Error) ExitCode() int {
	switch e.Reason {
	case Locked:
		return 232
	case NotFound:
		return 234
	case NotZip:
		return 235
	case Config:
		return 237
	case Package, Exists:
		return 238
	case Digest, Signature:
		return 239
	case Download:
		return 240
	}
	if errors.Is(e.Err, fs.ErrPermission) {
		return 244
	}
	return 236
}
