package plugin

import (
	"errors"
	"fmt"
	"time"
)

// Verb is the one argument a plugin's executable is called with (SPEC 2).
type Verb string

// The verbs of the plugin contract.
const (
	VerbStatus    Verb = "--status"
	VerbStart     Verb = "--start"
	VerbStop      Verb = "--stop"
	VerbInstall   Verb = "--install"
	VerbUninstall Verb = "--uninstall"
	VerbUpgrade   Verb = "--upgrade"
	VerbRestart   Verb = "--restart"
)

// The environment variables of every verb (SPEC 2). Child processes inherit the
// first, which identifies them as the plugin's.
const (
	EnvDir         = "PLUGIN_DIR"     // the folder of this version
	EnvPreviousDir = "PRE_PLUGIN_DIR" // the previous version's folder; empty except for an upgrade
)

// MayLeaveDaemon reports whether the verb may start a daemon, so that it must not
// get a pipe (SPEC 11).
func (v Verb) MayLeaveDaemon() bool {
	switch v {
	case VerbStart, VerbRestart, VerbUpgrade, VerbInstall:
		return true
	default:
		return false
	}
}

// Probe is the result of `--status` of one plugin (SC-08).
type Probe struct {
	Plugin    Plugin
	Status    Status    // StatusRunning or StatusFailed; StatusRemoved from an external manager; StatusUnknown if it could not be run
	At        time.Time // time of the result
	Cause     string    // why it is not running: "exit 3", "no answer in 3s", "executable missing"; "" when running
	SlowStart bool      // running only at a later `--status`: `--start` returned too early (RS-06)
	NoAnswer  bool      // it hung and was killed at its deadline
	// HostFault reports whether the host could not run `--status`: the status is unknown, and Cause says why (EV-24).
	HostFault bool
	LockHeld  bool // not running: another program holds the plugin's name lock, or did shortly before (EV-21)
}

// Heartbeat is the content of a plugin's heartbeat file (PL-05 to PL-10).
type Heartbeat struct {
	Plugin Plugin
	Found  bool      // the file exists (PL-06)
	Last   time.Time // the last heartbeat; a date in the future is replaced by the file's modification time (PL-09)
	Err    error     // the file exists but cannot be read or parsed (PL-07, PL-10)
	// HostFault reports whether the host could not read the file; Err says why (EV-24).
	HostFault bool
}

// HeartbeatGrace is the time after its interval that a heartbeat is not yet late (PL-08).
const HeartbeatGrace = 5 * time.Second

// AgeAt returns the age of the last heartbeat, in whole seconds as the file has them.
func (b Heartbeat) AgeAt(now time.Time) time.Duration {
	return time.Duration(now.Unix()-b.Last.Unix()) * time.Second
}

// StatusAt returns the status by the heartbeat: failed when it is older than the
// interval plus the grace; exactly that old is running (PL-08).
func (b Heartbeat) StatusAt(now time.Time) Status {
	if b.AgeAt(now) > b.Plugin.HeartbeatInterval+HeartbeatGrace {
		return StatusFailed
	}
	return StatusRunning
}

// ErrNotInstalled is the error of a verb that was not run because the plugin was
// removed after it was listed (RS-09, EV-22).
var ErrNotInstalled = errors.New("no longer installed")

// Outcome is the result of running one verb of a plugin.
type Outcome struct {
	Verb     Verb
	ExitCode int  // of the verb; -1 when it did not exit by itself
	TimedOut bool // its process tree was killed at the deadline (RS-08)
	// Skipped reports whether the verb was not run because the plugin was running
	// when another program released its lock (RS-11).
	Skipped bool
	// HostFault reports whether the host could not run the verb, because it had no
	// process or descriptor left for example. It is no failure of the plugin (EV-24).
	HostFault bool
	Output    string // the end of its output, at most 4 KiB
	Err       error  // nil only when the verb ran and exited 0, or was skipped
	// RunID is the number of the run that the verb started, and Processes are its
	// processes; 0 and none if it is not watched.
	RunID     uint64
	Processes []Process
}

// Cause returns in a few words why the verb failed: "exit 3", "did not return within 1m0s",
// or the error; "" on success. For a start that does not return it adds what to
// do, because the daemon may be running.
func (o Outcome) Cause() string {
	switch {
	case o.Err == nil:
		return ""
	case o.TimedOut && (o.Verb == VerbStart || o.Verb == VerbRestart):
		return fmt.Sprintf("%v (%s must put the daemon in the background and return)", o.Err, o.Verb)
	default:
		return o.Err.Error()
	}
}
