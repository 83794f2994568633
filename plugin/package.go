package plugin

import (
	"errors"
	"fmt"
	"time"
)

// Verified says how the package of an installed version was verified.
type Verified string

// The ways, from the best to none. The zero value is unknown: the version was on
// the host before, or another program installed it.
const (
	VerifiedUnknown Verified = ""
	BySignature     Verified = "signature" // a trusted key signed its SHA-256
	BySHA256        Verified = "sha256"
	ByMD5           Verified = "md5"  // detects an accident, not an attack
	ByNothing       Verified = "none" // nothing was given and nothing required
)

// IsUnverified reports whether an attacker could have changed the package unnoticed.
// It is false for VerifiedUnknown.
func (v Verified) IsUnverified() bool { return v == ByMD5 || v == ByNothing }

// Describe returns the text for users.
func (v Verified) Describe() string {
	switch v {
	case VerifiedUnknown:
		return "verification unknown"
	case BySignature:
		return "verified by signature"
	case BySHA256:
		return "verified by SHA-256"
	case ByMD5:
		return "verified by MD5 only"
	default:
		return "not verified"
	}
}

// QuarantinedVersion is a version of a plugin that is not installed before Until,
// unless an operator requests it.
type QuarantinedVersion struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Until   time.Time `json:"until"`
	Cause   string    `json:"cause"`
}

func (b QuarantinedVersion) Error() string {
	return fmt.Sprintf("version %s is in quarantine until %s: %s", b.Version, b.Until.Local().Format("2006-01-02 15:04"), b.Cause)
}

// FetchProgress is a package that is being fetched.
type FetchProgress struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Done    int64  `json:"done"`  // bytes
	Total   int64  `json:"total"` // bytes; -1: not known
}

// Blocked is a version that the control plane assigned and whose package could
// not be taken (UP-14).
type Blocked struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Package string    `json:"package"` // ID of the package, see PackageError
	Cause   string    `json:"cause"`   // of the last try
	Tries   int       `json:"tries"`
	Since   time.Time `json:"since"` // of the first try
	Next    time.Time `json:"next"`  // the next try
}

func (b Blocked) Error() string {
	return fmt.Sprintf("version %s is blocked until %s: %s", b.Version, b.Next.Local().Format("2006-01-02 15:04"), b.Cause)
}

// PackageError says that the package of a version could not be taken: fetched,
// verified or checked.
type PackageError struct {
	// Package is the ID of the package. It differs for another package of the same
	// version, with another URL or digest.
	Package string
	Err     error
}

func (e *PackageError) Error() string { return e.Err.Error() }

func (e *PackageError) Unwrap() error { return e.Err }

// ErrAvoided is the error of a PackageError when the package is Change.Avoid.
var ErrAvoided = errors.New("blocked, and not tried again yet")
