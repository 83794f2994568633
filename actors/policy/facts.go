package policy

import (
	"time"

	"pluginsupervisor/plugin"
)

// FactKind is the kind of a Fact.
type FactKind uint8

// The facts of the transition table.
const (
	Recorded         FactKind = iota // the plugin's record is in the database
	RecordGone                       // its record is no longer in the database
	Reattached                       // processes of it were found at the start of the supervisor
	ExitMissed                       // processes that were known have exited without an event (EV-09)
	InstalledNow                     // another program has just installed it (EV-22)
	LockFreed                        // another program has released its name lock (EV-21)
	ProcessesSeen                    // its current processes
	SeenRunning                      // `--status` says running
	SeenDead                         // `--status` says not running
	Exited                           // its last process has exited
	ProcessExited                    // one of its processes has exited, others are still running (EV-23)
	ExitExplained                    // the cause of an exit became known later (EV-10)
	HeartbeatSeen                    // a heartbeat in time, or no heartbeat file
	HeartbeatLate                    // a heartbeat that is overdue
	HealthPassed                     // a health check passes again
	HealthFailed                     // the health check failed as often as is allowed
	AttemptBegun                     // the attempt has its slot, its verb runs
	StartSucceeded                   // the attempt has finished, the plugin runs
	StartFailed                      // the attempt has finished, the plugin does not run
	StopSucceeded                    // the stop has finished, the plugin does not run
	StopFailed                       // the stop has finished, the plugin still runs
	AttemptCancelled                 // the attempt was cancelled, its processes have exited
	OperatorStart                    // an operator's command to start it
	OperatorStop                     // an operator's command to stop it
	OperatorRestart                  // an operator's command to restart it
	OperatorChange                   // an operator's command to make another change, or none
	ChangeGranted                    // a change of its version is ready and may begin
	ChangeDropped                    // a change that was granted and not begun was cancelled
	ChangeCompleted                  // that change has finished
	HealthyDue                       // it was started HealthyAfter ago
	SilenceDue                       // it has sent no heartbeat for so long that it hangs
	RefreshDue                       // its status is to be reported again (SC-25)
	factCount
)

var factNames = [factCount]string{
	"Recorded", "RecordGone", "Reattached", "ExitMissed", "InstalledNow", "LockFreed", "ProcessesSeen", "SeenRunning", "SeenDead", "Exited", "ProcessExited", "ExitExplained",
	"HeartbeatSeen", "HeartbeatLate", "HealthPassed", "HealthFailed", "AttemptBegun", "StartSucceeded", "StartFailed", "StopSucceeded",
	"StopFailed", "AttemptCancelled", "OperatorStart", "OperatorStop", "OperatorRestart", "OperatorChange", "ChangeGranted",
	"ChangeDropped", "ChangeCompleted", "HealthyDue", "SilenceDue", "RefreshDue",
}

func (k FactKind) String() string { return factNames[k] }

// outdatesAnswers reports whether a fact of this kind makes answers to earlier
// orders stale, so that they are dropped (EV-26).
func (k FactKind) outdatesAnswers() bool {
	switch k {
	case Recorded, InstalledNow, LockFreed, ProcessesSeen, SeenRunning, SeenDead, ExitExplained, HeartbeatSeen, HeartbeatLate, HealthPassed, HealthFailed, HealthyDue, SilenceDue, RefreshDue:
		return false
	default:
		return true
	}
}

// Fact is new information about a plugin. Kind says which fields are set.
type Fact struct {
	Kind      FactKind
	Cause     string              // SeenDead, HealthFailed, StartFailed, StopFailed: the cause; Operator…: the command
	Scan      bool                // SeenRunning, SeenDead: by the periodic scan
	Force     bool                // OperatorStart: does not wait for the name lock (RS-11)
	Refresh   bool                // SeenRunning: requested by RefreshDue
	LockHeld  bool                // SeenDead, ExitMissed: another program works on it (EV-21)
	Exit      plugin.Exit         // Exited, ProcessExited, ExitExplained
	Heartbeat plugin.Heartbeat    // HeartbeatSeen, HeartbeatLate
	Age       time.Duration       // HeartbeatSeen, HeartbeatLate: age by the date in the file
	ByEvent   bool                // HeartbeatSeen, HeartbeatLate: reported by an event, so that Age is exact
	RunID     uint64              // Reattached, ExitMissed, ProcessesSeen: number of the run
	Processes []plugin.Process    // Reattached, ProcessesSeen
	At        plugin.Moment       // StartSucceeded, StartFailed: when the attempt finished
	Outcome   plugin.Outcome      // StartSucceeded, StartFailed, StopFailed
	Probe     plugin.Probe        // StartFailed: of `--status` afterwards
	HostFault bool                // StartFailed, StopFailed: the host could not run it (EV-24)
	Gone      bool                // StartFailed, StopFailed: it was not run, its record is gone (EV-22)
	Plugin    plugin.Plugin       // Recorded
	Gen       uint64              // Recorded: number of the order that the list answers
	Change    plugin.Change       // ChangeGranted, ChangeCompleted
	Result    plugin.ChangeResult // ChangeCompleted
	Request   plugin.Request      // OperatorChange
}
