// Package failure is the one error of package installation: what went wrong, as
// a reason from a closed list, with the exit code the command line has for it
// (SPEC 11) and a text for who reads it.
package failure

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Reason is why a package was not installed. Its text is stable: it serves as a
// label of metrics.
type Reason string

// The reasons, each with its exit code (SPEC 11).
const (
	Locked    Reason = "locked"    // 232: another program works on it
	NotFound  Reason = "not-found" // 234: there is no such file
	NotZip    Reason = "not-a-zip" // 235
	Unzip     Reason = "unzip"     // 236: an entry is refused, a limit exceeded, or the data damaged (CL-13)
	Config    Reason = "config"    // 237: config.json is not JSON of the right shape
	Package   Reason = "package"   // 238: config.json missing, or what it says is not acceptable (CL-11)
	Digest    Reason = "digest"    // 239: not the bytes that were promised, or promised too weakly
	Signature Reason = "signature" // 239: not signed by a trusted key, expired or replayed
	Download  Reason = "download"  // 240
	Exists    Reason = "exists"    // 238: this version is there already
	Storage   Reason = "storage"   // 236: the file system under BASE refuses
)

// Error is a Reason with the error behind it.
type Error struct {
	Reason Reason
	Err    error

	Name, Version string // of the package, where its config.json could be read
}

// New is an Error whose text is formatted as by fmt.Errorf.
func New(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Err: fmt.Errorf(format, args...)}
}

// Because is err with a reason, unless it has one already.
func Because(r Reason, err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{Reason: r, Err: err}
}

// Of returns err with the name and version of the package that it is about. err
// is an *Error.
func Of(name, version string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Name, e.Version = name, version
	}
	return err
}

// Error says what happened; a full disk is named before all else.
func (e *Error) Error() string {
	if e.DiskFull() {
		return "the disk is full: " + e.Err.Error()
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// DiskFull tells that there was no room, on the disk or in the quota.
func (e *Error) DiskFull() bool {
	return errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT)
}

// ExitCode is the command line's exit code for the error (SPEC 11).
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
