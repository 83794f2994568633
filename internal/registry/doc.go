// Package registry is the plugin database of one installation root: which
// plugins are installed, in which version and of which type.
//
// The database is one bbolt file, BASE/plugin/installed_plugins.db, shared with
// other programs of the host. So its format is theirs to the byte (SPEC 1), unknown
// fields survive a rewrite, and the file is opened for each operation and closed at
// once: a process that has it open for writing locks all others out (ST-09).
//
// Files get damaged over the years. Three cases are distinguished:
//
//   - The database is missing (ENOENT and nothing else): it is created, with
//     the records of the older installed_plugins JSON if there are any (ST-02,
//     ST-03). It appears complete or not at all: of two processes that create
//     it at once, the second opens the database of the first (ST-04).
//   - The database is damaged: its bytes were read and are not what a database
//     consists of (ST-07, ST-08). It is kept under another name, and a new
//     one is made from the config.json of the installed packages.
//   - The database cannot be read: no permission, an I/O error, no memory, a
//     lock that is not released. That is an error, and the file is left alone.
//
// Damage is verified twice, the second time with the file locked exclusively: a file
// that another process is still writing is not damaged. A single unusable record is
// not damage of the file: it is left out and named in plugin.List.Damaged (ST-06), as
// is one with a name that leads out of the installation (ST-15).
//
// internal/boltfile prevents that a damaged file faults the process; internal/record
// defines the record.
package registry
