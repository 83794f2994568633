package actorstest

import (
	"context"
	"sync"
	"time"

	"pluginsupervisor/plugin"
)

// World is a host with plugins, a control plane and a state file, in memory and
// in virtual time. It is the fake of every port of package actors:
//
//	actors.Ports{Manager: w, Heartbeats: w, ControlPlane: w, Memory: w, Clock: w, …}
//
// The ports Watcher and HeartbeatEvents are w.Watcher() and w.HeartbeatEvents()
// after WithEvents, the port OtherPrograms is what WithOtherPrograms returns. A
// test sets the fields of a new World before the actors start, and in Set while
// they run.
type World struct {
	mu sync.Mutex
	Host
	Verbs
	Packages
	Server
	State

	Watched *Watched       // nil: nothing is reported by event, see WithEvents
	Others  *OtherPrograms // nil: no other program works on the host, see WithOtherPrograms
}

// Host holds what is installed on the host of a World, and what runs there.
type Host struct {
	Plugins       []plugin.Plugin
	Damaged       []plugin.Damage
	Running       map[string]bool
	LastHeartbeat map[string]time.Time // absent: the plugin has no heartbeat file
	BadHeartbeat  map[string]bool      // the heartbeat file cannot be read

	ListErr   error         // of each List
	ListTime  time.Duration // how long a List takes
	ListCount int           // calls of List
}

// Verbs holds how the verbs of the plugins of a World behave, and how they were run.
type Verbs struct {
	ProbeTime    map[string]time.Duration // how long `--status` takes
	ProbeErr     error                    // of each Probe as a whole
	Statuses     map[string]plugin.Status // what `--status` answers; absent: whether the plugin runs
	VerbTime     map[string]time.Duration // how long the other verbs take
	KillTime     time.Duration            // how long the processes of a cancelled verb take to exit
	StartWorks   func(name string) bool   // reports whether `--start` works; nil: always
	HostFaults   map[string]bool          // verbs that the host cannot run
	NotInstalled map[string]bool          // plugins whose record a verb does not find

	Calls        []Call
	ForcedStarts int
	MaxParallel  int            // verbs at once, at most
	Busy         map[string]int // verbs under way, by plugin
	Violations   []string       // two verbs of one plugin at once, or a start of a plugin that runs
	parallel     int            // verbs under way
}

// Packages holds how packages are fetched and changes are made in a World.
type Packages struct {
	FetchTime map[string]time.Duration
	FetchErr  error                                     // of each Fetch
	OnFetch   func(c plugin.Change) error               // nil: FetchErr
	OnChange  func(c plugin.Change) plugin.ChangeResult // nil: the version is switched
	ProveTime time.Duration                             // how long a change that is made can be interrupted

	Interrupts     []bool          // LeaveStopped of each interruption
	StatusesBefore []plugin.Status // StatusBefore of each change
}

// Server is the control plane of a World.
type Server struct {
	OnReport      func(n int) (plugin.Answer, error)  // the n-th report, from 1; nil: an empty answer
	OnUpdateCheck func(n int) (plugin.Updates, error) // the n-th check, from 1; nil: no updates
	OnEvent       func(n int) error                   // the n-th event, from 1; nil: accepted
	Latency       time.Duration                       // of a report

	Reports      []SentReport
	ReportCount  int // all reports, also those that TakeReports returned
	UpdateChecks []time.Time
	Events       []SentEvent
}

// State holds what the actors of a World saved, and its wall clock.
type State struct {
	Saved      plugin.Memory // a later system can begin with it
	SaveCount  int
	Journal    []plugin.Entry
	SaveErr    error         // of each Save
	WallOffset time.Duration // wall clock − virtual clock
}

// SentReport is a report that the control plane received.
type SentReport struct {
	At      time.Duration // since the test began
	Entries []plugin.ReportEntry
}

// SentEvent is an event that the control plane received.
type SentEvent struct {
	At    time.Duration // since the test began
	Event plugin.Event
}

// Persist returns a plugin that has to run and to write heartbeats.
func Persist(id uint64, name string) plugin.Plugin {
	return plugin.Plugin{
		ID: id, Name: name, Version: "1.0", Type: plugin.Persist, OS: "LINUX", Arch: "All",
		Timeout: time.Minute, HeartbeatInterval: time.Minute,
	}
}

// Once returns a plugin that runs once.
func Once(id uint64, name string) plugin.Plugin {
	p := Persist(id, name)
	p.Type = plugin.Once
	return p
}

// NewWorld returns a World in which the plugins are installed and run.
func NewWorld(ps ...plugin.Plugin) *World {
	w := &World{
		Host: Host{Plugins: ps, Running: map[string]bool{}, LastHeartbeat: map[string]time.Time{}, BadHeartbeat: map[string]bool{}},
		Verbs: Verbs{
			ProbeTime: map[string]time.Duration{}, Statuses: map[string]plugin.Status{}, VerbTime: map[string]time.Duration{},
			HostFaults: map[string]bool{}, NotInstalled: map[string]bool{}, Busy: map[string]int{},
		},
		Packages: Packages{FetchTime: map[string]time.Duration{}},
		State: State{Saved: plugin.Memory{
			Acked: map[string]plugin.Acked{}, Pending: map[string]plugin.PendingReport{}, Events: map[uint64]plugin.Event{},
			Restarts: map[string]plugin.RestartRecord{}, Blocked: map[string]plugin.Blocked{},
		}},
	}
	for _, p := range ps {
		w.Running[p.Name] = true
	}
	return w
}

// Lock locks the World: its ports wait until Unlock.
func (w *World) Lock() { w.mu.Lock() }

// Unlock ends Lock.
func (w *World) Unlock() { w.mu.Unlock() }

// Set changes the World while the actors run.
func (w *World) Set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// Elapse lets the work of a port take its time, and reports whether it passed
// before ctx ended.
func Elapse(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
