// Package transaction keeps the changes of plugins on disk while they are made, so
// that a change that was interrupted at any step is finished or undone (SPEC 11).
//
// A change of one plugin is one file, BASE/supervisor/transactions/<name>.json.
// It is written before anything is changed and removed when all is done; in
// between it holds the step of the change. A file appears whole or not at all,
// and is on the disk itself when Save returns (internal/durable).
//
// The process that holds the plugin's name lock exclusively owns its file; the
// package takes no lock of its own. So the supervisor and a command line may share
// it, and a file whose name lock is free was left by a process that was killed.
//
// Beside them are the versions in quarantine,
// BASE/supervisor/quarantine/<name>@<version>.json, the highest sequence of a
// signed package that was installed, BASE/supervisor/sequences/<name>.json, and the
// versions that were installed, BASE/supervisor/history/<name>.json.
package transaction
