package policy

import (
	"time"

	"pluginsupervisor/plugin"
)

// FactKind is what a Fact is about.
type FactKind uint8

// The facts that the transition table knows. The list is closed.
const (
	Recorded         FactKind = iota // the plugin's record is in the database
	RecordGone                       // it is not any more
	Adopted                          // processes of it were found at the start of the supervisor
	ExitMissed                       // processes that were known are gone, no event told of it (EV-09)
	InstalledNow                     // another program has just installed it (EV-22)
	LockFreed                        // another program that held its name lock let go (EV-21)
	ProcessesSeen                    // what it runs as now
	SeenRunning                      // `--status` says running
	SeenDead                         // `--status` says not running
	Exited                           // its last process has exited
	ProcessExited                    // one of its processes has exited, others live on (EV-23)
	ExitExplained                    // the cause of an exit became known later (EV-10)
	HeartbeatSeen                    // a heartbeat in time, or none at all
	HeartbeatLate                    // a heartbeat that is overdue
	HealthPassed                     // a health check passes again
	HealthFailed                     // a health check failed as often as it may
	AttemptBegun                     // the attempt got its slot, its verb runs
	StartSucceeded                   // the attempt ended, the plugin runs
	StartFailed                      // the attempt ended, the plugin does not run as it should
	StopSucceeded                    // the stop ended, the plugin does not run
	StopFailed                       // the stop ended, the plugin still runs
	AttemptCancelled                 // the attempt was cancelled, nothing of its command is left
	OperatorStart                    // an operator wants it to run
	OperatorStop                     // an operator wants it stopped
	OperatorRestart                  // an operator wants it restarted
	OperatorChange                   // an operator wants another change than the one under way
	ChangeGranted                    // a change of its version is ready and may begin
	ChangeDropped                    // a change that was granted and not begun is not wanted any more
	ChangeCompleted                  // that change has ended
	HealthyDue                       // it was started HealthyAfter ago
	SilenceDue                       // it has not beaten for so long that it hangs
	RefreshDue                       // its status is to be reported again (SC-25)
	factCount
)

var factNames = [factCount]string{
	"Recorded", "RecordGone", "Adopted", "ExitMissed", "InstalledNow", "LockFreed", "ProcessesSeen", "SeenRunning", "SeenDead", "Exited", "ProcessExited", "ExitExplained",
	"HeartbeatSeen", "HeartbeatLate", "HealthPassed", "HealthFailed", "AttemptBegun", "StartSucceeded", "StartFailed", "StopSucceeded",
	"StopFailed", "AttemptCancelled", "OperatorStart", "OperatorStop", "OperatorRestart", "OperatorChange", "ChangeGranted",
	"ChangeDropped", "ChangeCompleted", "HealthyDue", "SilenceDue", "RefreshDue",
}

func (k FactKind) String() string { return factNames[k] }

// outdatesAnswers reports whether a fact of this kind is newer knowledge than what was
// asked before it: an answer to an older question is dropped (EV-26).
func (k FactKind) outdatesAnswers() bool {
	switch k {
	case Recorded, InstalledNow, LockFreed, ProcessesSeen, SeenRunning, SeenDead, ExitExplained, HeartbeatSeen, HeartbeatLate, HealthPassed, HealthFailed, HealthyDue, SilenceDue, RefreshDue:
		return false
	default:
		return true
	}
}

// Fact is something that is now known of a plugin. Which fields are set
// depends on Kind.
type Fact struct {
	Kind      FactKind
	Cause     string              // SeenDead, HealthFailed, StartFailed, StopFailed: why; Operator…: by whom
	Scan      bool                // SeenRunning, SeenDead: by the periodic scan
	Force     bool                // OperatorStart: whatever program holds the name lock (RS-11)
	Refresh   bool                // SeenRunning: asked for by RefreshDue
	LockHeld  bool                // SeenDead, ExitMissed: another program works on it (EV-21)
	Exit      plugin.Exit         // Exited, ProcessExited, ExitExplained
	Heartbeat plugin.Heartbeat    // BeatSeen, BeatLate
	Age       time.Duration       // BeatSeen, BeatLate: of the beat by its own date
	ByEvent   bool                // BeatSeen, BeatLate: told by an event, so that Age is exact
	RunID     uint64              // Adopted, ExitMissed, ProcessesSeen: number of the run
	Processes []plugin.Process    // Adopted, ProcessesSeen
	At        plugin.Moment       // StartSucceeded, StartFailed: when the attempt ended
	Outcome   plugin.Outcome      // StartSucceeded, StartFailed, StopFailed
	Probe     plugin.Probe        // StartFailed: what `--status` said afterwards
	HostFault bool                // StartFailed, StopFailed: the host could not run it (EV-24)
	Gone      bool                // StartFailed, StopFailed: it was not run, its record is gone (EV-22)
	Plugin    plugin.Plugin       // Recorded
	Gen       uint64              // Recorded: number of the order that the list answers
	Change    plugin.Change       // ChangeGranted, ChangeCompleted
	Result    plugin.ChangeResult // ChangeCompleted
	Request   plugin.Request      // OperatorChange
}
