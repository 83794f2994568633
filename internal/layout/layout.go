// Package layout defines every path below an installation root (BASE of SPEC 1).
// Names and versions must be valid, see plugin.CheckName.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
)

// The files in the folder of a version.
const (
	Heartbeat     = "heartbeat"          // written by the plugin
	PackageConfig = "config.json"        // part of the package
	Commander     = "axt-commander.json" // part of a package of type Commander, for the existing agent
	Service       = "service.yaml"       // part of the package of a program that does not speak the plugin contract (SPEC 16)
	Shim          = "plugin-shim"        // the executable of a package that has a Service
	Origin        = ".origin.json"       // how its package was verified; absent where another program unpacked it
)

// ServiceFolder is the folder in a version's folder for the files of the shim.
const ServiceFolder = ".service"

// Run is the record of the running process of a version folder's program.
func Run(dir string) string { return filepath.Join(dir, ServiceFolder, "run.json") }

// ServiceLock is held while a program is started or stopped.
func ServiceLock(dir string) string { return filepath.Join(dir, ServiceFolder, "lock") }

// ServiceLog is the log of a program that has no configured file for its output.
func ServiceLog(dir string) string { return filepath.Join(dir, ServiceFolder, "output.log") }

// Plugins is the folder of the plugins and of their database.
func Plugins(root string) string { return filepath.Join(root, "plugin") }

// Plugin is the folder of a plugin's versions.
func Plugin(root, name string) string { return filepath.Join(Plugins(root), name) }

// Version is the folder of one version of a plugin.
func Version(root, name, version string) string { return filepath.Join(Plugin(root, name), version) }

// HalfRemoved returns the name of a plugin's or a version's folder while it is being
// removed. It is no valid name of a plugin or a version.
func HalfRemoved(dir string) string {
	return filepath.Join(filepath.Dir(dir), FileName(halfRemoved+filepath.Base(dir)))
}

const halfRemoved = ".removed-"

// IsHalfRemoved reports whether a folder is one that HalfRemoved returns.
func IsHalfRemoved(dir string) bool { return strings.HasPrefix(filepath.Base(dir), halfRemoved) }

// Replaced is the old folder of a plugin's version while a package replaces it, until
// it is certain that it is not needed any more.
func Replaced(root, name string) string {
	return filepath.Join(Supervisor(root), "replaced", SuffixedName(name, ".old"))
}

// Arriving is the folder of the package that replaces Replaced, before the exchange,
// and after the exchange was undone.
func Arriving(root, name string) string {
	return filepath.Join(Supervisor(root), "replaced", SuffixedName(name, ".new"))
}

// Database is the plugin database, shared with other programs.
func Database(root string) string { return filepath.Join(Plugins(root), "installed_plugins.db") }

// TempDatabase begins the name, in Plugins, of a database that is being built, before
// it replaces Database.
const TempDatabase = ".installed_plugins.db."

// LegacyList is the older list of plugins, which the database replaced.
func LegacyList(root string) string { return filepath.Join(Plugins(root), "installed_plugins") }

// CheckIntervals is the file of intervals that the existing product reads (TM-06).
func CheckIntervals(root string) string { return filepath.Join(root, "config", "PluginCheckInterval") }

// NameLock is the lock file of a plugin, shared with other programs.
func NameLock(root, name string) string {
	return filepath.Join(root, "cache", "plugin-manager", FileName(name+".lock"))
}

// VersionLock is the lock file of one version while it is being installed.
func VersionLock(root, name, version string) string { return NameLock(root, name+".v"+version) }

// Supervisor is the folder that no other program uses.
func Supervisor(root string) string { return filepath.Join(root, "supervisor") }

// WritableProbe begins the name of the file that tests whether Supervisor is writable.
const WritableProbe = ".writable-"

// SupervisorLock is held by the one supervisor of the root.
func SupervisorLock(root string) string { return filepath.Join(Supervisor(root), "supervisor.lock") }

// Socket is the admin socket, unless another one is configured.
func Socket(root string) string { return filepath.Join(Supervisor(root), "supervisor.sock") }

// SecondSocket is the admin socket while Socket, or the configured one, cannot be made,
// as on a full or read-only disk (EV-28). Clients try it second.
func SecondSocket(root string) string {
	return filepath.Join("/run", "supervisor", RootID(root)+".sock")
}

// RootID returns 8 hex digits that identify a root, of the SHA-256 of its path.
func RootID(root string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(root)))
	return hex.EncodeToString(sum[:4])
}

// InstanceID is the file with the generated ID of this host.
func InstanceID(root string) string { return filepath.Join(Supervisor(root), "instance-id") }

// State is the database of the supervisor's own state.
func State(root string) string { return filepath.Join(Supervisor(root), "state.db") }

// WAL is the log of changes since the database at the path state was last written.
func WAL(state string) string { return state + ".wal" }

// Journal is the journal in the folder dir, usually Supervisor.
func Journal(dir string) string { return filepath.Join(dir, "journal.jsonl") }

// OlderJournal is the older part of the journal in the folder dir.
func OlderJournal(dir string) string { return filepath.Join(dir, "journal.1.jsonl") }

// Logs is the folder of the plugins' logs.
func Logs(root string) string { return filepath.Join(Supervisor(root), "log") }

// Log is the file that a plugin's daemon writes to (SPEC 11).
func Log(root, name string) string {
	return filepath.Join(Logs(root), SuffixedName(name, ".log"))
}

// Staging is the folder of packages that are being fetched and checked.
func Staging(root string) string { return filepath.Join(Supervisor(root), "staging") }

// StagingLock is held while a folder is made in Staging, and while it is swept.
func StagingLock(root string) string { return filepath.Join(Supervisor(root), "staging.lock") }

// The folders in Supervisor that hold small records, see Note.
const (
	Transactions = "transactions" // changes under way, by plugin
	Quarantine   = "quarantine"   // blocked versions
	Sequences    = "sequences"    // the highest sequence of a signed package, by plugin
	History      = "history"      // the versions that were installed, by plugin
)

// Outbox is the folder of the reports that a command could not deliver.
func Outbox(root string) string { return filepath.Join(Supervisor(root), "outbox") }

// noteSuffix ends the name of each file in a folder of notes.
const noteSuffix = ".json"

// Notes returns a folder in Supervisor that holds small records.
func Notes(root, folder string) string { return filepath.Join(Supervisor(root), folder) }

// Note returns the record of a name in such a folder.
func Note(root, folder, name string) string {
	return filepath.Join(Notes(root, folder), SuffixedName(name, noteSuffix))
}

// IsNote reports whether a file in such a folder is a record.
func IsNote(path string) bool { return strings.HasSuffix(path, noteSuffix) }
