// Package transaction keeps on disk what is being changed about a plugin, so
// that a change that was cut short at any point is finished or undone (SPEC 11).
//
// A change of one plugin is one file, BASE/supervisor/transactions/<name>.json.
// It is written before anything is touched and removed when all is done; in
// between it says how far the change has come. A file appears whole or not at
// all, and is on the disk itself when Save returns (internal/durable).
//
// Whoever holds the plugin's name lock exclusively owns its file; the package
// takes no lock of its own. So the supervisor and a command line may share it, and a
// file whose name lock is free was left by somebody who was killed.
//
// Beside them is what is not to be installed again for a while:
// BASE/supervisor/quarantine/<name>@<version>.json, and the highest sequence of
// a signed package that was installed: BASE/supervisor/sequences/<name>.json.
package transaction
