// Package registry is the plugin database of one installation root: which
// plugins are installed, in which version and of which type.
//
// The database is one bbolt file, BASE/plugin/installed_plugins.db, shared with
// other programs of the host that know nothing of us. So its format is theirs
// to the byte (SPEC 1), what they wrote and we do not know survives a rewrite,
// and the file is opened for each operation and closed at once, because
// whoever has it open for writing keeps everybody else out (ST-09).
//
// A host lives longer than its files stay whole. Three cases are told apart,
// and the difference is the point of this package:
//
//   - The database is missing (ENOENT and nothing else): it is created, with
//     the records of the older installed_plugins JSON if there are any (ST-02,
//     ST-03). It appears complete or not at all, so that of two processes that
//     do it at once the second opens what the first made (ST-04).
//   - The database is damaged: its bytes were read and are not what a database
//     consists of (ST-07, ST-08). It is kept under another name and a new one
//     is made from the config.json of the installed packages.
//   - The database cannot be read: no permission, an I/O error, no memory, a
//     lock that is not let go. That is an error, and the file is left alone.
//
// Damage is verified twice, the second time with the file locked exclusively:
// what is not yet complete in another process's hands is not damaged. A single
// record that says nothing is not damage of the file: it is left out and named
// in plugin.List.Damaged (ST-06), as is one with a name that would lead out of
// the installation (ST-15).
//
// How a damaged file is kept from faulting the process is the subject of
// internal/boltfile; what a record consists of, of internal/record.
package registry
