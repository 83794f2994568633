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

// The variables that every verb gets (SPEC 2). A process hands the first down,
// and is known by it as a plugin's.
const (
	EnvDir         = "PLUGIN_DIR"     // the folder of this version
	EnvPreviousDir = "PRE_PLUGIN_DIR" // that of the version before; empty but for an upgrade
)

// MayLeaveDaemon tells whether the verb may leave a process behind that is
// meant to stay, and so must not be given a pipe (SPEC 11).
func (v Verb) MayLeaveDaemon() bool {
	switch v {
	case VerbStart, VerbRestart, VerbUpgrade, VerbInstall:
		return true
	default:
		return false
	}
}

// Probe is what `--status` of one plugin told (SC-08).
type Probe struct {
	Plugin    Plugin
	Status    Status    // StatusRunning or StatusFailed; StatusRemoved from an external manager; StatusUnknown if it could not be asked
	At        time.Time // when it was known
	Cause     string    // why it is not running: "exit 3", "no answer in 3s", "executable missing"; "" when running
	SlowStart bool      // it ran only after it had been asked again: `--start` returned too early (RS-06)
	NoAnswer  bool      // it hung and was ended at its deadline
	// HostFault reports that the host could not run `--status`: the status is unknown, and Cause says why (EV-24).
	HostFault bool
	LockHeld  bool // not running: another program holds the plugin's name lock, or did shortly before (EV-21)
}

// Heartbeat is what a plugin's heartbeat file told (PL-05 to PL-10).
type Heartbeat struct {
	Plugin Plugin
	Found  bool      // the file exists (PL-06)
	Last   time.Time // the last beat; a date in the future is replaced by when the file changed (PL-09)
	Err    error     // the file is there but says nothing (PL-07, PL-10)
	// HostFault reports that the host could not read the file, and Err says why (EV-24).
	HostFault bool
}

// HeartbeatGrace is how much later than its interval a beat may come (PL-08).
const HeartbeatGrace = 5 * time.Second

// AgeAt is how long the plugin has not beaten, in whole seconds as the file has them.
func (b Heartbeat) AgeAt(now time.Time) time.Duration {
	return time.Duration(now.Unix()-b.Last.Unix()) * time.Second
}

// StatusAt judges the beat: failed when it is older than the interval and the
// grace together; exactly that old is running (PL-08).
func (b Heartbeat) StatusAt(now time.Time) Status {
	if b.AgeAt(now) > b.Plugin.HeartbeatInterval+HeartbeatGrace {
		return StatusFailed
	}
	return StatusRunning
}

// ErrNotInstalled is the error of a verb that was not run because the plugin had
// been removed since it was listed (RS-09, EV-22).
var ErrNotInstalled = errors.New("no longer installed")

// Outcome is how running one verb of a plugin ended.
type Outcome struct {
	Verb     Verb
	ExitCode int  // the verb's own; -1 when it did not exit by itself
	TimedOut bool // its deadline hit and its process tree was ended (RS-08)
	// Skipped: another program held the plugin's lock, and when it let go the
	// plugin ran already; the verb was not run (RS-11).
	Skipped bool
	// HostFault reports that the host could not run the verb, for want of a
	// process or a descriptor for example. That says nothing about the plugin (EV-24).
	HostFault bool
	Output    string // the end of what it printed, at most 4 KiB
	Err       error  // nil only when the verb ran and exited 0, or was skipped
	// RunID is the number of what the verb left running, and Processes are what
	// that runs as; 0 and none where nobody watches it.
	RunID     uint64
	Processes []Process
}

// Cause says in a few words how the verb failed: "exit 3", "did not return within 1m0s",
// or the error; "" when it did not. Of a start that does not return it says
// what is wanted, as the daemon may well run.
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
