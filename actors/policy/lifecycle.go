package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"pluginsupervisor/messages"
	"pluginsupervisor/plugin"
)

// RestartConfig says how plugins are restarted.
type RestartConfig struct {
	Stagger        time.Duration // a first restart waits a random part of it (RS-01)
	BackoffInitial time.Duration // before the first repeated restart (RS-05)
	BackoffMax     time.Duration // between any two
	HealthyAfter   time.Duration // a plugin seen running this long after its start is healthy (RS-05)
	OnHang         bool          // restart a plugin that runs but does not beat (PL-17)
	NoAnswer       time.Duration // the least wait after a start of a plugin whose `--status` did not return
}

// Env is what a transition depends on beside the plugin and the fact.
type Env struct {
	Now     plugin.Moment
	Seq     uint64     // number of this fact: larger than that of every order and fact before it
	Pending func() int // restarts of other plugins that wait or run (EV-05)
	Config  RestartConfig
	Rand    *rand.Rand
}

// Lifecycle is what is known of one plugin and what is being done about it.
// It changes by Apply alone.
type Lifecycle struct {
	Plugin plugin.Plugin
	Record plugin.RestartRecord // what has to survive the supervisor

	phase  phase
	since  time.Time // of the state
	why    string    // what led to the state
	next   string    // what will happen next
	nextAt time.Time

	beat      heartbeat
	run       uint64           // number of the run that is known, or was last (plugin.Exit)
	processes []plugin.Process // of that run, as far as known
	ran       bool             // it was seen running
	exitedAt  time.Time        // when the event of its exit came; zero once it runs again

	unconfirmed uint64 // number of the run of which a process exited while others live on; 0: `--status` has answered since (EV-23)

	recordAt uint64 // number of the order or fact that told last what is installed (EV-26)
	factAt   uint64 // number of the fact that told last what runs (EV-26)
}

// PhaseKind names a phase: the states of the table. A phase is finer than
// plugin.State, which is what people see.
type PhaseKind uint8

// The phases.
const (
	Installed  PhaseKind = iota // nothing is under way, and it is not known to run
	Waiting                     // an attempt waits for its time or its slot
	Working                     // `--start` or `--restart` runs
	Running                     // it runs
	Degraded                    // it runs, and its heartbeat or health check fails
	Left                        // it went down while another program worked on it: the next scan decides
	Stopping                    // an operator's stop waits or runs
	Stopped                     // an operator stopped it
	Cancelling                  // an attempt is being cancelled, something else follows
	Changing                    // its version is being changed
	Removed                     // it is no longer installed: the end
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

// attempt is the one Restarter that is alive (RS-04).
type attempt struct {
	id       uint64
	verb     messages.AttemptKind
	operator bool
	resumed  bool         // a start that an earlier process began (EV-07)
	retried  bool         // the one before was not made, by a fault of the host (EV-24)
	made     bool         // its verb has run, and whether the plugin runs could not be asked
	begun    bool         // its verb runs
	tries    int          // of a stop
	exit     *plugin.Exit // of what the verb under way has started
}

// uptime is what is known of a plugin that runs.
type uptime struct {
	since    plugin.Moment
	unproven bool // it was started and has not been healthy since (RS-05)
	firstRun bool // it runs since its first start ever (EV-05)
	adopted  bool // found at the start of the supervisor; has not said yet that it runs (EV-07)
}

// then says what follows a cancelled attempt.
type then struct {
	kind   thenKind
	verb   messages.AttemptKind // thenRestart, thenCommand
	force  bool                 // thenCommand: see messages.Attempt
	change plugin.Change        // thenChange
	before plugin.Status        // thenChange: status at the grant
	was    phase                // thenChange: what it goes back to if it was not touched
	cause  string               // thenRestart
	up     uptime               // thenRunning
}

type thenKind uint8

const (
	thenRunning thenKind = iota // it runs: another program started it
	thenRestart                 // it has to be started
	thenCommand                 // an operator's command
	thenChange                  // a change of its version
	thenStopped                 // it is down, as an operator wants it
	thenRemoved                 // nothing: its record is gone
)

// NewLifecycle returns the lifecycle of a plugin that is installed by the list
// of order gen, with what an earlier process remembered of it.
func NewLifecycle(p plugin.Plugin, remembered plugin.RestartRecord, gen uint64, now time.Time) *Lifecycle {
	l := &Lifecycle{Plugin: p, Record: remembered, phase: installed{}, since: now, ran: !remembered.RunningSince.IsZero(), recordAt: gen}
	if l.Record.Stopped {
		// Earlier versions did not write StopPending: they cleared Up when the
		// stop began.
		l.Record.StopPending = l.Record.StopPending || !l.Record.RunningSince.IsZero()
		l.phase, l.why = stopped{}, l.Record.Cause
	}
	return l
}

// NewAbsent returns the lifecycle of a plugin that is not installed and about
// to be.
func NewAbsent(p plugin.Plugin, now time.Time) *Lifecycle {
	return &Lifecycle{Plugin: p, phase: removed{}, since: now}
}

// Unexpected is the error of a fact that the table does not have for the
// phase. Nothing was changed.
type Unexpected struct {
	Phase PhaseKind
	Fact  FactKind
}

func (u *Unexpected) Error() string {
	return fmt.Sprintf("fact %s is not expected in phase %s", u.Fact, u.Phase)
}

// Apply changes the plugin by one fact and returns the effects, in order. The
// error is an *Unexpected, or says that a rule broke its own declaration.
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

// Phase returns the phase.
func (l *Lifecycle) Phase() PhaseKind { return l.phase.phaseKind() }

// State returns the state that people see.
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

// AttemptID returns the number of the attempt that is alive; 0: none is.
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

// AttemptVerb returns what the attempt that is alive does.
func (l *Lifecycle) AttemptVerb() messages.AttemptKind { return l.currentAttempt().verb }

// MayBegin reports whether the attempt may get a slot: not one that is being
// cancelled.
func (l *Lifecycle) MayBegin() bool { return l.AttemptID() != 0 && l.phase.phaseKind() != Cancelling }

// HasBegun reports whether the verb of the attempt runs.
func (l *Lifecycle) HasBegun() bool { return l.currentAttempt().begun }

// IsUnbudgeted reports whether the attempt does not count against the restart
// budget of the host: an operator's, every stop, and one that has paid already
// (EV-13).
func (l *Lifecycle) IsUnbudgeted() bool {
	a := l.currentAttempt()
	return a.operator || a.retried || a.verb == messages.KindStop
}

// IsRestartPending reports whether a restart of the plugin waits or runs (EV-05).
func (l *Lifecycle) IsRestartPending() bool { return l.AttemptID() != 0 && !l.IsUnbudgeted() }

// CurrentChange returns the change that is being made of the plugin.
func (l *Lifecycle) CurrentChange() (plugin.Change, bool) {
	ph, ok := l.phase.(changing)
	return ph.change, ok
}

// IsWatched reports whether its processes and heartbeat are watched.
func (l *Lifecycle) IsWatched() bool {
	return l.Plugin.IsProbed() && !l.Plugin.Duplicate && l.phase.phaseKind() != Removed && !l.isLeaving()
}

// IsObservable reports whether what runs of it may be looked up: nothing is
// being done about it that would be seen half done.
func (l *Lifecycle) IsObservable() bool { return l.AttemptID() == 0 && l.phase.phaseKind() != Changing }

// LacksProcesses reports whether it is said to run and no process of it is known.
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

// IsStaleRecord reports whether a list that was asked for by order gen is older
// than what is known of the plugin's record (EV-26).
func (l *Lifecycle) IsStaleRecord(gen uint64) bool { return l.recordAt > gen }

// IsStaleProbe reports whether a `--status` that was asked for by order gen, of
// that version, is older than what is known of the plugin (EV-26).
func (l *Lifecycle) IsStaleProbe(gen uint64, version string) bool {
	return l.factAt > gen || l.recordAt > gen || version != l.Plugin.Version
}

// IsUnconfirmed reports whether one of its processes has exited, and no `--status`
// that was asked for after that has answered (EV-23).
func (l *Lifecycle) IsUnconfirmed() bool {
	return l.unconfirmed != 0 && (l.phase.phaseKind() == Running || l.phase.phaseKind() == Degraded)
}

// PullStatus returns what is reported of the plugin in a pull, for a heartbeat
// that can be read (PL-08).
func (l *Lifecycle) PullStatus(now plugin.Moment) plugin.Status {
	if l.Record.Stopped || l.phase.phaseKind() == Left || l.isOverdue(now) { // its last beat may be young (EV-14)
		return plugin.StatusFailed
	}
	return plugin.StatusRunning
}

// View returns the plugin as status shows it, without what the reports know.
func (l *Lifecycle) View(how plugin.WatchMethod) plugin.View {
	v := plugin.View{
		Name: l.Plugin.Name, Version: l.Plugin.Version, Type: l.Plugin.Type,
		State: l.State(), Since: l.since, Why: l.why, Next: l.next, NextAt: l.nextAt,
		Restarts: l.Record.Count, Failures: l.Record.Failures,
		Duplicate: l.Plugin.Duplicate, Verified: l.Plugin.Verified,
	}
	if len(l.processes) > 0 {
		v.Watch = how
		for _, p := range l.processes {
			v.PIDs = append(v.PIDs, p.PID)
		}
	}
	if l.beat.isReadable() && !l.beat.Last.Before(l.Record.Last.Wall.Truncate(time.Second)) { // not of the run before
		v.LastHeartbeat, v.HeartbeatInterval = l.beat.Last, l.Plugin.HeartbeatInterval.Seconds()
	}
	return v
}

// NextStep returns what will happen next, and when.
func (l *Lifecycle) NextStep() (what string, at time.Time) { return l.next, l.nextAt }

// StateSince returns since when the plugin is in its state.
func (l *Lifecycle) StateSince() time.Time { return l.since }

// RunID returns the number of the run that is known.
func (l *Lifecycle) RunID() uint64 { return l.run }

// ClearRequest forgets what an operator asked for while a change was under
// way: it is being done.
func (l *Lifecycle) ClearRequest() plugin.Request {
	r := l.Record.Requested
	l.Record.Requested = plugin.RequestNone
	return r
}
