package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// RestartConfig holds the settings of restarts.
type RestartConfig struct {
	Stagger        time.Duration // a first restart waits a random part of it (RS-01)
	BackoffInitial time.Duration // before the first repeated restart (RS-05)
	BackoffMax     time.Duration // between any two
	HealthyAfter   time.Duration // a plugin seen running this long after its start is healthy (RS-05)
	OnHang         bool          // restart a plugin that runs without heartbeats (PL-17)
	NoAnswer       time.Duration // the least delay of a start when `--status` did not return
}

// Env holds the input of a transition besides the plugin and the fact.
type Env struct {
	Now     plugin.Moment
	Seq     uint64     // number of this fact: larger than that of every order and fact before it
	Pending func() int // returns the number of restarts that wait or run (EV-05)
	Config  RestartConfig
	Rand    *rand.Rand
}

// Lifecycle holds the state of one plugin and its current attempt or change. Only
// Apply changes it.
type Lifecycle struct {
	Plugin plugin.Plugin
	Record plugin.RestartRecord // durable

	phase  phase
	since  time.Time // of the state
	why    string    // cause of the state
	next   string    // planned next step
	nextAt time.Time

	beat      heartbeat
	run       uint64           // number of the current or last known run (plugin.Exit)
	processes []plugin.Process // of that run, if known
	ran       bool             // it was seen running
	exitedAt  time.Time        // when its exit was reported; zero once it runs again

	unconfirmed uint64 // number of the run of which one process has exited; 0: none, or `--status` has answered since (EV-23)

	recordAt uint64 // number of the last order or fact about the record (EV-26)
	factAt   uint64 // number of the last fact about the processes (EV-26)
}

// PhaseKind names a phase: a state of the transition table. There are more phases
// than plugin.State, the states for users.
type PhaseKind uint8

// The phases.
const (
	Installed  PhaseKind = iota // no attempt, and it is not known to run
	Waiting                     // an attempt waits for its delay or its slot
	Working                     // `--start` or `--restart` runs
	Running                     // it runs
	Degraded                    // it runs, and its heartbeat or health check fails
	Left                        // it exited while another program worked on it: the next scan decides
	Stopping                    // an operator's stop waits or runs
	Stopped                     // an operator stopped it
	Cancelling                  // an attempt is being cancelled, something follows
	Changing                    // its version is being changed
	Removed                     // it is no longer installed
	phaseCount
)

var phaseNames = [phaseCount]string{
	"Installed", "Waiting", "Working", "Running", "Degraded", "Left", "Stopping", "Stopped", "Cancelling", "Changing", "Removed",
}

func (k PhaseKind) String() string { return phaseNames[k] }

// phase is a state with its data.
type phase interface{ phaseKind() PhaseKind }

type (
	installed  struct{}
	waiting    struct{ attempt }
	working    struct{ attempt }
	running    struct{ uptime }
	degraded   struct{ uptime }
	left       struct{}
	stopping   struct{ attempt }
	stopped    struct{}
	cancelling struct {
		attempt
		then then
	}
	changing struct {
		change plugin.Change
		before phase        // at the grant, one of Installed, Running, Degraded, Left, Stopped, Removed
		exit   *plugin.Exit // the last one since the grant
	}
	removed struct{}
)

func (installed) phaseKind() PhaseKind  { return Installed }
func (waiting) phaseKind() PhaseKind    { return Waiting }
func (working) phaseKind() PhaseKind    { return Working }
func (running) phaseKind() PhaseKind    { return Running }
func (degraded) phaseKind() PhaseKind   { return Degraded }
func (left) phaseKind() PhaseKind       { return Left }
func (stopping) phaseKind() PhaseKind   { return Stopping }
func (stopped) phaseKind() PhaseKind    { return Stopped }
func (cancelling) phaseKind() PhaseKind { return Cancelling }
func (changing) phaseKind() PhaseKind   { return Changing }
func (removed) phaseKind() PhaseKind    { return Removed }

// attempt is the one Restarter of the plugin (RS-04).
type attempt struct {
	id       uint64
	verb     messages.AttemptKind
	operator bool
	resumed  bool         // a start that an earlier process began (EV-07)
	retried  bool         // the previous one could not be made, by a fault of the host (EV-24)
	made     bool         // its verb has run, and `--status` could not be run
	begun    bool         // its verb runs
	tries    int          // of a stop
	exit     *plugin.Exit // of the run that its verb has started
}

// uptime describes the run of a plugin.
type uptime struct {
	since      plugin.Moment
	unproven   bool // not healthy yet since it was started (RS-05)
	firstRun   bool // run of its first start (EV-05)
	reattached bool // found at the start of the supervisor; `--status` has not said running yet (EV-07)
}

// then is the action that follows a cancelled attempt.
type then struct {
	kind   thenKind
	verb   messages.AttemptKind // thenRestart, thenCommand
	force  bool                 // thenCommand: see messages.Attempt
	change plugin.Change        // thenChange
	before plugin.Status        // thenChange: status at the grant
	was    phase                // thenChange: the phase if the plugin was not touched
	cause  string               // thenRestart
	up     uptime               // thenRunning
}

type thenKind uint8

const (
	thenRunning thenKind = iota // none, it runs: another program started it
	thenRestart                 // a start
	thenCommand                 // an operator's command
	thenChange                  // a change of its version
	thenStopped                 // none, it is down after an operator's stop
	thenRemoved                 // none, its record is gone
)

// NewLifecycle returns the lifecycle of a plugin that the list of order gen has,
// with the record that an earlier process saved.
func NewLifecycle(p plugin.Plugin, remembered plugin.RestartRecord, gen uint64, now time.Time) *Lifecycle {
	l := &Lifecycle{Plugin: p, Record: remembered, phase: installed{}, since: now, ran: !remembered.RunningSince.IsZero(), recordAt: gen}
	if l.Record.Stopped {
		// Earlier versions did not write StopPending: they cleared RunningSince when
		// the stop began.
		l.Record.StopPending = l.Record.StopPending || !l.Record.RunningSince.IsZero()
		l.phase, l.why = stopped{}, l.Record.Cause
	}
	return l
}

// NewAbsent returns the lifecycle of a plugin that is about to be installed.
func NewAbsent(p plugin.Plugin, now time.Time) *Lifecycle {
	return &Lifecycle{Plugin: p, phase: removed{}, since: now}
}

// Unexpected is the error of a fact that the table does not have for the phase.
// Nothing was changed.
type Unexpected struct {
	Phase PhaseKind
	Fact  FactKind
}

func (u *Unexpected) Error() string {
	return fmt.Sprintf("fact %s is not expected in phase %s", u.Fact, u.Phase)
}

// Apply applies a fact and returns the effects, in order. The error is an
// *Unexpected, or says that a rule led to a phase that it does not declare.
func (l *Lifecycle) Apply(env Env, f Fact) ([]Effect, error) {
	from := l.phase.phaseKind()
	t := &turn{l: l, env: env, f: f, state: l.State()}
	for i := range table[from] {
		r := &table[from][i]
		if r.on != f.Kind || r.when.holds != nil && !r.when.holds(t) {
			continue
		}
		if f.Kind.outdatesAnswers() {
			l.factAt = env.Seq
		}
		r.do(t)
		if t.dirty && l.phase.phaseKind() != Removed {
			t.emit(Save{Sync: t.sync})
		}
		if to := l.phase.phaseKind(); !slices.Contains(r.to, to) {
			return t.out, fmt.Errorf("rule for %s in phase %s led to %s", f.Kind, from, to)
		}
		return t.out, nil
	}
	return nil, &Unexpected{from, f.Kind}
}

// Phase returns the kind of the phase.
func (l *Lifecycle) Phase() PhaseKind { return l.phase.phaseKind() }

// State returns the state for users.
func (l *Lifecycle) State() plugin.State {
	switch ph := l.phase.(type) {
	case waiting:
		if l.Record.Failures > 0 && !ph.operator {
			return plugin.StateCrashLoop
		}
		return plugin.StateStarting
	case working:
		return plugin.StateStarting
	case running:
		return plugin.StateRunning
	case degraded:
		return plugin.StateDegraded
	case stopping:
		return plugin.StateStopping
	case stopped:
		return plugin.StateStopped
	case cancelling:
		return ph.then.state()
	case changing:
		return changeState(ph.change)
	case removed:
		return plugin.StateRemoved
	default:
		return plugin.StateInstalled
	}
}

func (th then) state() plugin.State {
	switch th.kind {
	case thenRunning:
		return plugin.StateRunning
	case thenCommand:
		if th.verb == messages.KindStop {
			return plugin.StateStopping
		}
		return plugin.StateStarting
	case thenChange:
		return changeState(th.change)
	case thenStopped:
		return plugin.StateStopped
	case thenRemoved:
		return plugin.StateRemoved
	default:
		return plugin.StateStarting
	}
}

func changeState(c plugin.Change) plugin.State {
	if c.Kind == plugin.ChangeRemove {
		return plugin.StateRemoving
	}
	return plugin.StateUpgrading
}

// AttemptID returns the number of the current attempt; 0: none.
func (l *Lifecycle) AttemptID() uint64 { return l.currentAttempt().id }

func (l *Lifecycle) currentAttempt() attempt {
	switch ph := l.phase.(type) {
	case waiting:
		return ph.attempt
	case working:
		return ph.attempt
	case stopping:
		return ph.attempt
	case cancelling:
		return ph.attempt
	default:
		return attempt{}
	}
}

// AttemptVerb returns the verb of the current attempt.
func (l *Lifecycle) AttemptVerb() messages.AttemptKind { return l.currentAttempt().verb }

// MayBegin reports whether the attempt may get a slot: not one that is being
// cancelled.
func (l *Lifecycle) MayBegin() bool { return l.AttemptID() != 0 && l.phase.phaseKind() != Cancelling }

// HasBegun reports whether the verb of the attempt runs.
func (l *Lifecycle) HasBegun() bool { return l.currentAttempt().begun }

// IsUnbudgeted reports whether the attempt does not count against the restart
// budget of the host: one of an operator, a stop, and a retry (EV-13).
func (l *Lifecycle) IsUnbudgeted() bool {
	a := l.currentAttempt()
	return a.operator || a.retried || a.verb == messages.KindStop
}

// IsRestartPending reports whether a restart of the plugin waits or runs (EV-05).
func (l *Lifecycle) IsRestartPending() bool { return l.AttemptID() != 0 && !l.IsUnbudgeted() }

// CurrentChange returns the change that is being made to the plugin.
func (l *Lifecycle) CurrentChange() (plugin.Change, bool) {
	ph, ok := l.phase.(changing)
	return ph.change, ok
}

// IsWatched reports whether its processes and heartbeat are watched.
func (l *Lifecycle) IsWatched() bool {
	return l.Plugin.IsProbed() && !l.Plugin.Duplicate && l.phase.phaseKind() != Removed && !l.isLeaving()
}

// IsObservable reports whether its processes may be checked: no attempt or change
// is in progress.
func (l *Lifecycle) IsObservable() bool { return l.AttemptID() == 0 && l.phase.phaseKind() != Changing }

// LacksProcesses reports whether it counts as running and no process of it is known.
func (l *Lifecycle) LacksProcesses() bool {
	return len(l.processes) == 0 && (l.phase.phaseKind() == Running || l.phase.phaseKind() == Degraded)
}

// isLeaving reports whether its record is gone.
func (l *Lifecycle) isLeaving() bool {
	ph, ok := l.phase.(cancelling)
	if !ok {
		return false
	}
	_, absent := ph.then.was.(removed)
	return absent || ph.then.kind == thenRemoved
}

// IsStaleRecord reports whether the list of order gen is older than the known
// record of the plugin (EV-26).
func (l *Lifecycle) IsStaleRecord(gen uint64) bool { return l.recordAt > gen }

// IsStaleProbe reports whether the `--status` of order gen, of that version, is
// older than the known state of the plugin (EV-26).
func (l *Lifecycle) IsStaleProbe(gen uint64, version string) bool {
	return l.factAt > gen || l.recordAt > gen || version != l.Plugin.Version
}

// IsUnconfirmed reports whether one of its processes has exited, and no later
// `--status` has answered (EV-23).
func (l *Lifecycle) IsUnconfirmed() bool {
	return l.unconfirmed != 0 && (l.phase.phaseKind() == Running || l.phase.phaseKind() == Degraded)
}

// PullStatus returns the status of the plugin in a pull, for a heartbeat that can be
// read (PL-08).
func (l *Lifecycle) PullStatus(now plugin.Moment) plugin.Status {
	if l.Record.Stopped || l.phase.phaseKind() == Left || l.isOverdue(now) { // the last heartbeat of a stopped one may be recent (EV-14)
		return plugin.StatusFailed
	}
	return plugin.StatusRunning
}

// View returns the plugin as status shows it, without the fields about reports.
func (l *Lifecycle) View(method plugin.WatchMethod) plugin.View {
	v := plugin.View{
		Name: l.Plugin.Name, Version: l.Plugin.Version, Type: l.Plugin.Type,
		State: l.State(), Since: l.since, Why: l.why, Next: l.next, NextAt: l.nextAt,
		Restarts: l.Record.Count, Failures: l.Record.Failures,
		Duplicate: l.Plugin.Duplicate, Verified: l.Plugin.Verified,
	}
	if len(l.processes) > 0 {
		v.Watch = method
		for _, p := range l.processes {
			v.PIDs = append(v.PIDs, p.PID)
		}
	}
	if l.beat.isReadable() && !l.beat.Last.Before(l.Record.Last.Wall.Truncate(time.Second)) { // not of an earlier run
		v.LastHeartbeat, v.HeartbeatInterval = l.beat.Last, l.Plugin.HeartbeatInterval.Seconds()
	}
	return v
}

// NextStep returns the planned next step, and its time.
func (l *Lifecycle) NextStep() (what string, at time.Time) { return l.next, l.nextAt }

// StateSince returns the time of the last change of state.
func (l *Lifecycle) StateSince() time.Time { return l.since }

// RunID returns the number of the current or last known run.
func (l *Lifecycle) RunID() uint64 { return l.run }

// ClearRequest clears and returns the command that waited for a change.
func (l *Lifecycle) ClearRequest() plugin.Request {
	r := l.Record.Requested
	l.Record.Requested = plugin.RequestNone
	return r
}
