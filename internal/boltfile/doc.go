// Package boltfile opens bbolt files that may be damaged, without crashing the
// process.
//
// bbolt maps its file into memory and trusts it: reading a page behind the end of a
// truncated file is a SIGBUS, a page that points to itself an endless recursion, an
// overwritten length a slice over unmapped memory. bbolt returns no error for these.
// So this package
//
//   - takes the lock itself, with a limited wait, and verifies the file under it, so
//     that a file that another process is creating is not mistaken for an empty one
//     (file.go);
//   - reads every page in use before bbolt does, and checks its place, type and key
//     order (verify.go);
//   - converts a fault or panic in a transaction to ErrDamaged, for damage after the
//     file was verified (guard.go).
//
// The caller decides how to handle a damaged file. SetAside is the usual first step;
// it never overwrites a file that was set aside before (aside.go). Other errors than
// ErrDamaged, such as a full disk or a missing permission, do not mean damage.
package boltfile
