// Package boltfile opens bbolt files that may be damaged, and keeps a damaged
// one from taking the process with it.
//
// bbolt maps its file into memory and trusts it: reading a page behind the end
// of a file that was cut short is a SIGBUS, a page that points to itself is an
// endless recursion, a length that was overwritten is a slice over memory that
// is not there. None of the three comes back as an error. So this package
//
//   - takes the lock itself, with a bounded wait, and verifies the file under it,
//     so that a file another process is just creating is not taken for an
//     empty one (file.go);
//   - reads every page that is in use before bbolt does and checks that it is
//     where and what it should be, with its keys in order (verify.go);
//   - runs every transaction so that a fault or a panic inside ends as
//     ErrDamaged, for what happens to the file after it was verified (guard.go).
//
// What to do about a damaged file is the caller's: SetAside is the usual first
// step, and overwrites nothing that was set aside before (aside.go). An error that is not ErrDamaged, such as a full disk or a missing
// permission, says nothing about the content.
package boltfile
