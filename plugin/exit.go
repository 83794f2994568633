package plugin

import (
	"errors"
	"fmt"
	"time"
)

// ErrNoPlugin says that no plugin of that name is installed.
var ErrNoPlugin = errors.New("no such plugin")

// Process identifies a process for good. A number alone is given out again;
// number, start time and boot together are not (EV-08).
type Process struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"born"` // clock ticks since boot, as /proc/PID/stat has it
	BootID     string `json:"boot"` // as /proc/sys/kernel/random/boot_id has it
}

// WatchMethod says how the end of a plugin's processes is noticed.
type WatchMethod uint8

// The ways, the least first.
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

// MarshalText writes the way's name.
func (w WatchMethod) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads a way's name.
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
	// Processes are those it was last known to run as, by an earlier life of
	// the supervisor perhaps.
	Processes []Process
	// IncludeExternal has what another program started looked for as well, by executable
	// and PLUGIN_DIR among all processes: it says that it runs, and none is known.
	IncludeExternal bool
}

// Observed is what there was of a plugin when its watching began.
type Observed struct {
	Name      string
	Watch     WatchMethod
	RunID     uint64    // of what runs; see Exit
	Processes []Process // alive and watched; none: nothing of it runs as far as can be seen
	LockHeld  bool      // without Processes: another program holds the plugin's name lock, or did shortly before (EV-21)
}

// Exit is the end of a plugin: its last process has ended, and it was not a
// verb that was still running (EV-01). Marked Partial, it is the end of one of
// its processes while others live on (EV-23).
type Exit struct {
	Name string `json:"-"`
	// RunID counts what was started of the plugin, within the life of this
	// supervisor: an Exit is of what was started under the same number.
	RunID      uint64    `json:"-"`
	At         time.Time `json:"at"`               // when the kernel told
	PID        int       `json:"pid,omitzero"`     // of the process whose end is described, 0 if unknown
	CauseKnown bool      `json:"known"`            // the kernel told how it ended
	Code       int       `json:"code"`             // if Known and there was no signal
	Signal     string    `json:"signal,omitempty"` // "SIGKILL", "SIGSEGV", …
	OOM        bool      `json:"oom,omitzero"`     // the kernel ended it for want of memory
	Output     string    `json:"output,omitempty"` // the last 4 KiB of what the plugin printed
	Late       bool      `json:"late,omitzero"`    // this Exit was told before, now its cause is known (EV-10)
	// Partial says that other processes of the plugin live on.
	Partial bool `json:"partial,omitzero"`
	// LockHeld says that another program held the plugin's name lock then, or shortly
	// before (EV-21).
	LockHeld bool `json:"held,omitzero"`
	// External says that another program had started what exited: it may have
	// been replaced by something that was not found.
	External bool `json:"-"`
}

// Cause says in a few words how it ended.
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

// Limits bound what a plugin may use; 0 is no bound (EV-17).
type Limits struct {
	CPU    float64 // cores
	Memory int64   // bytes
	PIDs   int     // processes and threads
}

// IsSet tells whether anything is bounded.
func (l Limits) IsSet() bool { return l != Limits{} }

// HeartbeatEvent is what is heard of a plugin's heartbeat between the pulls (EV-06).
type HeartbeatEvent struct {
	Heartbeat Heartbeat
	At        time.Time // when it came, or its deadline passed
	// Age is how old the beat was by its own date when it came: the wall time of
	// the arrival minus the date, 0 if that is ahead (PL-08). The age at a later
	// time is Age plus the monotonic time since.
	Age  time.Duration
	Lost bool // the deadline passed and no beat came
}
