package plugin

import (
	"errors"
	"fmt"
	"time"
)

// ErrNoPlugin is the error when no plugin of that name is installed.
var ErrNoPlugin = errors.New("no such plugin")

// Process identifies a process. The kernel reuses a pid; pid, start time and boot
// together are unique (EV-08).
type Process struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"born"` // clock ticks since boot, as /proc/PID/stat has it
	BootID     string `json:"boot"` // as /proc/sys/kernel/random/boot_id has it
}

// WatchMethod says how the exits of a plugin's processes are detected.
type WatchMethod uint8

// The methods, the weakest first.
const (
	WatchScan   WatchMethod = iota // by scan and heartbeat only (EV-04)
	WatchPidfd                     // an event of each process (EV-03)
	WatchCgroup                    // an event of the plugin's cgroup (EV-02)
)

func (w WatchMethod) String() string {
	switch w {
	case WatchPidfd:
		return "pidfd"
	case WatchCgroup:
		return "cgroup"
	default:
		return "scan"
	}
}

// MarshalText writes the method's name.
func (w WatchMethod) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads a method's name.
func (w *WatchMethod) UnmarshalText(b []byte) error {
	for _, known := range []WatchMethod{WatchScan, WatchPidfd, WatchCgroup} {
		if string(b) == known.String() {
			*w = known
			return nil
		}
	}
	return fmt.Errorf("unknown watch method %q", b)
}

// WatchTarget is a plugin whose processes are to be watched.
type WatchTarget struct {
	Plugin Plugin
	// Processes are the last known ones, possibly from an earlier run of the
	// supervisor.
	Processes []Process
	// IncludeExternal has all processes searched, by executable and PLUGIN_DIR, for
	// one that another program started: the plugin reports that it runs, and no
	// process of it is known.
	IncludeExternal bool
}

// Observed holds the processes of a plugin when it was checked.
type Observed struct {
	Name      string
	Watch     WatchMethod
	RunID     uint64    // of these processes; see Exit
	Processes []Process // alive and watched; none: no process of it was found
	LockHeld  bool      // without Processes: another program holds the plugin's name lock, or did shortly before (EV-21)
}

// Exit is the exit of a plugin's last process that was not a running verb
// (EV-01). Marked Partial, it is the exit of one process while others of the
// plugin are still running (EV-23).
type Exit struct {
	Name string `json:"-"`
	// RunID is the number of the run that exited. Runs of a plugin are counted
	// since the supervisor started.
	RunID      uint64    `json:"-"`
	At         time.Time `json:"at"`               // when the kernel reported it
	PID        int       `json:"pid,omitzero"`     // of the process that exited, 0 if unknown
	CauseKnown bool      `json:"known"`            // the kernel reported Code or Signal
	Code       int       `json:"code"`             // if CauseKnown and there was no signal
	Signal     string    `json:"signal,omitempty"` // "SIGKILL", "SIGSEGV", …
	OOM        bool      `json:"oom,omitzero"`     // killed by the kernel because memory ran out
	Output     string    `json:"output,omitempty"` // the last 4 KiB that the plugin printed
	Late       bool      `json:"late,omitzero"`    // this Exit was reported before, now its cause is known (EV-10)
	// Partial reports whether other processes of the plugin are still running.
	Partial bool `json:"partial,omitzero"`
	// LockHeld reports whether another program held the plugin's name lock then, or
	// shortly before (EV-21).
	LockHeld bool `json:"held,omitzero"`
	// External reports whether another program had started the process: a
	// replacement of it may not have been found.
	External bool `json:"-"`
}

// Cause returns the cause of the exit in a few words.
func (e Exit) Cause() string {
	switch {
	case e.Partial:
		e.Partial = false
		return fmt.Sprintf("process %d: %s, others are still running", e.PID, e.Cause())
	case e.OOM:
		return "out of memory, killed by the kernel"
	case !e.CauseKnown:
		return "exited, cause unknown"
	case e.Signal != "":
		return "killed by " + e.Signal
	default:
		return fmt.Sprintf("exit %d", e.Code)
	}
}

// Limits holds the resource limits of a plugin; 0 is no limit (EV-17).
type Limits struct {
	CPU    float64 // cores
	Memory int64   // bytes
	PIDs   int     // processes and threads
}

// IsSet reports whether anything is limited.
func (l Limits) IsSet() bool { return l != Limits{} }

// HeartbeatEvent is a heartbeat that was written, or missed, between the pulls (EV-06).
type HeartbeatEvent struct {
	Heartbeat Heartbeat
	At        time.Time // when it arrived, or when its deadline passed
	// Age is the age of the heartbeat at its arrival: the wall time of the arrival
	// minus the date in the file, 0 if that is in the future (PL-08). The age at a
	// later time is Age plus the monotonic time since.
	Age  time.Duration
	Lost bool // the deadline passed without a heartbeat
}
